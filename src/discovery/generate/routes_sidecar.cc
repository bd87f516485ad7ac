// Route configurations of sidecars: a virtual host per service of the port, then one for everything
// else.
#include <set>

#include "discovery/generate/names.h"
#include "discovery/generate/route_match.h"
#include "discovery/generate/routes.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "mesh/hostname.h"

// max_grpc_timeout, see route_action.cc.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

using VirtualServicePtr = mesh::ConfigPtr<mesh::VirtualService>;

class PortRoutes {
 public:
  PortRoutes(const View& view, const Scope::Egress& egress, int port, RouteConfiguration& out)
      : view_(view), egress_(egress), port_(port), out_(out) {}

  // HTTP services of the port, and hosts that only virtual services know.
  void add_all() {
    for (const mesh::ServicePtr& service : egress_.services) {
      if (view_.scope.find(service->host) != service.get()) continue;
      const mesh::ServicePort* port = service->find_port(port_);
      if (port == nullptr) continue;
      const bool is_shared_detected = port->protocol == mesh::Protocol::kUnsupported &&
                                      service->addresses.empty() && !service->is_headless;
      if (mesh::is_http(port->protocol) || is_shared_detected) add_service(*service);
    }
    for (const VirtualServicePtr& config : egress_.virtual_services) add_extra_hosts(config);
    add_catch_all();
  }

  void add_only(const mesh::Service& service) {
    add_service(service);
    if (out_.virtual_hosts_size() == 0) return;
    // Only connections to this service come here, whatever their host header says.
    VirtualHost& host = *out_.mutable_virtual_hosts(0);
    host.clear_domains();
    host.add_domains("*");
  }

 private:
  VirtualServicePtr config_for(std::string_view host) const {
    VirtualServicePtr best;
    std::string_view best_pattern;
    for (const VirtualServicePtr& config : egress_.virtual_services) {
      if (config->spec.http.empty()) continue;
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

  void add_service(const mesh::Service& service) {
    VirtualHost host;
    host.set_name(service.host + ":" + std::to_string(port_));
    add_domains(service, host);
    if (host.domains_size() == 0) return;
    host.set_include_request_attempt_count(true);
    if (const VirtualServicePtr config = config_for(service.host)) {
      add_virtual_service_routes({view_, config.get(), &service, port_}, host);
    } else {
      add_default_route({view_, nullptr, &service, port_}, host);
    }
    *out_.add_virtual_hosts() = std::move(host);
  }

  void add_extra_hosts(const VirtualServicePtr& config) {
    if (config->spec.http.empty()) return;
    for (const std::string& name : config->spec.hosts) {
      if (name == "*" || is_of_service(name)) continue;
      // A host that no service has is served where clients expect HTTP.
      if (port_ != 80 && !names_port(*config)) continue;
      VirtualHost host;
      host.set_name(name + ":" + std::to_string(port_));
      add_domain(name, host);
      add_domain(name + ":" + std::to_string(port_), host);
      if (host.domains_size() == 0) continue;
      host.set_include_request_attempt_count(true);
      add_virtual_service_routes({view_, config.get(), nullptr, port_}, host);
      if (host.routes_size() > 0) *out_.add_virtual_hosts() = std::move(host);
    }
  }

  bool is_of_service(const std::string& pattern) const {
    for (const mesh::ServicePtr& service : egress_.services) {
      if (mesh::host_covers(pattern, service->host)) return true;
    }
    return false;
  }

  // A match names this port, or a destination has it alone.
  bool names_port(const mesh::Config<mesh::VirtualService>& config) const {
    for (const mesh::HttpRoute& route : config.spec.http) {
      for (const mesh::HttpMatch& match : route.match) {
        if (match.port == port_) return true;
      }
    }
    return false;
  }

  void add_domain(const std::string& domain, VirtualHost& host) {
    if (domains_.insert(domain).second) host.add_domains(domain);
  }

  void add_domains(const mesh::Service& service, VirtualHost& host) {
    const std::string port = ":" + std::to_string(port_);
    const auto both = [&](const std::string& name) {
      add_domain(name, host);
      add_domain(name + port, host);
    };
    both(service.host);
    // Shorter names of the cluster's own services: reviews, reviews.default, reviews.default.svc.
    const std::string suffix = ".svc." + view_.mesh.domain();
    if (service.registry == mesh::Service::Registry::kKubernetes &&
        service.host.ends_with(suffix)) {
      const std::string with_ns = service.name + "." + service.ns;
      if (service.ns == view_.proxy.ns) both(service.name);
      both(with_ns + ".svc");
      both(with_ns);
      if (service.is_headless) both("*." + service.host);
    }
    if (service.addresses.empty() && view_.proxy.uses_auto_addresses &&
        !service.auto_address.empty()) {
      both(service.auto_address);
    }
    for (const std::string& address : service.addresses) {
      if (address.find('/') != std::string::npos) continue;
      both(address.find(':') == std::string::npos ? address : "[" + address + "]");
    }
  }

  void add_catch_all() {
    VirtualHost& host = *out_.add_virtual_hosts();
    const bool is_open = view_.scope.allows_any_outbound;
    host.set_name(is_open ? "allow_any" : "block_all");
    host.add_domains("*");
    host.set_include_request_attempt_count(true);
    Route& route = *host.add_routes();
    route.set_name(host.name());
    fill_any_match(*route.mutable_match());
    if (is_open) {
      route.mutable_route()->set_cluster(view_.scope.other_cluster);
      route.mutable_route()->mutable_timeout()->set_seconds(0);
      route.mutable_route()->mutable_max_grpc_timeout()->set_seconds(0);
    } else {
      route.mutable_direct_response()->set_status(502);
    }
  }

  const View& view_;
  const Scope::Egress& egress_;
  int port_;
  RouteConfiguration& out_;
  std::set<std::string> domains_;
};

// The egress listener that speaks for a port: its own, or the catch-all.
const Scope::Egress& egress_for(const Scope& scope, int port) {
  const Scope::Egress* any = &scope.egress.front();
  for (const Scope::Egress& egress : scope.egress) {
    if (egress.port == port) return egress;
    if (egress.port == 0) any = &egress;
  }
  return *any;
}

}  // namespace

bool make_sidecar_route(const View& view, const std::string& name, RouteConfiguration& out) {
  if (const auto port = parse_uint(name); port && *port <= 65535) {
    const int number = static_cast<int>(*port);
    PortRoutes(view, egress_for(view.scope, number), number, out).add_all();
    return true;
  }
  const std::size_t colon = name.rfind(':');
  if (colon == std::string::npos) return false;
  const auto port = parse_uint(std::string_view(name).substr(colon + 1));
  const mesh::Service* service = view.scope.find(std::string_view(name).substr(0, colon));
  if (!port || service == nullptr) return false;
  const int number = static_cast<int>(*port);
  PortRoutes(view, egress_for(view.scope, number), number, out).add_only(*service);
  return true;
}

}  // namespace lateen::discovery
