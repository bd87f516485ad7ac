// A connection's first bytes: what the inspectors say of them never crashes, does not change when
// more bytes follow, and is the same however they are cut.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "proxy/cluster/proxy_header.h"
#include "proxy/listener/inspect.h"

namespace lateen::proxy {
namespace {

// Once decided, more bytes change nothing; until then nothing may have been decided.
template <typename Look>
void check_prefixes(std::string_view bytes, Look look) {
  const Seen whole = look(bytes);
  const std::size_t step = bytes.size() / 16 + 1;
  for (std::size_t size = 0; size < bytes.size(); size += step) {
    const Seen part = look(bytes.substr(0, size));
    CHECK(part == Seen::kNeedMore || part == whole);
  }
}

void run(const std::uint8_t* data, std::size_t size) {
  if (size > kMostInspectedBytes) return;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_prefixes(bytes, [](std::string_view text) {
    ClientHello hello;
    return inspect_tls(text, hello);
  });
  check_prefixes(bytes, [](std::string_view text) {
    std::string protocol;
    return inspect_http(text, protocol);
  });
  check_prefixes(bytes, [](std::string_view text) {
    ProxyHeader header;
    return inspect_proxy(text, header);
  });
  ProxyHeader header;
  if (inspect_proxy(bytes, header) == Seen::kYes) {
    CHECK(header.bytes <= bytes.size());
    if (!header.is_local) {
      // What we would write for these addresses reads as them.
      for (const int version : {1, 2}) {
        const std::string written = proxy_header(version, header.source, header.destination);
        ProxyHeader again;
        CHECK(inspect_proxy(written, again) == Seen::kYes);
        CHECK(again.bytes == written.size());
        if (!again.is_local) CHECK(again.source == header.source);
      }
    }
  }
}

}  // namespace
}  // namespace lateen::proxy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::proxy::run(data, size);
  return 0;
}
