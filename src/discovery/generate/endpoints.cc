#include "discovery/generate/endpoints.h"

#include <map>

#include "discovery/generate/metadata.h"
#include "discovery/generate/names.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace lateen::discovery {
namespace {

namespace endpoint_v3 = envoy::config::endpoint::v3;

void fill_endpoint(const mesh::Endpoint& from, std::string_view cluster_id,
                   endpoint_v3::LbEndpoint& out) {
  auto& address = *out.mutable_endpoint()->mutable_address();
  if (from.address.starts_with("/")) {
    address.mutable_pipe()->set_path(from.address);
  } else {
    address.mutable_socket_address()->set_address(from.address);
    address.mutable_socket_address()->set_port_value(static_cast<std::uint32_t>(from.port));
  }
  out.mutable_load_balancing_weight()->set_value(from.weight);
  set_endpoint_metadata(from, cluster_id, *out.mutable_metadata());
}

struct Locality {
  std::string region, zone, subzone;
};

Locality split_locality(std::string_view text) {
  Locality out;
  const auto parts = split(text, '/');
  if (!parts.empty()) out.region = parts[0];
  if (parts.size() > 1) out.zone = parts[1];
  if (parts.size() > 2) out.subzone = parts[2];
  return out;
}

// With outlier detection on, near localities come first: same region and zone and subzone, and so
// on down.
std::uint32_t priority_of(const Locality& own, const Locality& other) {
  if (own.region != other.region) return 3;
  if (own.zone != other.zone) return 2;
  return own.subzone != other.subzone ? 1 : 0;
}

// Envoy wants priorities without gaps.
void close_gaps(ClusterLoadAssignment& out) {
  std::map<std::uint32_t, std::uint32_t> used;
  for (const auto& locality : out.endpoints()) used[locality.priority()] = 0;
  std::uint32_t next = 0;
  for (auto& [priority, dense] : used) dense = next++;
  for (auto& locality : *out.mutable_endpoints()) locality.set_priority(used[locality.priority()]);
}

bool fails_over(const View& view, const mesh::ConfigPtr<mesh::DestinationRule>& rule, int port) {
  if (rule == nullptr || !rule->spec.policy) return false;
  const mesh::PortTrafficPolicy policy = rule->spec.policy->for_port(port);
  if (!policy.outlier) return false;
  if (policy.load_balancer && policy.load_balancer->locality) {
    return policy.load_balancer->locality->enabled.value_or(true);
  }
  return view.mesh.mesh().locality.enabled.value_or(true);
}

}  // namespace

void fill_assignment(const View& view, const mesh::Service& service, const mesh::ServicePort& port,
                     const mesh::Labels& subset, ClusterLoadAssignment& out) {
  const auto endpoints = view.mesh.endpoints_of(service);
  std::map<std::string_view, endpoint_v3::LocalityLbEndpoints> by_locality;
  for (const mesh::Endpoint& endpoint : endpoints->endpoints) {
    if (endpoint.port_name != port.name || !mesh::selects(subset, endpoint.labels)) continue;
    endpoint_v3::LocalityLbEndpoints& locality = by_locality[endpoint.locality];
    fill_endpoint(endpoint, view.proxy.cluster_id, *locality.add_lb_endpoints());
    locality.mutable_load_balancing_weight()->set_value(locality.load_balancing_weight().value() +
                                                        endpoint.weight);
  }
  const auto rule = view.mesh.find_rule(service.host, view.proxy.ns, service.ns, view.proxy.labels);
  const bool has_priorities = fails_over(view, rule, port.number) && !view.proxy.locality.empty();
  const Locality own = split_locality(view.proxy.locality);
  for (auto& [name, endpoints_there] : by_locality) {
    const Locality locality = split_locality(name);
    auto& to = *endpoints_there.mutable_locality();
    to.set_region(locality.region);
    to.set_zone(locality.zone);
    to.set_sub_zone(locality.subzone);
    if (has_priorities) endpoints_there.set_priority(priority_of(own, locality));
    *out.add_endpoints() = std::move(endpoints_there);
  }
  if (has_priorities) close_gaps(out);
}

void make_assignment(const View& view, std::string_view cluster, ClusterLoadAssignment& out) {
  out.set_cluster_name(std::string(cluster));
  const auto name = parse_outbound_name(cluster);
  if (!name) return;
  const mesh::Service* service = view.scope.find(name->host);
  if (service == nullptr) return;
  const mesh::ServicePort* port = service->find_port(name->port);
  if (port == nullptr) return;
  mesh::Labels labels;
  if (!name->subset.empty()) {
    const auto rule =
        view.mesh.find_rule(service->host, view.proxy.ns, service->ns, view.proxy.labels);
    const mesh::Subset* subset = rule == nullptr ? nullptr : rule->spec.find_subset(name->subset);
    if (subset == nullptr) return;
    labels = subset->labels;
  }
  fill_assignment(view, *service, *port, labels, out);
}

}  // namespace lateen::discovery
