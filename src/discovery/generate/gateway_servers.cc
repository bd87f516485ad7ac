#include "discovery/generate/gateway_servers.h"

#include <fmt/core.h>

#include <algorithm>

#include "mesh/hostname.h"

namespace lateen::discovery {

std::string GatewayServer::route_name(int listen_port) const {
  if (!server->is_tls() || !server->tls->terminates()) return fmt::format("http.{}", listen_port);
  return fmt::format("https.{}.{}.{}.{}", server->port.number, server->port.name,
                     gateway->meta.name, gateway->meta.ns);
}

std::map<int, std::vector<GatewayServer>> servers_by_port(const View& view) {
  std::map<int, std::vector<GatewayServer>> out;
  for (const auto& gateway : view.mesh.gateways_of(view.proxy)) {
    for (const mesh::Server& server : gateway->spec.servers) {
      const int number = static_cast<int>(server.port.number);
      std::vector<int> listen_ports;
      for (const Target& target : view.targets) {
        if (target.port->number != number) continue;
        if (std::find(listen_ports.begin(), listen_ports.end(), target.number) ==
            listen_ports.end()) {
          listen_ports.push_back(target.number);
        }
      }
      if (listen_ports.empty()) listen_ports.push_back(number);
      for (const int port : listen_ports) out[port].push_back({gateway, &server});
    }
  }
  return out;
}

std::vector<std::string> admitted_hosts(const GatewayServer& server,
                                        const mesh::Config<mesh::VirtualService>& config) {
  std::vector<std::string> out;
  for (const std::string& text : server.server->hosts) {
    const mesh::ServerHost admitted = mesh::split_server_host(text, server.gateway->meta.ns);
    if (!admitted.ns.empty() && admitted.ns != config.meta.ns) continue;
    for (const std::string& host : config.spec.hosts) {
      const bool is_inside = mesh::host_covers(admitted.host, host);
      if (!is_inside && !mesh::host_covers(host, admitted.host)) continue;
      const std::string& narrower = is_inside ? host : admitted.host;
      if (std::find(out.begin(), out.end(), narrower) == out.end()) out.push_back(narrower);
    }
  }
  return out;
}

}  // namespace lateen::discovery
