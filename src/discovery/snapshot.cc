#include "discovery/snapshot.h"

#include <algorithm>

#include "mesh/hostname.h"

namespace lateen::discovery {
namespace {

std::string object_key(std::string_view ns, std::string_view name) {
  std::string out(ns);
  return out.append("/").append(name);
}

// Configs of a namespaced policy kind that hold for a workload: root namespace's first, then its
// own.
template <typename Spec>
Configs<Spec> policies_of(const Configs<Spec>& all, std::string_view root, std::string_view ns,
                          const mesh::Labels& labels, mesh::Labels Spec::*selector) {
  Configs<Spec> out;
  for (const bool is_root_turn : {true, false}) {
    if (!is_root_turn && ns == root) break;
    for (const auto& config : all) {
      if (config->meta.ns != (is_root_turn ? root : ns)) continue;
      if (mesh::selects(config->spec.*selector, labels)) out.push_back(config);
    }
  }
  return out;
}

template <typename Spec>
void drop_targeted(Configs<Spec>& configs, const Proxy& proxy) {
  std::erase_if(configs,
                [&](const auto& config) { return !hits_target(config->spec.targets, proxy); });
}

}  // namespace

bool hits_target(const std::vector<mesh::TargetRef>& targets, const Proxy& proxy) {
  if (targets.empty()) return true;
  const auto gateway = mesh::label_of(proxy.labels, "gateway.networking.k8s.io/gateway-name");
  for (const mesh::TargetRef& target : targets) {
    const bool is_gateway = target.kind == "Gateway" && target.group == "gateway.networking.k8s.io";
    if (is_gateway && target.name == gateway) return true;
  }
  return false;
}

std::string endpoint_key(const mesh::Service& service) { return service.host + "/" + service.ns; }

const mesh::Service* MeshSnapshot::find_service(std::string_view host, std::string_view ns) const {
  const auto found = services_->by_host.find(host);
  if (found == services_->by_host.end()) return nullptr;
  const mesh::Service* any = nullptr;
  for (const mesh::ServicePtr& service : found->second) {
    const auto& export_to =
        service->export_to.empty() ? mesh().service_export_to : service->export_to;
    if (!mesh::is_exported_to(export_to, service->ns, ns)) continue;
    if (service->ns == ns) return service.get();
    if (any == nullptr || (any->registry != mesh::Service::Registry::kKubernetes &&
                           service->registry == mesh::Service::Registry::kKubernetes)) {
      any = service.get();
    }
  }
  return any;
}

mesh::EndpointSetPtr MeshSnapshot::endpoints_of(const mesh::Service& service) const {
  const auto found = in_.endpoints->find(endpoint_key(service));
  if (found != in_.endpoints->end()) return found->second;
  static const auto kNone = std::make_shared<const mesh::EndpointSet>();
  return kNone;
}

const mesh::Workload* MeshSnapshot::find_workload(std::string_view ip) const {
  const auto found = workloads_->by_ip.find(ip);
  return found == workloads_->by_ip.end() ? nullptr : found->second.get();
}

const mesh::Workload* MeshSnapshot::find_pod(std::string_view ns, std::string_view name) const {
  const auto found = workloads_->by_name.find(object_key(ns, name));
  return found == workloads_->by_name.end() ? nullptr : found->second.get();
}

mesh::WorkloadPtr MeshSnapshot::workload_of(const Proxy& proxy) const {
  const auto by_ip = workloads_->by_ip.find(proxy.ips.front());
  if (by_ip != workloads_->by_ip.end()) return by_ip->second;
  const auto by_name = workloads_->by_name.find(object_key(proxy.ns, proxy.pod));
  return by_name == workloads_->by_name.end() ? nullptr : by_name->second;
}

std::vector<Target> MeshSnapshot::targets_of(const Proxy& proxy) const {
  std::vector<Target> out;
  const mesh::WorkloadPtr workload = workload_of(proxy);
  const mesh::Labels& labels = workload != nullptr ? workload->labels : proxy.labels;
  // ServiceEntries may name the workload by its address.
  const auto fixed = services_->with_addresses.find(proxy.ns);
  if (fixed != services_->with_addresses.end()) {
    for (const mesh::ServicePtr& service : fixed->second) {
      for (const mesh::Endpoint& endpoint : endpoints_of(*service)->endpoints) {
        const mesh::ServicePort* port = service->find_port_named(endpoint.port_name);
        if (port != nullptr && endpoint.address == proxy.ips.front())
          out.push_back({service, port, endpoint.port});
      }
    }
  }
  const auto near = services_->with_selector.find(proxy.ns);
  if (near == services_->with_selector.end()) return out;
  for (const mesh::ServicePtr& service : near->second) {
    if (!mesh::selects(service->selector, labels)) continue;
    for (const mesh::ServicePort& port : service->ports) {
      if (port.protocol == mesh::Protocol::kUdp) continue;
      int number = port.target;
      if (number == 0 && workload != nullptr) {
        for (const mesh::Workload::Port& own : workload->ports) {
          if (own.name == port.target_name) number = own.number;
        }
      }
      if (number != 0) out.push_back({service, &port, number});
    }
  }
  return out;
}

const Configs<mesh::VirtualService>& MeshSnapshot::virtual_services_of(
    std::string_view gateway) const {
  static const Configs<mesh::VirtualService> kNone;
  const auto found = virtual_services_->by_gateway.find(gateway);
  return found == virtual_services_->by_gateway.end() ? kNone : found->second;
}

mesh::ConfigPtr<mesh::DestinationRule> MeshSnapshot::find_rule(std::string_view host,
                                                               std::string_view ns,
                                                               std::string_view service_ns,
                                                               const mesh::Labels& client) const {
  const auto best_of = [&](const Configs<mesh::DestinationRule>& rules, std::string_view in) {
    mesh::ConfigPtr<mesh::DestinationRule> best;
    for (const auto& rule : rules) {
      const auto& to =
          rule->spec.export_to.empty() ? mesh().destination_rule_export_to : rule->spec.export_to;
      if (!mesh::is_exported_to(to, in, ns) || !mesh::host_covers(rule->spec.host, host)) continue;
      if (rule->spec.has_workload_selector &&
          (in != ns || !mesh::selects(rule->spec.workload_selector, client))) {
        continue;
      }
      const bool is_better =
          best == nullptr ||
          (rule->spec.host == best->spec.host
               ? rule->spec.has_workload_selector && !best->spec.has_workload_selector
               : mesh::is_more_specific_host(rule->spec.host, best->spec.host));
      if (is_better) best = rule;
    }
    return best;
  };
  const auto search = [&](std::string_view in) -> mesh::ConfigPtr<mesh::DestinationRule> {
    const auto rules = rules_->by_ns.find(in);
    if (rules == rules_->by_ns.end()) return nullptr;
    // A host's own name is more specific than any pattern.
    if (const auto exact = rules->second.by_host.find(host); exact != rules->second.by_host.end()) {
      if (auto rule = best_of(exact->second, in)) return rule;
    }
    return best_of(rules->second.wildcards, in);
  };
  if (auto rule = search(ns)) return rule;
  if (auto rule = search(service_ns)) return rule;
  return search(mesh().root_namespace);
}

mesh::ConfigPtr<mesh::Sidecar> MeshSnapshot::find_sidecar(const Proxy& proxy) const {
  if (proxy.type != Proxy::Type::kSidecar) return nullptr;
  mesh::ConfigPtr<mesh::Sidecar> of_namespace;
  mesh::ConfigPtr<mesh::Sidecar> of_root;
  for (const auto& config : in_.sidecars) {
    const bool has_selector = !config->spec.workload_selector.empty();
    if (config->meta.ns == proxy.ns) {
      if (has_selector && mesh::selects(config->spec.workload_selector, proxy.labels))
        return config;
      if (!has_selector && of_namespace == nullptr) of_namespace = config;
    } else if (config->meta.ns == mesh().root_namespace && !has_selector && of_root == nullptr) {
      of_root = config;
    }
  }
  return of_namespace != nullptr ? of_namespace : of_root;
}

Configs<mesh::Gateway> MeshSnapshot::gateways_of(const Proxy& proxy) const {
  Configs<mesh::Gateway> out;
  for (const auto& gateway : in_.gateways) {
    const auto ns =
        mesh::label_of(gateway->meta.annotations, "internal.istio.io/workload-namespace");
    if (!ns.empty() && ns != proxy.ns) continue;
    if (mesh::selects(gateway->spec.selector, proxy.labels)) out.push_back(gateway);
  }
  return out;
}

mesh::MtlsMode MeshSnapshot::mtls_mode(std::string_view ns, const mesh::Labels& labels,
                                       int port) const {
  using mesh::MtlsMode;
  MtlsMode root = MtlsMode::kUnset;
  MtlsMode own = MtlsMode::kUnset;
  MtlsMode workload = MtlsMode::kUnset;
  MtlsMode on_port = MtlsMode::kUnset;
  // Oldest first, and the oldest wins.
  const auto take = [](MtlsMode& slot, MtlsMode mode) {
    if (slot == MtlsMode::kUnset) slot = mode;
  };
  for (const auto& config : in_.peer_authentications) {
    const bool has_selector = !config->spec.selector.empty();
    if (!has_selector && config->meta.ns == mesh().root_namespace) take(root, config->spec.mode);
    if (config->meta.ns != ns) continue;
    if (!has_selector) {
      take(own, config->spec.mode);
    } else if (mesh::selects(config->spec.selector, labels)) {
      take(workload, config->spec.mode);
      const auto found = config->spec.ports.find(port);
      if (found != config->spec.ports.end()) take(on_port, found->second);
    }
  }
  for (const MtlsMode mode : {on_port, workload, own, root}) {
    if (mode != MtlsMode::kUnset) return mode;
  }
  return MtlsMode::kPermissive;
}

bool MeshSnapshot::takes_mtls(const mesh::Endpoint& endpoint) const {
  if (!endpoint.has_mtls || in_.peer_authentications.empty()) return endpoint.has_mtls;
  return mtls_mode(endpoint.ns, endpoint.labels, endpoint.port) != mesh::MtlsMode::kDisable;
}

Configs<mesh::RequestAuthentication> MeshSnapshot::request_authentications_of(
    const Proxy& proxy) const {
  auto out = policies_of(in_.request_authentications, mesh().root_namespace, proxy.ns, proxy.labels,
                         &mesh::RequestAuthentication::selector);
  drop_targeted(out, proxy);
  return out;
}

Configs<mesh::AuthorizationPolicy> MeshSnapshot::authorization_policies_of(
    const Proxy& proxy) const {
  auto out = policies_of(in_.authorization_policies, mesh().root_namespace, proxy.ns, proxy.labels,
                         &mesh::AuthorizationPolicy::selector);
  drop_targeted(out, proxy);
  return out;
}

Configs<mesh::EnvoyFilter> MeshSnapshot::envoy_filters_of(const Proxy& proxy) const {
  auto out = policies_of(in_.envoy_filters, mesh().root_namespace, proxy.ns, proxy.labels,
                         &mesh::EnvoyFilter::workload_selector);
  drop_targeted(out, proxy);
  return out;
}

Configs<mesh::Telemetry> MeshSnapshot::telemetries_of(const Proxy& proxy) const {
  auto out = policies_of(in_.telemetries, mesh().root_namespace, proxy.ns, proxy.labels,
                         &mesh::Telemetry::selector);
  drop_targeted(out, proxy);
  // A workload's own come after its namespace's: the later ones win.
  std::stable_sort(out.begin(), out.end(), [&](const auto& a, const auto& b) {
    const auto rank = [&](const auto& config) {
      const bool is_own = !config->spec.selector.empty() || !config->spec.targets.empty();
      return config->meta.ns != proxy.ns ? 0 : 1 + int(is_own);
    };
    return rank(a) < rank(b);
  });
  return out;
}

Configs<mesh::WasmPlugin> MeshSnapshot::wasm_plugins_of(const Proxy& proxy) const {
  auto out = policies_of(in_.wasm_plugins, mesh().root_namespace, proxy.ns, proxy.labels,
                         &mesh::WasmPlugin::selector);
  drop_targeted(out, proxy);
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a->spec.priority > b->spec.priority;
  });
  return out;
}

std::string MeshSnapshot::network_of(const mesh::Endpoint& endpoint,
                                     std::string_view cluster) const {
  if (!endpoint.network.empty()) return endpoint.network;
  if (in_.networks != nullptr) {
    const auto claimed = in_.networks->network_of(endpoint.address, cluster);
    if (!claimed.empty()) return std::string(claimed);
  }
  return in_.network;
}

const MeshSnapshot::Gateways& MeshSnapshot::gateways_to(std::string_view network) const {
  static const Gateways kNone;
  const auto found = gateways_by_network_->find(network);
  return found == gateways_by_network_->end() ? kNone : found->second;
}

TlsSecretPtr MeshSnapshot::find_secret(std::string_view ns, std::string_view name) const {
  const auto found = in_.secrets.find(object_key(ns, name));
  return found == in_.secrets.end() ? nullptr : found->second;
}

}  // namespace lateen::discovery
