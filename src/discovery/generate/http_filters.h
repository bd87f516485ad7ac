// HTTP connection managers and their filters, in Istio's order: metadata exchange, external
// authorization, JWT, RBAC, gRPC stats, ALPN, fault, CORS, Istio's metrics, router.
#pragma once

#include <string>

#include "discovery/generate/telemetry.h"

namespace envoy::config::listener::v3 {
class Filter;
class FilterChain;
}  // namespace envoy::config::listener::v3
namespace envoy::config::route::v3 {
class RouteConfiguration;
}

namespace lateen::discovery {

using FilterChain = envoy::config::listener::v3::FilterChain;
using RouteConfiguration = envoy::config::route::v3::RouteConfiguration;

struct HttpChain {
  Side side = Side::kOutbound;
  std::string stat_prefix;
  std::string route_name;                      // by RDS, unless
  const RouteConfiguration* routes = nullptr;  // given inline
  bool is_terminating_tls = false;
  int port = 0;  // of the workload or listener; 0: any
};
// Adds the connection manager as the chain's last filter.
void add_http(const View& view, const HttpChain& options, FilterChain& chain);

}  // namespace lateen::discovery
