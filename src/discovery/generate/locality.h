// Locality load balancing: which endpoints come first, by where they and the proxy are, and which
// share of the traffic a place gets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mesh/destination_rule.h"

namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
class LbEndpoint;
}  // namespace envoy::config::endpoint::v3

namespace lateen::discovery {

struct Locality {
  std::string region, zone, subzone;
};
Locality split_locality(std::string_view text);  // "region/zone/subzone"

// What holds for a cluster: what its rule says, else what the mesh says.
struct LocalityPolicy {
  const mesh::LocalityLb* locality = nullptr;
  const mesh::ZoneAwareLb* zone_aware = nullptr;
  bool fails_over = false;  // outlier detection is on: a place can be left
};

// Endpoints of one locality, beside the labels that failoverPriority compares.
struct LocalEndpoint {
  const mesh::Labels* labels;
  std::string network;
};
// `members[i]` are those of the assignment's i-th locality, in its order. May split localities by
// priority.
void apply_locality(const LocalityPolicy& policy, const Locality& own, const mesh::Labels& labels,
                    const std::vector<std::vector<LocalEndpoint>>& members,
                    envoy::config::endpoint::v3::ClusterLoadAssignment& out);

}  // namespace lateen::discovery
