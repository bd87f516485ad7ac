// gRPC's wire: messages out of any bytes, the same however they are cut; status texts and
// time-outs.
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "grpc/framing.h"

namespace lateen::grpc {
namespace {

constexpr std::size_t kMostMessage = 4096;

struct Cut {
  std::vector<std::string> messages;
  bool is_refused = false, is_at_boundary = false;
};

Cut read_in_steps(std::string_view bytes, std::size_t step) {
  MessageReader reader(kMostMessage);
  Cut out;
  for (std::size_t at = 0; at < bytes.size() && !out.is_refused; at += step) {
    reader.add(Buffer(bytes.substr(at, step)));
    for (;;) {
      auto next = reader.next();
      if (!next.ok()) {
        out.is_refused = true;
        break;
      }
      if (!next->has_value()) break;
      CHECK((*next)->size() <= kMostMessage);
      out.messages.push_back(**std::move(next));
    }
  }
  out.is_at_boundary = reader.is_at_boundary();
  return out;
}

void run(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Cut whole = read_in_steps(text, text.size() + 1);
  const Cut parts = read_in_steps(text, 3);
  CHECK(whole.messages == parts.messages);
  CHECK(whole.is_refused == parts.is_refused);
  if (!whole.is_refused) {
    CHECK(whole.is_at_boundary == parts.is_at_boundary);
    Buffer again;
    for (const auto& message : whole.messages) append_frame(again, message);
    CHECK(text.starts_with(again.to_string()));
  }
  CHECK(decode_message(encode_message(text)) == text);
  (void)decode_message(text);
  if (const auto timeout = parse_timeout(text)) CHECK(*timeout >= nanoseconds(0));
}

}  // namespace
}  // namespace lateen::grpc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::grpc::run(data, size);
  return 0;
}
