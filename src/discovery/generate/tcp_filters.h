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
  const mesh::ConsistentHash* hash = nullptr;
  mesh::Protocol protocol = mesh::Protocol::kTcp;
};
// Adds metadata exchange and RBAC (inbound), Istio's metrics, and the TCP proxy as the last filter.
void add_tcp(const View& view, const TcpChain& options, FilterChain& chain);

}  // namespace lateen::discovery
