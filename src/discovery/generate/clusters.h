// CDS: outbound clusters of visible services and their subsets, inbound clusters of the own ones,
// and the pass-through and black-hole clusters.
#pragma once

#include <functional>
#include <vector>

#include "discovery/scope.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}

namespace lateen::discovery {

using Cluster = envoy::config::cluster::v3::Cluster;

std::vector<Cluster> make_clusters(const View& view);

// Parts.
// One outbound cluster: it depends on these, the service's endpoints, the mesh config, and of the
// proxy on what outbound_group() names.
struct OutboundItem {
  const mesh::ServicePtr& service;
  const mesh::ServicePort& port;
  const mesh::Subset* subset;  // null: all endpoints
  const mesh::ConfigPtr<mesh::DestinationRule>& rule;
  bool is_sni;
};
void for_each_outbound(const View& view, const std::function<void(const OutboundItem&)>& take);
Cluster make_outbound_cluster(const View& view, const OutboundItem& item);
// Those that stand for no service: inbound, pass-through, black hole.
std::vector<Cluster> make_own_clusters(const View& view);
// What outbound clusters and endpoints depend on of a proxy, beside its namespace and labels, which
// decide what it sees and which rules it obeys.
std::string outbound_group(const MeshSnapshot& mesh, const Proxy& proxy);

// SPIFFE ids of the workloads behind a service port, sorted; what clients expect in the peer's
// certificate.
std::vector<std::string> service_identities(const MeshSnapshot& mesh, const mesh::Service& service,
                                            int port);

}  // namespace lateen::discovery
