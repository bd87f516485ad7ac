// The tables of proxy-config: one row a cluster, listener, route, endpoint or secret, in istioctl's
// columns.
#pragma once

#include <string>
#include <vector>

#include "cli/envoy_dump.h"

namespace lateen::cli {

struct ClusterFilter {
  std::string fqdn, direction, subset;
  int port = 0;
  bool matches(const Json& cluster) const;
};
struct ListenerFilter {
  std::string address, type;
  int port = 0;
  bool is_verbose = true;
  bool matches(const Json& listener) const;
};
struct RouteFilter {
  std::string name;
  bool is_verbose = true;
  bool matches(const Json& route) const;
};
struct EndpointFilter {
  std::string address, cluster, status;
  int port = 0;
  bool matches(const Json& host, std::string_view cluster) const;
};

std::string cluster_table(const Json& dump, const ClusterFilter& filter);
std::string listener_table(const Json& dump, const ListenerFilter& filter);
std::string route_table(const Json& dump, const RouteFilter& filter);
// `clusters` is the answer of /clusters?format=json.
std::string endpoint_table(const Json& clusters, const EndpointFilter& filter);
std::string secret_table(const Json& dump);
std::string bootstrap_table(const Json& dump);

}  // namespace lateen::cli
