// Route configurations of sidecars: a virtual host per service of the port, then those that only
// virtual services know, then one for everything else. They are written whole, or, after a change
// of virtual services, put together from what was made before.
#include <algorithm>
#include <set>

#include "discovery/generate/generator.h"
#include "discovery/generate/names.h"
#include "discovery/generate/route_match.h"
#include "discovery/generate/route_memo.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "mesh/hostname.h"
#include "xds/any.h"
#include "xds/wire.h"

// max_grpc_timeout, see route_action.cc.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

using VirtualServicePtr = mesh::ConfigPtr<mesh::VirtualService>;

// Proxies since Istio 1.16 compare hosts without their ports: half the domains are enough then.
bool ignores_ports(const Proxy& proxy) {
  if (proxy.is_lateen) return true;
  const auto parts = split(proxy.version, '.');
  if (parts.size() < 2 || proxy.meta("GENERATOR") == "grpc") return false;
  const auto major = parse_uint(parts[0]);
  const auto minor = parse_uint(parts[1]);
  return major && minor && (*major > 1 || (*major == 1 && *minor >= 16));
}

class PortRoutes {
 public:
  PortRoutes(const View& view, const Scope::Egress& egress, int port, RouteConfiguration& out)
      : view_(view),
        egress_(egress),
        port_(port),
        ignores_ports_(ignores_ports(view.proxy)),
        out_(out) {
    if (ignores_ports_) out.set_ignore_port_in_host_matching(true);
  }

  // HTTP services of the port.
  std::vector<const mesh::Service*> services() const {
    std::vector<const mesh::Service*> out;
    for (const mesh::ServicePtr& service : egress_.services) {
      if (view_.scope.find(service->host) != service.get()) continue;
      const mesh::ServicePort* port = service->find_port(port_);
      if (port == nullptr) continue;
      const bool is_shared_detected = port->protocol == mesh::Protocol::kUnsupported &&
                                      service->addresses.empty() && !service->is_headless;
      if (mesh::is_http(port->protocol) || is_shared_detected) out.push_back(service.get());
    }
    return out;
  }

  VirtualServicePtr config_for(const mesh::Service& service) const {
    return egress_.http_config_for(service.host);
  }

  // Its name and domains; without any, others have them already.
  VirtualHost make_host(const mesh::Service& service) {
    VirtualHost host;
    host.set_name(service.host + ":" + std::to_string(port_));
    add_domains(service, host);
    return host;
  }

  void fill_host(const mesh::Service& service, const VirtualServicePtr& config, VirtualHost& host) {
    host.set_include_request_attempt_count(true);
    if (config != nullptr) {
      add_virtual_service_routes({view_, config.get(), &service, port_}, host);
    } else {
      add_default_route({view_, nullptr, &service, port_}, host);
    }
  }

  void add_service(const mesh::Service& service) {
    VirtualHost host = make_host(service);
    if (host.domains_size() == 0) return;
    fill_host(service, config_for(service), host);
    *out_.add_virtual_hosts() = std::move(host);
  }

  void add_all() {
    for (const mesh::Service* service : services()) add_service(*service);
    note_domains();
    add_rest();
  }

  // make_host() was called for all services.
  void note_domains() { has_domains_ = true; }

  // Only connections to this service come here, whatever their host header says.
  static void answer_all(VirtualHost& host) {
    host.clear_domains();
    host.add_domains("*");
  }

  void add_only(const mesh::Service& service) {
    add_service(service);
    if (out_.virtual_hosts_size() > 0) answer_all(*out_.mutable_virtual_hosts(0));
  }

  // Hosts that only virtual services know, and everything else.
  void add_rest() {
    for (const VirtualServicePtr& config : egress_.virtual_services) add_extra_hosts(config);
    add_catch_all();
  }

 private:
  void add_extra_hosts(const VirtualServicePtr& config) {
    if (config->spec.http.empty()) return;
    for (const std::string& name : config->spec.hosts) {
      if (name == "*" || is_of_service(name)) continue;
      // A host that no service has is served where clients expect HTTP.
      if (port_ != 80 && !names_port(*config)) continue;
      claim_domains();
      VirtualHost host;
      host.set_name(name + ":" + std::to_string(port_));
      add_domain(name, host);
      if (!ignores_ports_) add_domain(name + ":" + std::to_string(port_), host);
      if (host.domains_size() == 0) continue;
      host.set_include_request_attempt_count(true);
      add_virtual_service_routes({view_, config.get(), nullptr, port_}, host);
      if (host.routes_size() > 0) *out_.add_virtual_hosts() = std::move(host);
    }
  }

  // The domains of services are taken, also where their hosts were made before.
  void claim_domains() {
    if (std::exchange(has_domains_, true)) return;
    domains_.clear();
    for (const mesh::Service* service : services()) {
      VirtualHost unused;
      add_domains(*service, unused);
    }
  }

  bool is_of_service(const std::string& pattern) const {
    if (!mesh::is_wildcard_host(pattern) && view_.scope.find(pattern) == nullptr) return false;
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
      if (!ignores_ports_) add_domain(name + port, host);
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
  bool ignores_ports_;
  RouteConfiguration& out_;
  std::set<std::string> domains_;
  bool has_domains_ = false;  // all services' are in domains_
};

// What a route configuration's name means.
struct Named {
  int port = 0;
  const mesh::Service* only = nullptr;  // null: all services of the port
};
std::optional<Named> read_name(const Scope& scope, const std::string& name) {
  if (const auto port = parse_uint(name); port && *port <= 65535) {
    return Named{static_cast<int>(*port), nullptr};
  }
  const std::size_t colon = name.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto port = parse_uint(std::string_view(name).substr(colon + 1));
  const mesh::Service* service = scope.find(std::string_view(name).substr(0, colon));
  if (!port || service == nullptr) return std::nullopt;
  return Named{static_cast<int>(*port), service};
}

// The frames of a configuration, each from `memo` where it is of the same virtual service.
class Frames {
 public:
  Frames(PortRoutes& routes, const Named& named, const RouteMemo& memo)
      : routes_(routes), named_(named), memo_(memo) {
    services_ = named.only != nullptr ? std::vector{named.only} : routes.services();
    is_known_ = memo.served != nullptr && memo.frames.size() == services_.size();
    is_same_ = is_known_;
    for (const mesh::Service* service : services_) {
      VirtualServicePtr config = routes.config_for(*service);
      is_same_ = is_same_ && memo.frames[frames_.size()].config == config;
      frames_.push_back({std::move(config), 0, 0});
    }
  }

  bool are_same() const { return is_same_; }

  void append_to(std::string& body) {
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      RouteMemo::Frame& frame = frames_[i];
      const RouteMemo::Frame* before = is_known_ ? &memo_.frames[i] : nullptr;
      frame.begin = body.size();
      if (before != nullptr && (before->config == frame.config || before->size == 0)) {
        body.append(*memo_.served->body, before->begin, before->size);
      } else {
        append_host(*services_[i], frame.config, before, body);
      }
      frame.size = body.size() - frame.begin;
    }
    if (!is_known_ && named_.only == nullptr) routes_.note_domains();
  }

  std::vector<RouteMemo::Frame> take() { return std::move(frames_); }

 private:
  void append_host(const mesh::Service& service, const VirtualServicePtr& config,
                   const RouteMemo::Frame* before, std::string& body) {
    VirtualHost host;
    if (before != nullptr) {
      // Name and domains are as they were; they depend on the other services.
      RouteConfiguration old;
      const std::string_view bytes =
          std::string_view(*memo_.served->body).substr(before->begin, before->size);
      old.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
      if (old.virtual_hosts_size() == 1) {
        host.set_name(old.virtual_hosts(0).name());
        *host.mutable_domains() = old.virtual_hosts(0).domains();
      }
    } else {
      host = routes_.make_host(service);
    }
    if (host.domains_size() == 0) return;
    routes_.fill_host(service, config, host);
    if (named_.only != nullptr) PortRoutes::answer_all(host);
    xds::wire::put_bytes(body, 2, xds::serialize(host));
  }

  PortRoutes& routes_;
  const Named& named_;
  const RouteMemo& memo_;
  std::vector<const mesh::Service*> services_;
  std::vector<RouteMemo::Frame> frames_;
  bool is_known_ = false;  // the frames of `memo_` are of the same services
  bool is_same_ = false;
};

}  // namespace

bool make_sidecar_route(const View& view, const std::string& name, RouteConfiguration& out) {
  const auto named = read_name(view.scope, name);
  if (!named) return false;
  PortRoutes routes(view, view.scope.egress_for(named->port), named->port, out);
  if (named->only != nullptr) routes.add_only(*named->only);
  else routes.add_all();
  return true;
}

RouteSight sight_of_route(const Scope& scope, const std::string& name) {
  const auto named = read_name(scope, name);
  const Scope::Egress& egress = scope.egress_for(named ? named->port : 0);
  // Which service is meant by a name of one, and what the others are, is in the scope's mark.
  std::uint64_t mark = scope.services_mark;
  for (const std::uint64_t part :
       {egress.services_mark, static_cast<std::uint64_t>(scope.allows_any_outbound),
        fnv1a64(scope.other_cluster)}) {
    mark = (mark ^ part) * 0x9e3779b97f4a7c15u;
    mark ^= mark >> 29;
  }
  return {mark, egress.configs_mark};
}

void renew_sidecar_route(const View& view, const std::string& name, RouteMemo& memo) {
  RouteConfiguration rest;
  begin_route_configuration("", rest);
  const auto named = read_name(view.scope, name);
  if (!named) {
    rest.set_name(name);
    memo = {};
    memo.served = std::make_shared<const xds::Served>(make_served(name, rest));
    return;
  }
  PortRoutes routes(view, view.scope.egress_for(named->port), named->port, rest);
  Frames frames(routes, *named, memo);
  const bool has_rest = named->only == nullptr;
  if (frames.are_same()) {
    if (has_rest) routes.add_rest();
    if (std::string_view(*memo.served->body).substr(memo.tail) == xds::serialize(rest)) return;
  }
  std::string body;
  body.reserve(memo.served == nullptr ? 0 : memo.served->body->size() + 1024);
  xds::wire::put_bytes(body, 1, name);
  frames.append_to(body);
  if (has_rest && !frames.are_same()) routes.add_rest();
  const std::size_t end = body.size();
  body += xds::serialize(rest);
  body.shrink_to_fit();
  memo = {frames.take(), end,
          std::make_shared<const xds::Served>(make_served(name, std::move(body)))};
}

}  // namespace lateen::discovery
