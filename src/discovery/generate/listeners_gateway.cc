// Listeners of a gateway: one per port; plain HTTP shares a chain, TLS servers have a chain per SNI
// set, TCP and pass-through servers follow the tcp and tls routes of virtual services.
#include <algorithm>
#include <set>

#include "discovery/generate/gateway_servers.h"
#include "discovery/generate/listeners.h"
#include "discovery/generate/names.h"
#include "discovery/generate/tcp_filters.h"
#include "discovery/generate/tls.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/sni_cluster/v3/sni_cluster.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

class GatewayListener {
 public:
  GatewayListener(const View& view, int port, Listener& out)
      : view_(view), port_(port), out_(out) {}

  void add(const GatewayServer& server) {
    const mesh::Protocol protocol = server.server->protocol();
    if (mesh::is_http(protocol)) return add_plain_http(server);
    if (server.server->tls && server.server->tls->terminates()) {
      return protocol == mesh::Protocol::kHttps ? add_https(server) : add_tls_to_tcp(server);
    }
    if (mesh::is_tls(protocol)) {
      const bool is_auto =
          server.server->tls && server.server->tls->mode == mesh::ServerTls::Mode::kAutoPassthrough;
      return is_auto ? add_auto_passthrough(server) : add_passthrough(server);
    }
    add_plain_tcp(server);
  }

 private:
  std::vector<std::string> sni_hosts(const GatewayServer& server) const {
    std::vector<std::string> out;
    for (const std::string& text : server.server->hosts) {
      auto named = mesh::split_server_host(text, server.gateway->meta.ns);
      if (named.host.size() == 1 && named.host[0] == '*') return {};
      out.push_back(std::move(named.host));
    }
    return out;
  }

  // Two servers with one SNI would make one listener invalid: the older Gateway keeps the name.
  bool claim(const std::vector<std::string>& names) {
    std::vector<std::string> wanted = names;
    if (wanted.empty()) wanted.emplace_back("*");
    for (const std::string& name : wanted) {
      if (!claimed_.insert(name).second) return false;
    }
    return true;
  }

  void set_sni(const std::vector<std::string>& names, FilterChain& chain) {
    for (const std::string& name : names) {
      if (name != "*") chain.mutable_filter_chain_match()->add_server_names(name);
    }
    chain.mutable_filter_chain_match();
    needs_tls_inspector_ = true;
  }

  void add_plain_http(const GatewayServer& server) {
    if (has_http_) return;  // one chain for all plain servers of the port
    has_http_ = true;
    FilterChain& chain = *out_.add_filter_chains();
    add_http(view_,
             {Side::kGateway, "outbound_0.0.0.0_" + std::to_string(port_), server.route_name(port_),
              nullptr, false, port_},
             chain);
  }

  void add_https(const GatewayServer& server) {
    const auto names = sni_hosts(server);
    if (!claim(names)) return;
    FilterChain& chain = *out_.add_filter_chains();
    set_sni(names, chain);
    set_server_tls(view_, *server.server->tls, server.gateway->meta.ns, true,
                   *chain.mutable_transport_socket());
    add_http(view_,
             {Side::kGateway, "outbound_0.0.0.0_" + std::to_string(port_), server.route_name(port_),
              nullptr, true, port_},
             chain);
  }

  using Clusters = std::vector<std::pair<std::string, std::uint32_t>>;

  Clusters clusters_of(const mesh::L4Route& route, int port) const {
    Clusters out;
    for (const mesh::RouteDestination& to : route.route) {
      int number = to.destination.port;
      if (number == 0) {
        const mesh::Service* service = view_.scope.find(to.destination.host);
        number =
            service != nullptr && service->ports.size() == 1 ? service->ports.front().number : port;
      }
      out.emplace_back(outbound_name(number, to.destination.subset, to.destination.host),
                       static_cast<std::uint32_t>(to.weight));
    }
    return out;
  }

  bool applies(const mesh::L4Match& match, const GatewayServer& server) const {
    if (match.port != 0 && match.port != server.server->port.number) return false;
    if (match.gateways.empty()) return true;
    return std::find(match.gateways.begin(), match.gateways.end(), server.gateway_name()) !=
           match.gateways.end();
  }

  void add_tcp_chain(const Clusters& clusters, FilterChain& chain) {
    TcpChain tcp;
    tcp.side = Side::kGateway;
    tcp.clusters = clusters;
    tcp.stat_prefix = clusters.front().first;
    add_tcp(view_, tcp, chain);
  }

  // The first tcp route that holds for this server.
  Clusters tcp_route(const GatewayServer& server) const {
    const int port = static_cast<int>(server.server->port.number);
    for (const auto& config : view_.mesh.virtual_services_of(server.gateway_name())) {
      if (admitted_hosts(server, *config).empty()) continue;
      for (const mesh::L4Route& route : config->spec.tcp) {
        bool holds = route.match.empty();
        for (const mesh::L4Match& match : route.match) holds |= applies(match, server);
        if (holds) return clusters_of(route, port);
      }
    }
    return {};
  }

  void add_plain_tcp(const GatewayServer& server) {
    const Clusters clusters = tcp_route(server);
    if (clusters.empty() || has_tcp_) return;
    has_tcp_ = true;
    add_tcp_chain(clusters, *out_.add_filter_chains());
  }

  void add_tls_to_tcp(const GatewayServer& server) {
    const Clusters clusters = tcp_route(server);
    const auto names = sni_hosts(server);
    if (clusters.empty() || !claim(names)) return;
    FilterChain& chain = *out_.add_filter_chains();
    set_sni(names, chain);
    set_server_tls(view_, *server.server->tls, server.gateway->meta.ns, false,
                   *chain.mutable_transport_socket());
    add_tcp_chain(clusters, chain);
  }

  void add_passthrough(const GatewayServer& server) {
    const int port = static_cast<int>(server.server->port.number);
    for (const auto& config : view_.mesh.virtual_services_of(server.gateway_name())) {
      if (admitted_hosts(server, *config).empty()) continue;
      for (const mesh::L4Route& route : config->spec.tls) {
        for (const mesh::L4Match& match : route.match) {
          if (!applies(match, server) || !claim(match.sni_hosts)) continue;
          FilterChain& chain = *out_.add_filter_chains();
          set_sni(match.sni_hosts, chain);
          add_tcp_chain(clusters_of(route, port), chain);
        }
      }
    }
  }

  // The SNI itself names the cluster: "outbound_.9080_._.reviews.default.svc.cluster.local".
  void add_auto_passthrough(const GatewayServer& server) {
    const auto names = sni_hosts(server);
    if (!claim(names)) return;
    FilterChain& chain = *out_.add_filter_chains();
    set_sni(names, chain);
    for (const char* protocol :
         {"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"}) {
      chain.mutable_filter_chain_match()->add_application_protocols(protocol);
    }
    auto& filter = *chain.add_filters();
    filter.set_name("envoy.filters.network.sni_cluster");
    *filter.mutable_typed_config() =
        xds::pack(envoy::extensions::filters::network::sni_cluster::v3::SniCluster());
    add_tcp_chain({{std::string(kBlackHole), 0}}, chain);
  }

 public:
  bool needs_tls_inspector() const { return needs_tls_inspector_; }

 private:
  const View& view_;
  int port_;
  Listener& out_;
  std::set<std::string> claimed_;
  bool has_http_ = false;
  bool has_tcp_ = false;
  bool needs_tls_inspector_ = false;
};

}  // namespace

void add_gateway_listeners(const View& view, std::vector<Listener>& out) {
  for (const auto& [port, servers] : servers_by_port(view)) {
    Listener listener;
    std::string bind = "0.0.0.0";
    if (!servers.front().server->bind.empty()) bind = servers.front().server->bind;
    listener.set_name(bind + "_" + std::to_string(port));
    set_address(bind, port, listener);
    listener.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
    GatewayListener chains(view, port, listener);
    for (const GatewayServer& server : servers) chains.add(server);
    if (listener.filter_chains_size() == 0) continue;  // TCP without a route yet
    const data::Json* own =
        data::find(view.proxy.metadata, {"PROXY_CONFIG", "gatewayTopology", "proxyProtocol"});
    if (own != nullptr || view.mesh.mesh().proxy.accepts_proxy_protocol) {
      add_listener_filter(ListenerFilter::kProxyProtocol, listener);
    }
    if (chains.needs_tls_inspector()) {
      add_listener_filter(ListenerFilter::kTlsInspector, listener);
      listener.mutable_listener_filters_timeout()->set_seconds(0);
    }
    for (const AccessLog& log : make_listener_logs(view, Side::kGateway)) {
      *listener.add_access_log() = log;
    }
    out.push_back(std::move(listener));
  }
}

}  // namespace lateen::discovery
