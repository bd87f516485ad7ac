// Route configurations of gateways: a virtual host per host that virtual services bind to the
// servers of a port.
#include <map>
#include <set>

#include "discovery/generate/gateway_servers.h"
#include "discovery/generate/routes.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"

namespace lateen::discovery {
namespace {

struct Host {
  VirtualHost host;
  bool redirects_to_https = false;
};

void add_server_hosts(const View& view, const GatewayServer& server,
                      std::map<std::string, Host>& hosts) {
  const int port = static_cast<int>(server.server->port.number);
  const std::string gateway = server.gateway_name();
  const bool redirects = server.server->tls && server.server->tls->redirects_to_https;
  for (const auto& config : view.mesh.virtual_services_of(gateway)) {
    if (config->spec.http.empty()) continue;
    const auto& to = config->spec.export_to.empty() ? view.mesh.mesh().virtual_service_export_to
                                                    : config->spec.export_to;
    if (!mesh::is_exported_to(to, config->meta.ns, view.proxy.ns)) continue;
    for (const std::string& name : admitted_hosts(server, *config)) {
      Host& slot = hosts[name];
      slot.redirects_to_https |= redirects;
      slot.host.set_name(name + ":" + std::to_string(port));
      add_virtual_service_routes({view, config.get(), nullptr, port, gateway}, slot.host);
    }
  }
  // Without routes a redirecting server redirects all of its hosts.
  if (!redirects) return;
  for (const std::string& text : server.server->hosts) {
    const std::string name = mesh::split_server_host(text, server.gateway->meta.ns).host;
    Host& slot = hosts[name];
    slot.redirects_to_https = true;
    if (slot.host.name().empty()) slot.host.set_name(name + ":" + std::to_string(port));
  }
}

}  // namespace

bool make_gateway_route(const View& view, const std::string& name, RouteConfiguration& out) {
  std::map<std::string, Host> hosts;
  bool is_known = false;
  int number = 0;
  for (const auto& [port, servers] : servers_by_port(view)) {
    for (const GatewayServer& server : servers) {
      if (server.route_name(port) != name) continue;
      is_known = true;
      number = static_cast<int>(server.server->port.number);
      add_server_hosts(view, server, hosts);
    }
  }
  for (auto& [host, slot] : hosts) {
    VirtualHost& made = *out.add_virtual_hosts();
    made = std::move(slot.host);
    made.add_domains(host);
    if (host != "*") made.add_domains(host + ":*");
    made.set_include_request_attempt_count(true);
    if (slot.redirects_to_https) made.set_require_tls(VirtualHost::ALL);
  }
  if (hosts.empty()) {
    VirtualHost& none = *out.add_virtual_hosts();  // 404 for everything
    none.set_name("blackhole:" + std::to_string(number));
    none.add_domains("*");
  }
  return is_known;
}

}  // namespace lateen::discovery
