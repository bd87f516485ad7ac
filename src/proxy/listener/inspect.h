// Looking at a connection's first bytes without consuming them: TLS ClientHello, HTTP request line,
// PROXY protocol. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace lateen::proxy {

inline constexpr std::size_t kMostInspectedBytes = 64 * 1024;

enum class Seen : unsigned char { kNeedMore, kYes, kNo };

struct ClientHello {
  std::string server_name;  // lower case
  std::vector<std::string> alpn;
};
// kYes: `hello` is filled. kNo: no TLS, or malformed.
Seen inspect_tls(std::string_view bytes, ClientHello& hello);

// kYes: `protocol` is "http/1.0", "http/1.1" or "h2c".
Seen inspect_http(std::string_view bytes, std::string& protocol);

struct ProxyHeader {
  std::size_t bytes = 0;  // to drop from the stream
  bool is_local = false;  // LOCAL or UNKNOWN: keep the real addresses
  net::Address source;
  net::Address destination;
};
// PROXY protocol v1 and v2. kNo: it is none, or malformed.
Seen inspect_proxy(std::string_view bytes, ProxyHeader& header);

}  // namespace lateen::proxy
