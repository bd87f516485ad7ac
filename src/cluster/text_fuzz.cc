// Foreign text and packets of the cluster: CEL rules, cron lines, DNS questions.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "cluster/cel/program.h"
#include "cluster/controllers/cron.h"
#include "cluster/dns/message.h"

namespace lateen::cluster {
namespace {
void run(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto rule = cel::Program::compile(text, {{"self", nullptr}, {"oldSelf", nullptr}},
                                          cel::Shape::Kind::kAny);
  if (rule.ok()) {
    cel::Budget budget(10'000);
    (void)rule->evaluate({}, budget);
  }
  if (const auto cron = controllers::CronSchedule::parse(text); cron.ok()) {
    const lateen::WallTime start{};
    const auto next = cron->next(start);
    if (next) CHECK(*next > start);
  }
  (void)dns::id_of(text);
  if (const auto question = dns::parse_question(text); question.ok()) {
    dns::Answer answer;
    answer.records.push_back(dns::address_record(question->name, 0x7f000001));
    const auto encoded = dns::encode_response(*question, answer, question->udp_bytes);
    CHECK(encoded.size() >= 12);
  }
}

}  // namespace
}  // namespace lateen::cluster

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::cluster::run(data, size);
  return 0;
}
