#include "discovery/generate/routes.h"

#include <algorithm>

#include "discovery/generate/names.h"
#include "discovery/generate/route_action.h"
#include "discovery/generate/route_match.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"

// max_grpc_timeout, see route_action.cc.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

// What a match says of the client and the listener, rather than of the request.
bool applies(const RouteSubject& subject, const mesh::HttpMatch& match) {
  if (match.port != 0 && match.port != subject.port) return false;
  if (!match.gateways.empty()) {
    if (std::find(match.gateways.begin(), match.gateways.end(), subject.gateway) ==
        match.gateways.end()) {
      return false;
    }
  }
  if (subject.gateway != "mesh") return true;  // labels are of sidecars
  const Proxy& proxy = subject.view.proxy;
  if (!match.source_namespace.empty() && match.source_namespace != proxy.ns) return false;
  return mesh::selects(match.source_labels, proxy.labels);
}

std::string route_name(const mesh::HttpRoute& route, const mesh::HttpMatch* match) {
  if (match == nullptr || match->name.empty()) return route.name;
  return route.name.empty() ? match->name : route.name + "." + match->name;
}

}  // namespace

void add_virtual_service_routes(const RouteSubject& subject, VirtualHost& out) {
  constexpr int kMostRoutes = 10'000;
  for (const mesh::HttpRoute& route : subject.config->spec.http) {
    if (out.routes_size() > kMostRoutes) return;
    if (route.match.empty()) {
      Route& made = *out.add_routes();
      fill_any_match(*made.mutable_match());
      made.set_name(route_name(route, nullptr));
      fill_route_action(subject, route, made);
      return;
    }
    for (const mesh::HttpMatch& match : route.match) {
      if (!applies(subject, match)) continue;
      Route& made = *out.add_routes();
      fill_route_match(match, *made.mutable_match());
      made.set_name(route_name(route, &match));
      if (!match.stat_prefix.empty()) made.set_stat_prefix(match.stat_prefix);
      fill_route_action(subject, route, made);
      if (matches_everything(match)) return;
    }
  }
}

void add_default_route(const RouteSubject& subject, VirtualHost& out) {
  Route& route = *out.add_routes();
  route.set_name("default");
  fill_any_match(*route.mutable_match());
  fill_forward_to(subject, outbound_name(subject.port, "", subject.service->host), route);
  set_decorator(subject.service->host, subject.port, route);
}

void make_inbound_route(const View& view, int port, const std::string& cluster,
                        RouteConfiguration& out) {
  out.set_name(port != 0 ? inbound_name(port) : cluster);
  out.mutable_validate_clusters()->set_value(false);
  VirtualHost& host = *out.add_virtual_hosts();
  host.add_domains("*");
  Route& route = *host.add_routes();
  route.set_name("default");
  fill_any_match(*route.mutable_match());
  auto& action = *route.mutable_route();
  action.set_cluster(cluster);
  action.mutable_timeout()->set_seconds(0);
  action.mutable_max_stream_duration()->mutable_max_stream_duration()->set_seconds(0);
  action.mutable_max_stream_duration()->mutable_grpc_timeout_header_max()->set_seconds(0);
  // The request's own host names the operation; without a service its port does.
  std::string name = cluster;
  int service_port = port;
  for (const Target& target : view.targets) {
    if (target.number != port) continue;
    name = target.service->host;
    service_port = target.port->number;
    break;
  }
  // EnvoyFilters find it by the service's port, not the workload's.
  host.set_name("inbound|http|" + std::to_string(service_port));
  set_decorator(name, service_port, route);
}

void begin_route_configuration(const std::string& name, RouteConfiguration& out) {
  out.set_name(name);
  out.mutable_validate_clusters()->set_value(false);
  out.mutable_max_direct_response_body_size_bytes()->set_value(1024 * 1024);
}

bool make_route_configuration(const View& view, const std::string& name, RouteConfiguration& out) {
  begin_route_configuration(name, out);
  if (view.proxy.is_gateway()) return make_gateway_route(view, name, out);
  return make_sidecar_route(view, name, out);
}

}  // namespace lateen::discovery
