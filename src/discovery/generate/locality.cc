#include "discovery/generate/locality.h"

#include <cmath>
#include <map>

#include "base/strings.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace lateen::discovery {
namespace {

namespace endpoint_v3 = envoy::config::endpoint::v3;
using Assignment = endpoint_v3::ClusterLoadAssignment;

constexpr std::string_view kNetworkLabel = "topology.istio.io/network";

Locality of(const endpoint_v3::LocalityLbEndpoints& group) {
  return {group.locality().region(), group.locality().zone(), group.locality().sub_zone()};
}

// "us-east/*" or "*" or "us-east/zone-1/*".
bool matches(std::string_view pattern, const Locality& place) {
  const auto parts = split(pattern, '/');
  const std::string* own[] = {&place.region, &place.zone, &place.subzone};
  for (std::size_t i = 0; i < parts.size() && i < 3; ++i) {
    if (parts[i] == "*") return true;
    if (parts[i] != *own[i]) return false;
  }
  return true;
}

// Envoy wants priorities without gaps.
void close_gaps(Assignment& out) {
  std::map<std::uint32_t, std::uint32_t> used;
  for (const auto& group : out.endpoints()) used[group.priority()] = 0;
  std::uint32_t next = 0;
  for (auto& [priority, dense] : used) dense = next++;
  for (auto& group : *out.mutable_endpoints()) group.set_priority(used[group.priority()]);
}

// Shares of the traffic by place; places that no share names get nothing.
void distribute(const std::vector<mesh::LocalityLb::Distribute>& shares, const Locality& own,
                Assignment& out) {
  for (const auto& share : shares) {
    if (!matches(share.from, own)) continue;
    std::vector<bool> is_named(static_cast<std::size_t>(out.endpoints_size()));
    for (const auto& [to, weight] : share.to) {
      std::vector<int> there;
      std::uint64_t total = 0;
      for (int i = 0; i < out.endpoints_size(); ++i) {
        if (is_named[static_cast<std::size_t>(i)] || !matches(to, of(out.endpoints(i)))) continue;
        is_named[static_cast<std::size_t>(i)] = true;
        there.push_back(i);
        total += out.endpoints(i).load_balancing_weight().value();
      }
      for (const int i : there) {
        auto& group = *out.mutable_endpoints(i);
        const double part = static_cast<double>(group.load_balancing_weight().value()) *
                            static_cast<double>(weight) / static_cast<double>(total);
        if (part > 0) {
          group.mutable_load_balancing_weight()->set_value(
              static_cast<std::uint32_t>(std::ceil(part)));
        }
      }
    }
    for (int i = 0; i < out.endpoints_size(); ++i) {
      if (!is_named[static_cast<std::size_t>(i)]) out.mutable_endpoints(i)->clear_lb_endpoints();
    }
    return;
  }
}

// How many of the labels agree before the first that does not; a network that differs counts for
// more than all others.
std::uint32_t label_priority(const std::vector<std::string>& wanted, const mesh::Labels& own,
                             const LocalEndpoint& endpoint) {
  const auto count = static_cast<std::uint32_t>(wanted.size());
  std::uint32_t adjust = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto pair = split_once(wanted[i], "=");
    const std::string_view name = pair ? pair->first : std::string_view(wanted[i]);
    const std::string_view ours = pair ? pair->second : mesh::label_of(own, name);
    std::string_view theirs = mesh::label_of(*endpoint.labels, name);
    if (name == kNetworkLabel && theirs.empty()) theirs = endpoint.network;
    if (ours == theirs) continue;
    if (i == 0 && name == kNetworkLabel) {
      adjust = count;
      continue;
    }
    return adjust + count - i;
  }
  return adjust;
}

void split_by_labels(const std::vector<std::string>& wanted, const mesh::Labels& own,
                     const std::vector<std::vector<LocalEndpoint>>& members, Assignment& out) {
  Assignment made;
  for (int i = 0; i < out.endpoints_size(); ++i) {
    const auto& group = out.endpoints(i);
    const auto& there = members[static_cast<std::size_t>(i)];
    std::map<std::uint32_t, endpoint_v3::LocalityLbEndpoints> by_priority;
    for (int m = 0; m < group.lb_endpoints_size(); ++m) {
      const std::uint32_t priority =
          label_priority(wanted, own, there[static_cast<std::size_t>(m)]);
      auto& part = by_priority[priority];
      *part.add_lb_endpoints() = group.lb_endpoints(m);
      part.mutable_load_balancing_weight()->set_value(
          part.load_balancing_weight().value() +
          group.lb_endpoints(m).load_balancing_weight().value());
    }
    for (auto& [priority, part] : by_priority) {
      *part.mutable_locality() = group.locality();
      part.set_priority(priority);
      *made.add_endpoints() = std::move(part);
    }
  }
  *out.mutable_endpoints() = std::move(*made.mutable_endpoints());
  close_gaps(out);
}

// Same region and zone and subzone first, and so on down; another region only if `failover` names
// it, the rest last.
void fail_over(const std::vector<mesh::LocalityLb::Failover>& failover, const Locality& own,
               bool is_regional, Assignment& out) {
  for (auto& group : *out.mutable_endpoints()) {
    const Locality place = of(group);
    std::uint32_t rank = 0;
    if (place.region != own.region) {
      rank = 3;
      for (const auto& rule : failover) {
        if (rule.from != own.region) continue;
        if (place.region != rule.to) rank = 4;
        break;
      }
      if (is_regional && failover.empty()) rank = 4;
    } else if (!is_regional) {
      if (place.zone != own.zone) {
        rank = 2;
      } else if (place.subzone != own.subzone) {
        rank = 1;
      }
    }
    group.set_priority(group.priority() * 5 + rank);
  }
  close_gaps(out);
}

}  // namespace

Locality split_locality(std::string_view text) {
  Locality out;
  const auto parts = split(text, '/');
  if (!parts.empty()) out.region = parts[0];
  if (parts.size() > 1) out.zone = parts[1];
  if (parts.size() > 2) out.subzone = parts[2];
  return out;
}

void apply_locality(const LocalityPolicy& policy, const Locality& own, const mesh::Labels& labels,
                    const std::vector<std::vector<LocalEndpoint>>& members, Assignment& out) {
  if (policy.zone_aware != nullptr) {
    if (!policy.zone_aware->enabled.value_or(true)) return;
    if (!policy.zone_aware->failover_priority.empty()) {
      split_by_labels(policy.zone_aware->failover_priority, labels, members, out);
    }
    return fail_over(policy.zone_aware->failover, own, /*is_regional=*/true, out);
  }
  if (policy.locality == nullptr || !policy.locality->enabled.value_or(true)) return;
  if (!policy.locality->distribute.empty())
    return distribute(policy.locality->distribute, own, out);
  if (!policy.fails_over) return;
  if (!policy.locality->failover_priority.empty()) {
    split_by_labels(policy.locality->failover_priority, labels, members, out);
    if (policy.locality->failover.empty()) return;
  } else if (own.region.empty()) {
    return;  // a proxy that is nowhere has no neighbours
  }
  fail_over(policy.locality->failover, own, /*is_regional=*/false, out);
}

}  // namespace lateen::discovery
