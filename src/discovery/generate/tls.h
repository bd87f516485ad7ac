// TLS contexts of generated config: workload certificates by SDS from the agent, gateway and file
// credentials.
#pragma once

#include <string>
#include <vector>

#include "discovery/scope.h"

namespace envoy::config::core::v3 {
class TransportSocket;
class ConfigSource;
}  // namespace envoy::config::core::v3
namespace envoy::extensions::transport_sockets::tls::v3 {
class CommonTlsContext;
}

namespace lateen::discovery {

void set_ads(envoy::config::core::v3::ConfigSource& source);

// Mutual TLS between workloads, client side. `sans`: SPIFFE ids of the peer, any when empty.
void set_istio_mutual(const std::vector<std::string>& sans, const std::string& sni, bool is_http2,
                      envoy::config::core::v3::TransportSocket& out);
// What a DestinationRule's tls says (SIMPLE, MUTUAL, ISTIO_MUTUAL).
void set_client_tls(const View& view, const mesh::ClientTls& tls, const std::string& default_sni,
                    const std::vector<std::string>& default_sans, bool is_http2,
                    envoy::config::core::v3::TransportSocket& out);

// Mutual TLS between workloads, server side.
void set_inbound_mutual(const View& view, const std::vector<std::string>& alpn,
                        envoy::config::core::v3::TransportSocket& out);
// What a Gateway server's (or Sidecar ingress') tls says.
void set_server_tls(const View& view, const mesh::ServerTls& tls, std::string_view ns, bool is_http,
                    envoy::config::core::v3::TransportSocket& out);
void set_raw_buffer(envoy::config::core::v3::TransportSocket& out);

}  // namespace lateen::discovery
