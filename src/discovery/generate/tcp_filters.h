// Filter chains that pass bytes: TCP proxies to one or several clusters, with Istio's filters
// before them.
#pragma once

#include <string>
#include <vector>

#include "discovery/generate/http_filters.h"

namespace lateen::discovery {

struct TcpChain {
  Side side = Side::kOutbound;
  std::string stat_prefix;
  // Cluster names with weights; one without weight takes all.
  std::vector<std::pair<std::string, std::uint32_t>> clusters;
  std::optional<nanoseconds> idle_timeout;
  std::optional<nanoseconds> max_duration;
  std::optional<mesh::Tunnel> tunnel;
  bool hashes_source_ip = false;
  mesh::Protocol protocol = mesh::Protocol::kTcp;
};
// What the DestinationRule of the chain's (first) destination says of its connections.
void apply_rule(const View& view, const mesh::Service& service, const mesh::ServicePort& port,
                TcpChain& chain);
// Adds metadata exchange and RBAC (inbound), Istio's metrics, and the TCP proxy as the last filter.
void add_tcp(const View& view, const TcpChain& options, FilterChain& chain);

}  // namespace lateen::discovery
