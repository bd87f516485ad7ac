// Discovery for gRPC applications without a proxy (node metadata GENERATOR: grpc): listeners by
// "host:port" that hold a connection manager for the client, routes and clusters by
// "outbound|port|subset|host", and listeners of servers by "xds.istio.io/grpc/lds/inbound/IP:PORT".
// Certificates come from the provider instance "default" of the application's bootstrap.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "discovery/generate/clusters.h"
#include "discovery/generate/listeners.h"
#include "discovery/generate/routes.h"

namespace lateen::discovery {

bool is_proxyless(const Proxy& proxy);

// Those that are asked for; of clients' listeners all when none is named.
std::vector<Listener> make_proxyless_listeners(const View& view,
                                               const std::set<std::string>& names);
std::vector<Cluster> make_proxyless_clusters(const View& view, const std::set<std::string>& names);
// False: no such service.
bool make_proxyless_route(const View& view, const std::string& name, RouteConfiguration& out);

}  // namespace lateen::discovery
