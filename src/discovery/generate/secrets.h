// SDS over ADS for gateways: "kubernetes://name", "kubernetes://name-cacert",
// "kubernetes-gateway://ns/name".
#pragma once

#include <string_view>

#include "discovery/scope.h"

namespace envoy::extensions::transport_sockets::tls::v3 {
class Secret;
}

namespace lateen::discovery {

// False when there is no such secret, or the proxy may not read it (another namespace's).
bool make_secret(const View& view, std::string_view name,
                 envoy::extensions::transport_sockets::tls::v3::Secret& out);

}  // namespace lateen::discovery
