// How a snapshot is indexed. Each index is made of some parts of the mesh and is taken over from
// the snapshot before when none of them changed.
#include <algorithm>
#include <set>

#include "discovery/delegates.h"
#include "discovery/snapshot.h"
#include "mesh/hostname.h"

namespace lateen::discovery {
namespace {

template <typename Spec>
void sort_by_age(Configs<Spec>& configs) {
  std::sort(configs.begin(), configs.end(),
            [](const auto& a, const auto& b) { return mesh::is_older(a->meta, b->meta); });
}

bool fails_over_by_labels(const mesh::PortTrafficPolicy& policy) {
  if (!policy.load_balancer) return false;
  const auto& balancer = *policy.load_balancer;
  return (balancer.locality && !balancer.locality->failover_priority.empty()) ||
         (balancer.zone_aware && !balancer.zone_aware->failover_priority.empty());
}

bool fails_over_by_labels(const std::optional<mesh::TrafficPolicy>& policy) {
  if (!policy) return false;
  bool out = fails_over_by_labels(static_cast<const mesh::PortTrafficPolicy&>(*policy));
  for (const mesh::PortTrafficPolicy& port : policy->ports) out |= fails_over_by_labels(port);
  return out;
}

template <typename Routes>
bool matches_source_labels(const Routes& routes) {
  for (const auto& route : routes) {
    for (const auto& match : route.match) {
      if (!match.source_labels.empty()) return true;
    }
  }
  return false;
}

}  // namespace

MeshSnapshot::MeshSnapshot(SnapshotInput input, const MeshSnapshot* before)
    : in_(std::move(input)) {
  CHECK(in_.mesh != nullptr && in_.endpoints != nullptr);
  sort_configs();
  index(before);
  const auto& mesh = *in_.mesh;
  has_label_failover_ = rules_->has_label_failover || !mesh.locality.failover_priority.empty() ||
                        (mesh.zone_aware && !mesh.zone_aware->failover_priority.empty());
}

void MeshSnapshot::sort_configs() {
  sort_by_age(in_.gateways);
  sort_by_age(in_.sidecars);
  sort_by_age(in_.peer_authentications);
  sort_by_age(in_.request_authentications);
  sort_by_age(in_.authorization_policies);
  sort_by_age(in_.telemetries);
  sort_by_age(in_.wasm_plugins);
  sort_by_age(in_.proxy_configs);
  std::sort(in_.envoy_filters.begin(), in_.envoy_filters.end(), [](const auto& a, const auto& b) {
    if (a->spec.priority != b->spec.priority) return a->spec.priority < b->spec.priority;
    return mesh::is_older(a->meta, b->meta);
  });
}

void MeshSnapshot::index(const MeshSnapshot* before) {
  const auto is_same = [&](PartSet of) {
    return before != nullptr && before->stamp(of) == stamp(of);
  };
  const PartSet services = parts(Part::kServices, Part::kMesh);
  if (is_same(services)) {
    in_.services = before->in_.services;  // in their order
    services_ = before->services_;
  } else {
    services_ = index_services();
  }
  const PartSet routes = parts(Part::kVirtualServices, Part::kMesh);
  virtual_services_ =
      is_same(routes)
          ? before->virtual_services_
          : index_virtual_services(before == nullptr ? nullptr : before->virtual_services_.get());
  const PartSet rules = parts(Part::kRules, Part::kMesh);
  rules_ = is_same(rules) ? before->rules_ : index_rules();
  const PartSet networks = parts(Part::kServices, Part::kNetworks, Part::kMesh);
  gateways_by_network_ = is_same(networks) ? before->gateways_by_network_ : index_gateways();
  workloads_ = is_same(parts(Part::kWorkloads)) ? before->workloads_ : index_workloads();
  const PartSet headless = parts(Part::kServices, Part::kIdentities, Part::kMesh);
  headless_ = is_same(headless) ? before->headless_ : index_headless();
}

std::shared_ptr<const MeshSnapshot::ServiceIndex> MeshSnapshot::index_services() {
  std::stable_sort(in_.services.begin(), in_.services.end(), [](const auto& a, const auto& b) {
    return std::tie(a->created, a->host, a->ns) < std::tie(b->created, b->host, b->ns);
  });
  auto out = std::make_shared<ServiceIndex>();
  for (const mesh::ServicePtr& service : in_.services) {
    out->by_host[service->host].push_back(service);
    if (!service->selector.empty()) {
      out->with_selector[service->ns].push_back(service);
    } else if (service->registry == mesh::Service::Registry::kExternal &&
               service->resolution == mesh::Service::Resolution::kEndpoints) {
      out->with_addresses[service->ns].push_back(service);
    }
  }
  return out;
}

std::shared_ptr<const MeshSnapshot::WorkloadIndex> MeshSnapshot::index_workloads() {
  auto out = std::make_shared<WorkloadIndex>();
  for (const mesh::WorkloadPtr& workload : in_.workloads) {
    for (const std::string& ip : workload->ips) {
      if (!workload->is_host_network) out->by_ip[ip] = workload;
    }
    out->by_name[workload->ns + "/" + workload->name] = workload;
  }
  return out;
}

std::shared_ptr<const MeshSnapshot::HeadlessIndex> MeshSnapshot::index_headless() {
  auto out = std::make_shared<HeadlessIndex>();
  for (const mesh::ServicePtr& service : in_.services) {
    if (!service->is_headless) continue;
    for (const mesh::Endpoint& endpoint : endpoints_of(*service)->endpoints) {
      out->emplace(endpoint.address, 0);
    }
  }
  return out;
}

std::shared_ptr<const MeshSnapshot::RoutingIndex> MeshSnapshot::index_virtual_services(
    const RoutingIndex* before) {
  sort_by_age(in_.virtual_services);
  auto out = std::make_shared<RoutingIndex>();
  const auto* known = before == nullptr ? nullptr : &before->resolved;
  for (auto& config :
       resolve_virtual_services(in_.virtual_services, in_.domain, known, &out->resolved)) {
    std::set<std::string> gateways;
    for (const std::string& gateway : config->spec.gateways) {
      gateways.insert(mesh::resolve_gateway(gateway, config->meta.ns));
    }
    if (gateways.empty()) gateways.insert("mesh");
    for (const std::string& gateway : gateways) out->by_gateway[gateway].push_back(config);
    out->has_source_labels |= matches_source_labels(config->spec.http) ||
                              matches_source_labels(config->spec.tls) ||
                              matches_source_labels(config->spec.tcp);
  }
  out->sources = in_.virtual_services;
  return out;
}

std::shared_ptr<const MeshSnapshot::RuleIndex> MeshSnapshot::index_rules() {
  sort_by_age(in_.destination_rules);
  auto out = std::make_shared<RuleIndex>();
  for (const auto& config : in_.destination_rules) {
    auto resolved = std::make_shared<mesh::Config<mesh::DestinationRule>>(*config);
    mesh::DestinationRule& spec = resolved->spec;
    spec.host = mesh::resolve_host(config->spec.host, config->meta.ns, in_.domain);
    out->has_selectors |= spec.has_workload_selector;
    out->has_label_failover |= fails_over_by_labels(spec.policy);
    for (const mesh::Subset& subset : spec.subsets) {
      out->has_label_failover |= fails_over_by_labels(subset.policy);
    }
    RulesOfNamespace& near = out->by_ns[config->meta.ns];
    Configs<mesh::DestinationRule>& rules =
        mesh::is_wildcard_host(spec.host) ? near.wildcards : near.by_host[spec.host];
    // Rules for one host without selectors become one: the oldest's policy, everyone's subsets.
    const auto same = std::find_if(rules.begin(), rules.end(), [&](const auto& other) {
      return other->spec.host == spec.host && !other->spec.has_workload_selector &&
             !spec.has_workload_selector && other->spec.export_to == spec.export_to;
    });
    if (same == rules.end()) {
      rules.push_back(std::move(resolved));
      continue;
    }
    auto merged = std::make_shared<mesh::Config<mesh::DestinationRule>>(**same);
    if (!merged->spec.policy) merged->spec.policy = spec.policy;
    for (mesh::Subset& subset : spec.subsets) {
      if (merged->spec.find_subset(subset.name) != nullptr) continue;
      merged->spec.subsets.push_back(std::move(subset));
    }
    *same = std::move(merged);
  }
  return out;
}

// Gateways between networks: what MeshNetworks lists, and services labelled with a network, on the
// port that passes TLS on (15443 unless a label names another).
std::shared_ptr<const ByName<MeshSnapshot::Gateways>> MeshSnapshot::index_gateways() {
  constexpr int kTlsPort = 15443;
  auto out = std::make_shared<ByName<Gateways>>();
  if (in_.networks != nullptr) {
    for (const auto& [name, network] : in_.networks->networks) {
      for (const auto& gateway : network.gateways) {
        if (!gateway.address.empty()) {
          (*out)[name].emplace_back(gateway.address, gateway.port);
          continue;
        }
        const mesh::Service* service = find_service(gateway.service, mesh().root_namespace);
        if (service == nullptr) continue;
        for (const std::string& ip : service->external_ips) {
          (*out)[name].emplace_back(ip, gateway.port);
        }
      }
    }
  }
  for (const mesh::ServicePtr& service : in_.services) {
    const auto network = mesh::label_of(service->labels, "topology.istio.io/network");
    if (network.empty()) continue;
    const auto named =
        parse_int(mesh::label_of(service->labels, "networking.istio.io/gatewayPort"));
    const int port = named ? static_cast<int>(*named) : kTlsPort;
    for (const std::string& ip : service->external_ips) {
      (*out)[std::string(network)].emplace_back(ip, port);
    }
  }
  for (auto& [name, gateways] : *out) {
    std::sort(gateways.begin(), gateways.end());
    gateways.erase(std::unique(gateways.begin(), gateways.end()), gateways.end());
  }
  return out;
}

}  // namespace lateen::discovery
