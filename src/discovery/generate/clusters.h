// CDS: outbound clusters of visible services and their subsets, inbound clusters of the own ones,
// and the pass-through and black-hole clusters.
#pragma once

#include <vector>

#include "discovery/scope.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}

namespace lateen::discovery {

using Cluster = envoy::config::cluster::v3::Cluster;

std::vector<Cluster> make_clusters(const View& view);

// Parts, used by tests and by gateways' SNI clusters.
// SPIFFE ids of the workloads behind a service port, sorted; what clients expect in the peer's
// certificate.
std::vector<std::string> service_identities(const MeshSnapshot& mesh, const mesh::Service& service,
                                            int port);

}  // namespace lateen::discovery
