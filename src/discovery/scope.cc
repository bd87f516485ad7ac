#include "discovery/scope.h"

#include <algorithm>
#include <unordered_set>

#include "discovery/generate/names.h"
#include "mesh/hostname.h"

namespace lateen::discovery {
namespace {

struct HostFilter {
  std::string ns;  // "*", or a namespace ("." is resolved), "~" nothing
  std::string host;
};

std::vector<HostFilter> read_filters(const std::vector<std::string>& hosts, std::string_view ns) {
  std::vector<HostFilter> out;
  for (const std::string& text : hosts) {
    const auto parts = split_once(text, "/");
    if (!parts) continue;
    out.push_back({parts->first == "." ? std::string(ns) : std::string(parts->first),
                   std::string(parts->second)});
  }
  return out;
}

bool admits(const std::vector<HostFilter>& filters, std::string_view ns, std::string_view host) {
  for (const HostFilter& filter : filters) {
    if (filter.ns != "*" && filter.ns != ns) continue;
    if (mesh::hosts_overlap(filter.host, host)) return true;
  }
  return false;
}

bool sees_service(const MeshSnapshot& mesh, const mesh::Service& service, std::string_view ns) {
  const auto& to = service.export_to.empty() ? mesh.mesh().service_export_to : service.export_to;
  return mesh::is_exported_to(to, service.ns, ns);
}

bool sees_virtual_service(const MeshSnapshot& mesh,
                          const mesh::Config<mesh::VirtualService>& config, std::string_view ns) {
  const auto& to =
      config.spec.export_to.empty() ? mesh.mesh().virtual_service_export_to : config.spec.export_to;
  return mesh::is_exported_to(to, config.meta.ns, ns);
}

template <typename Pointers>
std::uint64_t mark_of(const Pointers& list) {
  std::uint64_t out = list.size();
  for (const auto& one : list) {
    out = (out ^ reinterpret_cast<std::uintptr_t>(one.get())) * 0x9e3779b97f4a7c15u;
    out ^= out >> 29;
  }
  return out;
}

void fill_egress(const MeshSnapshot& mesh, std::string_view ns,
                 const std::vector<HostFilter>& filters, Scope::Egress& out) {
  std::unordered_set<std::string_view> destinations;
  for (const auto& config : mesh.virtual_services_of("mesh")) {
    if (!sees_virtual_service(mesh, *config, ns)) continue;
    bool is_admitted = false;
    for (const std::string& host : config->spec.hosts) {
      is_admitted |= admits(filters, config->meta.ns, host);
    }
    if (!is_admitted) continue;
    out.virtual_services.push_back(config);
    for (const auto& route : config->spec.http) {
      for (const auto& to : route.route) destinations.insert(to.destination.host);
      for (const auto& mirror : route.mirrors) destinations.insert(mirror.destination.host);
    }
    for (const auto* routes : {&config->spec.tls, &config->spec.tcp}) {
      for (const auto& route : *routes) {
        for (const auto& to : route.route) destinations.insert(to.destination.host);
      }
    }
  }
  for (const mesh::ServicePtr& service : mesh.services()) {
    if (!sees_service(mesh, *service, ns)) continue;
    // A destination of a visible virtual service is needed even when it is not named itself.
    if (admits(filters, service->ns, service->host) || destinations.count(service->host) > 0) {
      out.services.push_back(service);
    }
  }
  out.index_virtual_services();
  out.services_mark = mark_of(out.services);
  out.configs_mark = mark_of(out.virtual_services);
}

}  // namespace

void Scope::Egress::index_virtual_services() {
  for (const auto& config : virtual_services) {
    if (config->spec.http.empty()) continue;
    bool has_pattern = false;
    for (const std::string& host : config->spec.hosts) {
      has_pattern |= mesh::is_wildcard_host(host);
      if (!mesh::is_wildcard_host(host)) http_by_host_.emplace(host, config);  // the oldest
    }
    if (has_pattern) http_wildcards_.push_back(config);
  }
}

mesh::ConfigPtr<mesh::VirtualService> Scope::Egress::http_config_for(std::string_view host) const {
  const auto exact = http_by_host_.find(host);
  if (exact != http_by_host_.end()) return exact->second;
  mesh::ConfigPtr<mesh::VirtualService> best;
  std::string_view best_pattern;
  for (const auto& config : http_wildcards_) {
    const int index = mesh::most_specific_match(host, config->spec.hosts);
    if (index < 0) continue;
    const std::string& pattern = config->spec.hosts[static_cast<std::size_t>(index)];
    if (best == nullptr ||
        (pattern != best_pattern && mesh::is_more_specific_host(pattern, best_pattern))) {
      best = config;
      best_pattern = pattern;
    }
  }
  return best;
}

bool Scope::has_same_services(const Scope& other) const {
  const auto is_same = [](const Egress& a, const Egress& b) {
    return a.port == b.port && a.protocol == b.protocol && a.bind == b.bind &&
           a.binds_port == b.binds_port && a.services == b.services;
  };
  return services == other.services && sidecar == other.sidecar &&
         allows_any_outbound == other.allows_any_outbound && other_cluster == other.other_cluster &&
         std::equal(egress.begin(), egress.end(), other.egress.begin(), other.egress.end(),
                    is_same);
}

const mesh::ServicePtr& Scope::find_shared(std::string_view host) const {
  static const mesh::ServicePtr kNone;
  const auto found = by_host_.find(host);
  return found == by_host_.end() ? kNone : found->second;
}

const Scope::Egress& Scope::egress_for(int port) const {
  const Egress* any = &egress.front();
  for (const Egress& one : egress) {
    if (one.port == port) return one;
    if (one.port == 0) any = &one;
  }
  return *any;
}

std::string scope_key(const Proxy& proxy, const mesh::ConfigPtr<mesh::Sidecar>& sidecar) {
  return proxy.ns + "/" + (sidecar == nullptr ? "" : sidecar->meta.ns + "/" + sidecar->meta.name);
}

std::shared_ptr<const Scope> make_scope(const MeshSnapshot& mesh, const Proxy& proxy) {
  auto scope = std::make_shared<Scope>();
  scope->sidecar = mesh.find_sidecar(proxy);
  scope->allows_any_outbound = mesh.mesh().allows_any_outbound;
  if (scope->sidecar != nullptr) {
    using Outbound = mesh::Sidecar::Outbound;
    if (scope->sidecar->spec.outbound == Outbound::kRegistryOnly)
      scope->allows_any_outbound = false;
    if (scope->sidecar->spec.outbound == Outbound::kAllowAny) scope->allows_any_outbound = true;
    for (const mesh::Sidecar::Egress& egress : scope->sidecar->spec.egress) {
      Scope::Egress& out = scope->egress.emplace_back();
      if (egress.port) {
        out.port = static_cast<int>(egress.port->number);
        out.protocol = mesh::parse_protocol(egress.port->protocol);
      }
      out.bind = egress.bind;
      out.binds_port = egress.port.has_value() && egress.capture_mode == "NONE";
      fill_egress(mesh, proxy.ns, read_filters(egress.hosts, proxy.ns), out);
    }
  }
  scope->other_cluster = scope->allows_any_outbound ? kPassthrough : kBlackHole;
  if (scope->sidecar != nullptr && scope->sidecar->spec.egress_proxy &&
      scope->allows_any_outbound) {
    const mesh::Destination& to = *scope->sidecar->spec.egress_proxy;
    scope->other_cluster = outbound_name(
        to.port, to.subset, mesh::resolve_host(to.host, scope->sidecar->meta.ns, mesh.domain()));
  }
  if (scope->egress.empty()) {
    fill_egress(mesh, proxy.ns, {{"*", "*"}}, scope->egress.emplace_back());
  }
  for (const Scope::Egress& egress : scope->egress) {
    for (const mesh::ServicePtr& service : egress.services) {
      mesh::ServicePtr& slot = scope->by_host_[service->host];
      if (slot == nullptr) {
        slot = service;
        scope->services.push_back(service);
      } else if (slot != service && slot->ns != proxy.ns &&
                 (service->ns == proxy.ns ||
                  (slot->registry == mesh::Service::Registry::kExternal &&
                   service->registry == mesh::Service::Registry::kKubernetes))) {
        // One host in two namespaces: the proxy's own, then Kubernetes', wins.
        for (mesh::ServicePtr& known : scope->services) {
          if (known == slot) known = service;
        }
        slot = service;
      }
    }
  }
  scope->services_mark = mark_of(scope->services);
  return scope;
}

}  // namespace lateen::discovery
