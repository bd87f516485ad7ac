// URLs that a client can call: http, https, and unix:/socket/path:/path.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace lateen::http {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // without brackets; empty for a Unix socket
  std::uint16_t port = 0;
  std::string authority;   // as it goes into Host: the port is left out when it is the scheme's own
  std::string unix_path;   // not empty for a Unix socket
  std::string path = "/";  // with query, without fragment

  static Result<Url> parse(std::string_view text);
  std::string host_and_port() const;  // "host:port", brackets around IPv6
};

}  // namespace lateen::http
