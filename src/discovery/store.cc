#include "discovery/store.h"

#include <algorithm>

#include "base/log.h"
#include "discovery/store_rules.h"
#include "mesh/kinds.h"

namespace lateen::discovery {
namespace {

using data::get_string;

template <typename Spec>
bool has_l4_routes(const mesh::ConfigPtr<Spec>& config) {
  if constexpr (std::is_same_v<Spec, mesh::VirtualService>) {
    return config != nullptr && (!config->spec.tls.empty() || !config->spec.tcp.empty());
  }
  return false;
}

template <typename Spec>
Configs<Spec> values(
    const std::map<std::pair<std::string, std::string>, mesh::ConfigPtr<Spec>>& from) {
  Configs<Spec> out;
  out.reserve(from.size());
  for (const auto& [name, config] : from) out.push_back(config);
  return out;
}

// Who answers on each port: what clusters say of endpoints.
std::set<std::string> identities(const std::vector<mesh::Endpoint>& endpoints) {
  std::set<std::string> out;
  for (const mesh::Endpoint& endpoint : endpoints) {
    out.insert(endpoint.port_name + "/" + endpoint.ns + "/" + endpoint.service_account +
               (endpoint.has_mtls ? "/mtls" : ""));
  }
  return out;
}

constexpr PartSet kTranslatedParts =
    parts(Part::kGateways, Part::kVirtualServices, Part::kL4Routes);

bool has_translations(const Translation::Objects& objects) {
  return std::any_of(objects.begin(), objects.end(),
                     [](const auto& entry) { return std::get<0>(entry.first) != "Namespace"; });
}

template <typename Spec, typename IsHidden>
void drop_hidden(Configs<Spec>& configs, IsHidden is_hidden) {
  std::erase_if(configs, [&](const auto& config) { return is_hidden(config->meta.ns); });
}

}  // namespace

void Impact::add(const Impact& other) {
  is_full |= other.is_full;
  hosts.insert(other.hosts.begin(), other.hosts.end());
  secrets.insert(other.secrets.begin(), other.secrets.end());
  if (reason.empty() || other.is_full) reason = other.reason;
}

Store::Store(Options options)
    : options_(std::move(options)), mesh_(std::make_shared<mesh::MeshConfig>()) {
  mesh::Issues issues;
  auto defaults = mesh::parse_mesh_config("{}", issues);
  if (defaults.ok()) mesh_ = std::make_shared<const mesh::MeshConfig>(*std::move(defaults));
}

Impact Store::changed(PartSet parts, std::string reason) {
  // Ingresses and Gateway API objects are translated by what the services are.
  if ((parts & part(Part::kServices)) != 0 && has_translations(translated_)) {
    translation_ = nullptr;
    parts |= kTranslatedParts;
  }
  versions_.touch(parts);
  Impact impact;
  impact.is_full = true;
  impact.reason = std::move(reason);
  return impact;
}

Impact Store::put(const data::Json& object) { return apply(object, false); }
Impact Store::remove(const data::Json& object) { return apply(object, true); }

Impact Store::apply(const data::Json& object, bool is_removed) {
  const std::string_view kind = get_string(object, {"kind"});
  const std::string_view api = get_string(object, {"apiVersion"});
  if (Translation::takes(kind, api)) {
    Impact impact = apply_translated(object, is_removed);
    if (kind != "Namespace") return impact;
    // Labels of namespaces matter to those who select by them.
    if (mesh_->discovery_selectors.empty() && !has_gateways(translated_)) impact = {};
    impact.add(apply_namespace(object, is_removed));
    return impact;
  }
  if (api == "v1") {
    if (kind == "Service") return apply_service(object, is_removed);
    if (kind == "Pod") return apply_pod(object, is_removed);
    if (kind == "Node") return apply_node(object, is_removed);
    if (kind == "Secret") return apply_secret(object, is_removed);
    if (kind == "ConfigMap") return apply_mesh_config(object, is_removed);
    return {};
  }
  if (kind == "EndpointSlice") return apply_slice(object, is_removed);
  if (mesh::find_kind(kind, api.substr(0, api.find('/'))) == nullptr) return {};
  if (kind == "VirtualService")
    return apply_config(object, is_removed, virtual_services_, Part::kVirtualServices);
  if (kind == "DestinationRule")
    return apply_config(object, is_removed, destination_rules_, Part::kRules);
  if (kind == "Gateway") return apply_config(object, is_removed, gateways_, Part::kGateways);
  if (kind == "Sidecar") return apply_config(object, is_removed, sidecars_, Part::kSidecars);
  if (kind == "PeerAuthentication")
    return apply_config(object, is_removed, peer_authentications_, Part::kPeerAuthentications);
  if (kind == "RequestAuthentication") {
    return apply_config(object, is_removed, request_authentications_,
                        Part::kRequestAuthentications);
  }
  if (kind == "AuthorizationPolicy") {
    return apply_config(object, is_removed, authorization_policies_, Part::kAuthorizationPolicies);
  }
  if (kind == "EnvoyFilter")
    return apply_config(object, is_removed, envoy_filters_, Part::kEnvoyFilters);
  if (kind == "Telemetry")
    return apply_config(object, is_removed, telemetries_, Part::kTelemetries);
  if (kind == "WasmPlugin")
    return apply_config(object, is_removed, wasm_plugins_, Part::kWasmPlugins);
  if (kind == "ProxyConfig")
    return apply_config(object, is_removed, proxy_configs_, Part::kProxyConfigs);
  if (kind == "ServiceEntry" || kind == "WorkloadEntry") {
    if (kind == "WorkloadEntry") note_health(object, is_removed);
    Impact impact = kind == "ServiceEntry"
                        ? apply_config(object, is_removed, service_entries_, Part::kServices)
                        : apply_config(object, is_removed, workload_entries_, Part::kWorkloads);
    if (impact.empty()) return impact;
    rebuild_entries();
    impact.add(rebuild_endpoints(std::string(get_string(object, {"metadata", "namespace"}))));
    return changed(parts(Part::kServices, Part::kEndpoints, Part::kIdentities, Part::kWorkloads),
                   "serviceentry");
  }
  return {};
}

template <typename Spec>
Impact Store::apply_config(const data::Json& object, bool is_removed, Table<Spec>& table,
                           Part part) {
  mesh::Issues issues;
  auto config = std::make_shared<mesh::Config<Spec>>();
  config->meta = mesh::read_meta(object);
  const Name name{config->meta.ns, config->meta.name};
  const auto remove = [&]() -> Impact {
    const auto found = table.find(name);
    if (found == table.end()) return {};
    const PartSet l4 = has_l4_routes(found->second) ? parts(Part::kL4Routes) : 0;
    table.erase(found);
    return changed(parts(part) | l4, "config");
  };
  if (is_removed) return remove();
  *config = mesh::read_config<Spec>(object, issues);
  // Unknown fields came past a webhook that was off: they do no harm. A wrong type would.
  std::erase_if(issues.errors,
                [](const std::string& text) { return text.starts_with("unknown field"); });
  if (!issues.ok()) {
    ++rejected_;
    LOG(kWarn, "store", "{} {}/{} is not used: {}; correct it and apply it again",
        config->meta.kind, name.first, name.second, issues.to_string());
    return remove();
  }
  mesh::ConfigPtr<Spec>& slot = table[name];
  // A status or metadata update is no change of config.
  if (slot != nullptr && slot->meta.generation != 0 && config->meta.generation != 0 &&
      slot->meta.generation == config->meta.generation && slot->meta.uid == config->meta.uid &&
      slot->meta.labels == config->meta.labels &&
      slot->meta.annotations == config->meta.annotations) {
    return {};
  }
  const bool is_l4 = has_l4_routes(slot) || has_l4_routes<Spec>(config);
  slot = std::move(config);
  return changed(parts(part) | (is_l4 ? parts(Part::kL4Routes) : 0), "config");
}

Impact Store::apply_service(const data::Json& object, bool is_removed) {
  auto service = std::make_shared<mesh::Service>(mesh::service_of_kube(object, options_.domain));
  const Name name{service->ns, service->name};
  if (is_removed) {
    if (services_.erase(name) == 0) return {};
    endpoints_.erase(endpoint_key(*service));
    shared_endpoints_ = nullptr;
    return changed(parts(Part::kServices, Part::kEndpoints, Part::kIdentities), "service");
  }
  mesh::ServicePtr& slot = services_[name];
  if (slot != nullptr && *slot == *service) return {};
  slot = service;
  rebuild_service(*service);
  return changed(parts(Part::kServices, Part::kEndpoints, Part::kIdentities), "service");
}

Impact Store::apply_slice(const data::Json& object, bool is_removed) {
  const Name name{std::string(get_string(object, {"metadata", "namespace"})),
                  std::string(get_string(object, {"metadata", "name"}))};
  const std::string service(
      get_string(object, {"metadata", "labels", "kubernetes.io/service-name"}));
  if (service.empty()) return {};
  auto& slices = slices_of_service_[{name.first, service}];
  if (is_removed) {
    slices_.erase(name);
    slices.erase(name.second);
  } else {
    slices_[name] = object;
    slices.insert(name.second);
  }
  const auto found = services_.find({name.first, service});
  return found == services_.end() ? Impact{} : rebuild_service(*found->second);
}

Impact Store::apply_pod(const data::Json& object, bool is_removed) {
  auto workload = std::make_shared<mesh::Workload>(mesh::workload_of_pod(object));
  const Name name{workload->ns, workload->name};
  const std::string_view phase = get_string(object, {"status", "phase"});
  const auto found = pods_.find(name);
  const bool is_gone = is_removed || phase == "Succeeded" || phase == "Failed";
  if (is_gone) {
    if (found == pods_.end()) return {};
    for (const std::string& ip : found->second->ips) {
      const auto by_ip = pod_by_ip_.find(ip);
      if (by_ip != pod_by_ip_.end() && by_ip->second == name) pod_by_ip_.erase(by_ip);
    }
    pods_.erase(found);
    versions_.touch(parts(Part::kWorkloads));
  } else {
    if (workload->locality.empty()) {
      const auto locality = node_localities_.find(workload->node);
      if (locality != node_localities_.end()) workload->locality = locality->second;
    }
    if (found != pods_.end() && *found->second == *workload) return {};
    if (!workload->is_host_network) {
      for (const std::string& ip : workload->ips) pod_by_ip_[ip] = name;
    }
    pods_[name] = workload;
    versions_.touch(parts(Part::kWorkloads));
  }
  return rebuild_endpoints(name.first);
}

Impact Store::apply_node(const data::Json& object, bool is_removed) {
  const std::string name(get_string(object, {"metadata", "name"}));
  const std::string locality = is_removed ? "" : mesh::locality_of_node(object);
  std::string& slot = node_localities_[name];
  if (slot == locality) return {};
  slot = locality;
  versions_.touch(parts(Part::kWorkloads));
  std::set<std::string> namespaces;
  for (auto& [key, pod] : pods_) {
    if (pod->node != name) continue;
    auto moved = std::make_shared<mesh::Workload>(*pod);
    moved->locality = locality;
    pod = std::move(moved);
    namespaces.insert(key.first);
  }
  Impact impact;
  for (const std::string& ns : namespaces) impact.add(rebuild_endpoints(ns));
  return impact;
}

Impact Store::apply_secret(const data::Json& object, bool is_removed) {
  const std::string name = std::string(get_string(object, {"metadata", "namespace"})) + "/" +
                           std::string(get_string(object, {"metadata", "name"}));
  const TlsSecretPtr secret = is_removed ? nullptr : read_secret(object);
  const auto found = secrets_.find(name);
  if (secret == nullptr) {
    if (found == secrets_.end()) return {};
    secrets_.erase(found);
  } else {
    if (found != secrets_.end() && found->second->certificate_pem == secret->certificate_pem &&
        found->second->key_pem == secret->key_pem && found->second->ca_pem == secret->ca_pem &&
        found->second->crl_pem == secret->crl_pem) {
      return {};
    }
    secrets_[name] = secret;
  }
  versions_.touch(parts(Part::kSecrets));
  Impact impact;
  impact.secrets.insert(name);
  impact.reason = "secret";
  return impact;
}

Impact Store::apply_mesh_config(const data::Json& object, bool is_removed) {
  const bool is_default = options_.revision.empty() || options_.revision == "default";
  const std::string wanted = is_default ? "istio" : "istio-" + options_.revision;
  if (get_string(object, {"metadata", "namespace"}) != options_.system_namespace ||
      get_string(object, {"metadata", "name"}) != wanted) {
    return {};
  }
  mesh::Issues issues;
  const std::string_view text = is_removed ? "{}" : get_string(object, {"data", "mesh"}, "{}");
  auto parsed = mesh::parse_mesh_config(text, issues);
  if (!parsed.ok() || !issues.ok()) {
    LOG(kWarn, "store", "ConfigMap {}/{}: the new mesh config is not used: {}",
        options_.system_namespace, wanted,
        parsed.ok() ? issues.to_string() : parsed.error().message());
    return {};
  }
  const Impact networks = apply_networks(object, is_removed);
  if (data::equal(parsed->whole, mesh_->whole)) return networks;
  if (!parsed->proxy.sampling_percent) parsed->proxy.sampling_percent = options_.default_sampling;
  mesh_ = std::make_shared<const mesh::MeshConfig>(*std::move(parsed));
  translation_ = nullptr;
  return changed(kAllParts, "global");
}

Impact Store::apply_networks(const data::Json& object, bool is_removed) {
  const std::string text(is_removed ? "" : get_string(object, {"data", "meshNetworks"}));
  if (text == networks_text_) return {};
  mesh::Issues issues;
  auto parsed = mesh::parse_mesh_networks(text, issues);
  std::erase_if(issues.errors,
                [](const std::string& error) { return error.starts_with("unknown field"); });
  if (!parsed.ok() || !issues.ok()) {
    LOG(kWarn, "store", "meshNetworks: the new networks are not used: {}",
        parsed.ok() ? issues.to_string() : parsed.error().message());
    return {};
  }
  networks_text_ = text;
  networks_ = std::make_shared<const mesh::MeshNetworks>(*std::move(parsed));
  return changed(parts(Part::kNetworks), "networks");
}

// The system namespace says which network the cluster is in.
Impact Store::apply_namespace(const data::Json& object, bool is_removed) {
  if (get_string(object, {"metadata", "name"}) != options_.system_namespace) return {};
  const std::string network(
      is_removed ? "" : get_string(object, {"metadata", "labels", "topology.istio.io/network"}));
  if (network == network_) return {};
  network_ = network;
  return changed(parts(Part::kNetworks), "networks");
}

Impact Store::apply_translated(const data::Json& object, bool is_removed) {
  const Translation::Key key{std::string(get_string(object, {"kind"})),
                             std::string(get_string(object, {"metadata", "namespace"})),
                             std::string(get_string(object, {"metadata", "name"}))};
  const auto found = translated_.find(key);
  if (is_removed) {
    if (found == translated_.end()) return {};
    translated_.erase(found);
  } else {
    // A status that we wrote ourselves is no change.
    data::Json kept = object;
    data::erase(kept, {"status"});
    data::erase(kept, {"metadata", "resourceVersion"});
    if (found != translated_.end() && data::equal(found->second, kept)) return {};
    translated_[key] = std::move(kept);
  }
  translation_ = nullptr;
  // With discovery selectors a namespace's labels decide whether anything in it is seen.
  const bool is_namespace = std::get<0>(key) == "Namespace";
  return changed(is_namespace && !mesh_->discovery_selectors.empty() ? kAllParts : kTranslatedParts,
                 "gateway");
}

// A proxy outside Kubernetes reports its workload's health, which stands in the entry's conditions.
void Store::note_health(const data::Json& entry, bool is_removed) {
  const Name name{std::string(get_string(entry, {"metadata", "namespace"})),
                  std::string(get_string(entry, {"metadata", "name"}))};
  bool is_unhealthy = false;
  for (const data::Json& condition : data::get_array(entry, {"status", "conditions"})) {
    if (get_string(condition, {"type"}) != "Healthy") continue;
    is_unhealthy = get_string(condition, {"status"}) == "False";
  }
  const bool was_unhealthy = unhealthy_entries_.count(name) > 0;
  if (is_removed || !is_unhealthy) {
    unhealthy_entries_.erase(name);
  } else {
    unhealthy_entries_.insert(name);
  }
  // The entry is read again, whatever its generation says.
  if (was_unhealthy != (unhealthy_entries_.count(name) > 0)) workload_entries_.erase(name);
}

Impact Store::set_jwks(const std::string& uri, std::string keys) {
  std::string& slot = jwks_[uri];
  if (slot == keys) return {};
  slot = std::move(keys);
  return changed(parts(Part::kJwks), "jwks");
}

std::set<std::string> Store::wanted_jwks() const {
  std::set<std::string> out;
  for (const auto& [name, config] : request_authentications_) {
    for (const mesh::JwtRule& rule : config->spec.rules) {
      if (rule.jwks.empty()) out.insert(rule.jwks_uri.empty() ? rule.issuer : rule.jwks_uri);
    }
  }
  return out;
}

Impact Store::replace_endpoints(const mesh::Service& service,
                                std::vector<mesh::Endpoint> endpoints) {
  const std::string key = endpoint_key(service);
  const auto found = endpoints_.find(key);
  static const std::vector<mesh::Endpoint> kNone;
  const auto& before = found == endpoints_.end() ? kNone : found->second->endpoints;
  if (before == endpoints) return {};
  Impact impact;
  impact.reason = "endpoint";
  // Who may answer is part of the cluster (names in certificates), which addresses answer is not;
  // nor is it for headless services, whose addresses are listeners.
  // Those of a DNS service are in the cluster itself.
  using Resolution = mesh::Service::Resolution;
  const bool is_dns =
      service.resolution == Resolution::kDns || service.resolution == Resolution::kDnsRoundRobin;
  impact.is_full = service.is_headless || is_dns || identities(before) != identities(endpoints);
  impact.hosts.insert(service.host);
  versions_.touch(impact.is_full ? parts(Part::kEndpoints, Part::kIdentities)
                                 : parts(Part::kEndpoints));
  auto set = std::make_shared<mesh::EndpointSet>();
  set->endpoints = std::move(endpoints);
  endpoints_[key] = std::move(set);
  shared_endpoints_ = nullptr;
  return impact;
}

std::vector<mesh::WorkloadPtr> Store::select_workloads(const std::string& ns,
                                                       const mesh::Labels& selector) const {
  std::vector<mesh::WorkloadPtr> out;
  if (selector.empty()) return out;
  for (auto it = pods_.lower_bound({ns, ""}); it != pods_.end() && it->first.first == ns; ++it) {
    if (it->second->is_ready && mesh::selects(selector, it->second->labels)) {
      out.push_back(it->second);
    }
  }
  for (const auto& [name, entry] : entries_) {
    if (name.first == ns && mesh::selects(selector, entry->labels)) out.push_back(entry);
  }
  return out;
}

Impact Store::rebuild_service(const mesh::Service& service) {
  std::vector<mesh::Endpoint> endpoints;
  const auto slices = slices_of_service_.find({service.ns, service.name});
  const auto find = [&](const std::string& ip) -> const mesh::Workload* {
    const auto name = pod_by_ip_.find(ip);
    if (name == pod_by_ip_.end()) return nullptr;
    const auto pod = pods_.find(name->second);
    return pod == pods_.end() ? nullptr : pod->second.get();
  };
  if (slices != slices_of_service_.end()) {
    for (const std::string& name : slices->second) {
      const auto slice = slices_.find({service.ns, name});
      if (slice != slices_.end()) mesh::append_slice(slice->second, find, endpoints);
    }
  }
  // WorkloadEntries that the selector picks are endpoints too.
  for (const auto& [name, entry] : entries_) {
    if (name.first != service.ns || service.selector.empty() ||
        !mesh::selects(service.selector, entry->labels)) {
      continue;
    }
    for (const mesh::ServicePort& port : service.ports) {
      int number = port.target != 0 ? port.target : port.number;
      for (const mesh::Workload::Port& own : entry->ports) {
        if (own.name == port.name || own.name == port.target_name) number = own.number;
      }
      endpoints.push_back(mesh::endpoint_at(entry->ip, number, port.name, entry.get(), service.ns));
    }
  }
  if (!service.external_name.empty()) {
    for (const mesh::ServicePort& port : service.ports) {
      mesh::Endpoint endpoint;
      endpoint.address = service.external_name;
      endpoint.port = port.target != 0 ? port.target : port.number;
      endpoint.port_name = port.name;
      endpoint.ns = service.ns;
      endpoints.push_back(std::move(endpoint));
    }
  }
  std::sort(endpoints.begin(), endpoints.end(), [](const auto& a, const auto& b) {
    return std::tie(a.port_name, a.address, a.port) < std::tie(b.port_name, b.address, b.port);
  });
  return replace_endpoints(service, std::move(endpoints));
}

Impact Store::rebuild_endpoints(const std::string& ns) {
  Impact impact;
  for (auto it = services_.lower_bound({ns, ""}); it != services_.end() && it->first.first == ns;
       ++it) {
    impact.add(rebuild_service(*it->second));
  }
  for (const auto& [name, entry] : service_entries_) {
    if (name.first != ns) continue;
    const auto workloads = select_workloads(ns, entry->spec.workload_selector);
    const auto made = entry_services_.find(name);
    if (made == entry_services_.end()) continue;
    for (const mesh::ServicePtr& service : made->second) {
      impact.add(
          replace_endpoints(*service, mesh::endpoints_of_entry(*entry, service->host, workloads)));
    }
  }
  return impact;
}

void Store::rebuild_entries() {
  entries_.clear();
  for (const auto& [name, config] : workload_entries_) {
    if (unhealthy_entries_.count(name) > 0) continue;
    entries_[name] = std::make_shared<mesh::Workload>(mesh::workload_of_entry(*config));
  }
  for (const auto& [name, services] : entry_services_) {
    for (const mesh::ServicePtr& service : services) endpoints_.erase(endpoint_key(*service));
  }
  entry_services_.clear();
  AutoAddresses addresses;
  for (const auto& [name, entry] : service_entries_) {
    const auto workloads = select_workloads(name.first, entry->spec.workload_selector);
    for (mesh::Service& made : mesh::services_of_entry(*entry)) {
      if (wants_address(made)) made.auto_address = addresses.take(made.ns + "/" + made.host);
      auto service = std::make_shared<const mesh::Service>(std::move(made));
      replace_endpoints(*service, mesh::endpoints_of_entry(*entry, service->host, workloads));
      entry_services_[name].push_back(std::move(service));
    }
  }
  shared_endpoints_ = nullptr;
}

SnapshotInput Store::input(std::string version) const {
  SnapshotInput in;
  const auto is_hidden = [this](const std::string& ns) {
    return !mesh_->discovery_selectors.empty() && ns != options_.system_namespace &&
           !is_selected(mesh_->discovery_selectors, ns, translated_);
  };
  in.version = std::move(version);
  in.versions = versions_;
  in.domain = options_.domain;
  in.mesh = mesh_;
  for (const auto& [name, service] : services_) {
    if (!is_hidden(name.first)) in.services.push_back(service);
  }
  for (const auto& [name, services] : entry_services_) {
    if (is_hidden(name.first)) continue;
    in.services.insert(in.services.end(), services.begin(), services.end());
  }
  if (shared_endpoints_ == nullptr) {
    shared_endpoints_ = std::make_shared<const EndpointIndex>(endpoints_);
  }
  in.endpoints = shared_endpoints_;
  for (const auto& [name, pod] : pods_) in.workloads.push_back(pod);
  for (const auto& [name, entry] : entries_) in.workloads.push_back(entry);
  in.virtual_services = values(virtual_services_);
  in.destination_rules = values(destination_rules_);
  in.gateways = values(gateways_);
  in.sidecars = values(sidecars_);
  in.peer_authentications = values(peer_authentications_);
  in.request_authentications = values(request_authentications_);
  in.authorization_policies = values(authorization_policies_);
  in.envoy_filters = values(envoy_filters_);
  in.telemetries = values(telemetries_);
  in.wasm_plugins = values(wasm_plugins_);
  in.proxy_configs = values(proxy_configs_);
  if (!mesh_->discovery_selectors.empty()) {
    drop_hidden(in.virtual_services, is_hidden);
    drop_hidden(in.destination_rules, is_hidden);
    drop_hidden(in.gateways, is_hidden);
    drop_hidden(in.sidecars, is_hidden);
    drop_hidden(in.peer_authentications, is_hidden);
    drop_hidden(in.request_authentications, is_hidden);
    drop_hidden(in.authorization_policies, is_hidden);
    drop_hidden(in.envoy_filters, is_hidden);
    drop_hidden(in.telemetries, is_hidden);
    drop_hidden(in.wasm_plugins, is_hidden);
  }
  if (translation_ == nullptr) {
    translation_ =
        translate({translated_, *mesh_, options_.domain, options_.system_namespace, in.services});
  }
  in.gateways.insert(in.gateways.end(), translation_->gateways.begin(),
                     translation_->gateways.end());
  in.virtual_services.insert(in.virtual_services.end(), translation_->virtual_services.begin(),
                             translation_->virtual_services.end());
  in.networks = networks_;
  in.network = network_;
  in.secrets = {secrets_.begin(), secrets_.end()};
  in.jwks = jwks_;
  return in;
}

std::size_t Store::config_count() const {
  return virtual_services_.size() + destination_rules_.size() + gateways_.size() +
         service_entries_.size() + sidecars_.size() + peer_authentications_.size() +
         request_authentications_.size() + authorization_policies_.size() + envoy_filters_.size() +
         telemetries_.size() + workload_entries_.size();
}

}  // namespace lateen::discovery
