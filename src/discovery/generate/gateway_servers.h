// What a gateway workload serves: the servers of all Gateways that select it, by the port it
// listens on.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "discovery/scope.h"

namespace lateen::discovery {

struct GatewayServer {
  mesh::ConfigPtr<mesh::Gateway> gateway;
  const mesh::Server* server;
  std::string gateway_name() const { return gateway->meta.ns + "/" + gateway->meta.name; }
  // "http.8080", or "https.443.https.gw.default" for a server that ends TLS.
  std::string route_name(int listen_port) const;
};
// By listening port (the gateway service's target port), servers in order of their Gateways' age.
std::map<int, std::vector<GatewayServer>> servers_by_port(const View& view);

// The hosts of `config` that the server admits; for wildcards the narrower of both.
std::vector<std::string> admitted_hosts(const GatewayServer& server,
                                        const mesh::Config<mesh::VirtualService>& config);

}  // namespace lateen::discovery
