// Any text as a CEL condition, a format string or a path template: refused or compiled, and what
// was compiled runs within its bounds.
#include <cstdint>
#include <string>

#include "event/sim_loop.h"
#include "proxy/match/cel.h"
#include "proxy/stream/formatter.h"
#include "proxy/stream/stream_info.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {
namespace {

// A stream as a worker has it, made once.
struct Room {
  lateen::event::SimLoop loop;
  Shared shared;
  Worker worker{loop, shared, 0};
  Connection connection;
  lateen::Arena arena;
  lateen::http::Request request{arena};
  Room() {
    request.method = "GET";
    request.path = "/a/b?c=d";
    request.authority = "a.test";
    request.headers.add("x-a", "1");
  }
};

void run(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return;
  static Room room;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  StreamInfo info(room.worker, room.connection);
  if (const auto condition = CelExpression::parse(text); condition.ok()) {
    (void)condition->evaluate(info, &room.request);
    (void)condition->matches(info, nullptr);
  }
  if (const auto format = Formatter::compile(text); format.ok()) {
    (void)format->format(info);
    std::string json;
    format->append_json(info, json);
  }
}

}  // namespace
}  // namespace lateen::proxy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::proxy::run(data, size);
  return 0;
}
