// Whole exchanges: any bytes of a client through listeners with every kind of filter, any bytes of
// the upstream back. Nothing crashes, nothing hangs, nothing is left over, and an upstream's answer
// cannot break out of its message.
#include <cstdint>
#include <cstdlib>

#include "base/check.h"
#include "proxy_room.h"

namespace {

// The input: which listener, how the bytes are cut, the client's bytes, this line, the upstream's.
constexpr std::string_view kBetween = "\n=====\n";
constexpr int kExchangesPerRoom = 256;

struct Rooms {
  std::unique_ptr<lateen::fuzz::ProxyRoom> room;
  int used = 0;
  lateen::fuzz::ProxyRoom& get() {
    if (room == nullptr || ++used > kExchangesPerRoom) {
      room.reset();
      room = std::make_unique<lateen::fuzz::ProxyRoom>();
      used = 0;
    }
    return *room;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 64 * 1024) return 0;
  static Rooms rooms;
  auto& room = rooms.get();
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t listener = static_cast<unsigned char>(text[0]);
  const std::size_t cut = static_cast<unsigned char>(text[1]) % 8;
  text.remove_prefix(2);
  const std::size_t between = text.find(kBetween);
  const std::string_view client = text.substr(0, between);
  const std::string_view upstream =
      between == std::string_view::npos
          ? std::string_view("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
          : text.substr(between + kBetween.size());
  (void)room.exchange(listener, client, upstream, cut == 0 ? 0 : cut * cut * cut);
  CHECK(room.is_empty());
  return 0;
}
