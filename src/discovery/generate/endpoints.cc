#include "discovery/generate/endpoints.h"

#include <map>

#include "discovery/generate/locality.h"
#include "discovery/generate/metadata.h"
#include "discovery/generate/names.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace lateen::discovery {
namespace {

namespace endpoint_v3 = envoy::config::endpoint::v3;

void fill_endpoint(const View& view, const mesh::Endpoint& from, endpoint_v3::LbEndpoint& out) {
  auto& address = *out.mutable_endpoint()->mutable_address();
  if (from.address.starts_with("/")) {
    address.mutable_pipe()->set_path(from.address);
  } else {
    address.mutable_socket_address()->set_address(from.address);
    address.mutable_socket_address()->set_port_value(static_cast<std::uint32_t>(from.port));
  }
  out.mutable_load_balancing_weight()->set_value(from.weight);
  set_endpoint_metadata(from, view.mesh.takes_mtls(from), view.proxy.cluster_id,
                        *out.mutable_metadata());
}

LocalityPolicy locality_policy(const View& view, const mesh::PortTrafficPolicy& policy) {
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  LocalityPolicy out;
  out.fails_over = policy.outlier.has_value() || mesh.default_outlier.has_value();
  const mesh::LoadBalancer* own = policy.load_balancer ? &*policy.load_balancer : nullptr;
  if (own != nullptr && own->zone_aware) {
    out.zone_aware = &*own->zone_aware;
  } else if (own != nullptr && own->locality) {
    out.locality = &*own->locality;
  } else if (mesh.zone_aware) {
    out.zone_aware = &*mesh.zone_aware;
  } else {
    out.locality = &mesh.locality;
  }
  return out;
}

// An endpoint of a network that the proxy cannot reach is replaced by the gateways in front of it,
// which pass mutual TLS on by its server name.
std::vector<mesh::Endpoint> reachable(const View& view,
                                      const std::vector<const mesh::Endpoint*>& endpoints) {
  std::vector<mesh::Endpoint> out;
  std::map<std::pair<std::string, int>, std::size_t> gateways;
  for (const mesh::Endpoint* endpoint : endpoints) {
    const std::string network = view.mesh.network_of(*endpoint, view.proxy.cluster_id);
    const auto& through = view.mesh.gateways_to(network);
    if (network.empty() || network == view.proxy.network || through.empty()) {
      out.push_back(*endpoint);
      continue;
    }
    if (!view.mesh.takes_mtls(*endpoint))
      continue;  // a gateway routes by the name in the handshake
    for (const auto& [address, port] : through) {
      const auto [slot, is_new] = gateways.try_emplace({address, port}, out.size());
      if (!is_new) {
        out[slot->second].weight += endpoint->weight;
        continue;
      }
      mesh::Endpoint& gateway = out.emplace_back(*endpoint);
      gateway.address = address;
      gateway.port = port;
      gateway.network = network;
    }
  }
  return out;
}

}  // namespace

void fill_assignment(const View& view, const mesh::Service& service, const mesh::ServicePort& port,
                     const std::string& subset_name, ClusterLoadAssignment& out) {
  const auto rule = view.mesh.find_rule(service.host, view.proxy.ns, service.ns, view.proxy.labels);
  const mesh::Subset* subset = rule == nullptr ? nullptr : rule->spec.find_subset(subset_name);
  static const mesh::Labels kAll;
  const mesh::Labels& wanted = subset == nullptr ? kAll : subset->labels;
  const auto endpoints = view.mesh.endpoints_of(service);
  std::vector<const mesh::Endpoint*> selected;
  for (const mesh::Endpoint& endpoint : endpoints->endpoints) {
    if (endpoint.port_name != port.name || !mesh::selects(wanted, endpoint.labels)) continue;
    selected.push_back(&endpoint);
  }
  const std::vector<mesh::Endpoint> members = reachable(view, selected);
  struct Group {
    endpoint_v3::LocalityLbEndpoints made;
    std::vector<LocalEndpoint> members;
  };
  std::map<std::string_view, Group> by_locality;
  for (const mesh::Endpoint& endpoint : members) {
    Group& group = by_locality[endpoint.locality];
    fill_endpoint(view, endpoint, *group.made.add_lb_endpoints());
    group.members.push_back({&endpoint.labels, endpoint.network});
    group.made.mutable_load_balancing_weight()->set_value(
        group.made.load_balancing_weight().value() + endpoint.weight);
  }
  std::vector<std::vector<LocalEndpoint>> local;
  for (auto& [name, group] : by_locality) {
    const Locality locality = split_locality(name);
    auto& to = *group.made.mutable_locality();
    to.set_region(locality.region);
    to.set_zone(locality.zone);
    to.set_sub_zone(locality.subzone);
    *out.add_endpoints() = std::move(group.made);
    local.push_back(std::move(group.members));
  }
  mesh::PortTrafficPolicy policy;
  if (rule != nullptr) {
    policy = merge_policies(rule->spec.policy ? &*rule->spec.policy : nullptr,
                            subset != nullptr && subset->policy ? &*subset->policy : nullptr)
                 .for_port(port.number);
  }
  apply_locality(locality_policy(view, policy), split_locality(view.proxy.locality),
                 view.proxy.labels, local, out);
}

void make_assignment(const View& view, std::string_view cluster, ClusterLoadAssignment& out) {
  out.set_cluster_name(std::string(cluster));
  const auto name = parse_outbound_name(cluster);
  if (!name) return;
  const mesh::Service* service = view.scope.find(name->host);
  if (service == nullptr) return;
  const mesh::ServicePort* port = service->find_port(name->port);
  if (port == nullptr) return;
  if (!name->subset.empty()) {
    const auto rule =
        view.mesh.find_rule(service->host, view.proxy.ns, service->ns, view.proxy.labels);
    if (rule == nullptr || rule->spec.find_subset(name->subset) == nullptr) return;
  }
  fill_assignment(view, *service, *port, name->subset, out);
}

}  // namespace lateen::discovery
