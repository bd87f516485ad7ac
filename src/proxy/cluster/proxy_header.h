// Writing the PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt).
#pragma once

#include <memory>

#include "net/stream.h"

namespace lateen::proxy {

std::string proxy_header(int version, const net::Address& source, const net::Address& destination);
// A stream whose first bytes are the header.
std::unique_ptr<net::Stream> put_proxy_header(std::unique_ptr<net::Stream> stream, int version,
                                              const net::Address& source,
                                              const net::Address& destination);

}  // namespace lateen::proxy
