// EDS: the endpoints of one cluster, grouped by locality.
#pragma once

#include <string_view>

#include "discovery/scope.h"

namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
}

namespace lateen::discovery {

using ClusterLoadAssignment = envoy::config::endpoint::v3::ClusterLoadAssignment;

// Of "outbound|9080|v1|reviews.default.svc.cluster.local"; no endpoints when nothing of that name
// is visible.
void make_assignment(const View& view, std::string_view cluster, ClusterLoadAssignment& out);
// Endpoints of a service port, or of one of its subsets.
void fill_assignment(const View& view, const mesh::Service& service, const mesh::ServicePort& port,
                     const std::string& subset, ClusterLoadAssignment& out);

}  // namespace lateen::discovery
