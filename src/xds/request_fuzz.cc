// Any bytes as discovery requests of both variants, on a session that answers: what is remembered
// stays within its bounds.
#include <cstdint>

#include "base/check.h"
#include "xds/server.h"

namespace lateen {
namespace {
void run(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return;
  const auto variant = bytes[0] & 1 ? xds::Variant::kDelta : xds::Variant::kStateOfTheWorld;
  bytes.remove_prefix(1);
  xds::Replies replies;
  xds::Session session(variant, replies);
  const auto body = std::make_shared<const std::string>("body");
  std::uint64_t version = 0;
  // Requests follow each other, each with its length in two bytes.
  while (bytes.size() >= 2) {
    const std::size_t length =
        static_cast<unsigned char>(bytes[0]) * 256u + static_cast<unsigned char>(bytes[1]);
    bytes.remove_prefix(2);
    const auto request =
        xds::decode_request(variant, std::string(bytes.substr(0, length)), &session);
    bytes.remove_prefix(std::min(bytes.size(), length));
    if (!request.ok()) continue;
    const auto outcome = session.on_request(*request, WallTime{});
    CHECK(session.watches().size() <= xds::Session::kMostTypes);
    if (!outcome.must_answer) continue;
    ++version;
    const std::string text = std::to_string(version);
    xds::Resources served;
    served.push_back(std::make_shared<const xds::Served>(xds::Served{"a", version, body}));
    served.push_back(std::make_shared<const xds::Served>(xds::Served{"b", 1, body}));
    xds::Session::Push push;
    push.type_url = request->type_url;
    push.resources = std::make_shared<const xds::Resources>(std::move(served));
    push.version = text;
    push.nonce = text;
    (void)session.respond(push, WallTime{});
    for (const auto& [type, watch] : session.watches())
      CHECK(watch.all_names().size() <= xds::Session::kMostNames);
  }
}

}  // namespace
}  // namespace lateen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::run(data, size);
  return 0;
}
