// virtualInbound: one listener for all that comes in, with filter chains per own port by mTLS mode,
// and a pass-through for ports that no service names.
#include <map>

#include "discovery/generate/durations.h"
#include "discovery/generate/listeners.h"
#include "discovery/generate/names.h"
#include "discovery/generate/routes.h"
#include "discovery/generate/tcp_filters.h"
#include "discovery/generate/tls.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace lateen::discovery {
namespace {

using mesh::MtlsMode;
using Names = std::vector<std::string>;

const Names kMutualAlpn = {"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1",
                           "istio-h2"};
const Names kMutualHttpAlpn = {"istio-http/1.0", "istio-http/1.1", "istio-h2"};
const Names kPlainHttpAlpn = {"http/1.1", "h2c"};

struct Port {
  int number = 0;  // 0: any other port
  mesh::Protocol protocol = mesh::Protocol::kUnsupported;
  std::string cluster;
  std::string name;                      // of the chains
  const mesh::ServerTls* tls = nullptr;  // Sidecar ingress: terminates TLS of its own
  std::string bind;                      // captureMode NONE: a listener of its own there
};

class Inbound {
 public:
  Inbound(const View& view, Listener& listener) : view_(view), listener_(listener) {}

  void add(const Port& port) {
    if (port.tls != nullptr && port.tls->terminates()) return add_own_tls(port);
    const MtlsMode mode = view_.mesh.mtls_mode(view_.proxy.ns, view_.proxy.labels, port.number);
    if (mesh::is_http(port.protocol)) {
      if (mode != MtlsMode::kDisable) {
        add_chain(port, Wire::kHttp, "tls", mode == MtlsMode::kStrict ? Names{} : kMutualAlpn,
                  true);
      }
      if (mode != MtlsMode::kStrict) add_chain(port, Wire::kHttp, plain(mode), {}, false);
      return;
    }
    if (port.protocol != mesh::Protocol::kUnsupported) {
      if (mode != MtlsMode::kDisable) {
        add_chain(port, Wire::kTcp, "tls", mode == MtlsMode::kStrict ? Names{} : kMutualAlpn, true);
      }
      if (mode == MtlsMode::kPermissive) add_chain(port, Wire::kTcp, "tls", {}, false);
      if (mode != MtlsMode::kStrict) add_chain(port, Wire::kTcp, plain(mode), {}, false);
      return;
    }
    // To be detected: HTTP by ALPN inside mutual TLS, or by its first bytes.
    if (mode != MtlsMode::kDisable) {
      add_chain(port, Wire::kHttp, "tls", kMutualHttpAlpn, true);
      add_chain(port, Wire::kTcp, "tls",
                mode == MtlsMode::kStrict ? Names{} : Names{"istio", "istio-peer-exchange"}, true);
    }
    if (mode == MtlsMode::kStrict) return;
    add_chain(port, Wire::kHttp, "raw_buffer", kPlainHttpAlpn, false);
    if (mode == MtlsMode::kPermissive) add_chain(port, Wire::kTcp, "tls", {}, false);
    add_chain(port, Wire::kTcp, plain(mode), {}, false);
  }

 private:
  // Without mutual TLS nobody looks whether bytes are TLS.
  static std::string plain(MtlsMode mode) { return mode == MtlsMode::kDisable ? "" : "raw_buffer"; }

  FilterChain& new_chain(const Port& port, const std::string& transport, const Names& alpn) {
    FilterChain& chain = *listener_.add_filter_chains();
    chain.set_name(port.name);
    auto& match = *chain.mutable_filter_chain_match();
    if (port.number != 0 && port.bind.empty()) {
      match.mutable_destination_port()->set_value(static_cast<std::uint32_t>(port.number));
    }
    if (!transport.empty()) match.set_transport_protocol(transport);
    for (const std::string& protocol : alpn) match.add_application_protocols(protocol);
    return chain;
  }

  void fill(const Port& port, Wire wire, FilterChain& chain) {
    if (wire == Wire::kHttp) {
      RouteConfiguration routes;
      make_inbound_route(view_, port.number, port.cluster, routes);
      const std::string prefix =
          port.number != 0 ? "inbound_0.0.0.0_" + std::to_string(port.number) : port.cluster;
      add_http(view_, {Side::kInbound, prefix, "", &routes, false, port.number}, chain);
      return;
    }
    TcpChain tcp;
    tcp.side = Side::kInbound;
    tcp.stat_prefix = port.cluster;
    tcp.clusters = {{port.cluster, 0}};
    add_tcp(view_, tcp, chain);
  }

  void add_chain(const Port& port, Wire wire, const std::string& transport, const Names& alpn,
                 bool is_mutual) {
    FilterChain& chain = new_chain(port, transport, alpn);
    if (port.number == 0 && wire == Wire::kHttp) chain.set_name("virtualInbound-catchall-http");
    if (is_mutual) {
      const Names offered = wire == Wire::kHttp ? Names{"h2", "http/1.1"}
                                                : Names{"istio-peer-exchange", "h2", "http/1.1"};
      set_inbound_mutual(view_, offered, *chain.mutable_transport_socket());
    }
    fill(port, wire, chain);
  }

  void add_own_tls(const Port& port) {
    FilterChain& chain = new_chain(port, "tls", {});
    const bool is_http = port.protocol == mesh::Protocol::kHttps || mesh::is_http(port.protocol);
    set_server_tls(view_, *port.tls, view_.proxy.ns, is_http, *chain.mutable_transport_socket());
    fill(port, is_http ? Wire::kHttp : Wire::kTcp, chain);
  }

  const View& view_;
  Listener& listener_;
};

std::vector<Port> own_ports(const View& view) {
  std::vector<Port> out;
  if (view.scope.sidecar != nullptr && !view.scope.sidecar->spec.ingress.empty()) {
    for (const mesh::Sidecar::Ingress& ingress : view.scope.sidecar->spec.ingress) {
      Port port;
      port.number = static_cast<int>(ingress.port.number);
      port.protocol = mesh::parse_protocol(ingress.port.protocol);
      port.cluster = inbound_name(port.number);
      port.name = "0.0.0.0_" + std::to_string(port.number);
      if (ingress.tls) port.tls = &*ingress.tls;
      if (ingress.capture_mode == "NONE" || !view.proxy.is_intercepting) {
        port.bind = ingress.bind.empty() ? "0.0.0.0" : ingress.bind;
      }
      out.push_back(std::move(port));
    }
    return out;
  }
  std::map<int, Port> by_number;
  for (const Target& target : view.targets) {
    const auto [slot, is_new] = by_number.try_emplace(target.number);
    if (!is_new) continue;  // the oldest service's protocol counts
    slot->second.number = target.number;
    slot->second.protocol = target.port->protocol;
    slot->second.cluster = inbound_name(target.number);
    slot->second.name = "0.0.0.0_" + std::to_string(target.number);
  }
  for (auto& [number, port] : by_number) out.push_back(std::move(port));
  return out;
}

}  // namespace

namespace {

void finish(const View& view, Listener& listener) {
  add_listener_filter(ListenerFilter::kTlsInspector, listener);
  add_listener_filter(ListenerFilter::kHttpInspector, listener);
  set_duration(view.mesh.mesh().protocol_detection_timeout,
               *listener.mutable_listener_filters_timeout());
  listener.set_continue_on_listener_filters_timeout(true);
  for (const AccessLog& log : make_listener_logs(view, Side::kInbound)) {
    *listener.add_access_log() = log;
  }
}

// A port that no redirection leads to: clients dial the proxy itself.
void add_bound(const View& view, const Port& port, std::vector<Listener>& out) {
  Listener& listener = out.emplace_back();
  listener.set_name(port.bind + "_" + std::to_string(port.number));
  set_address(port.bind, port.number, listener);
  listener.set_traffic_direction(envoy::config::core::v3::INBOUND);
  Inbound(view, listener).add(port);
  finish(view, listener);
}

}  // namespace

void add_inbound_listener(const View& view, std::vector<Listener>& out) {
  const std::vector<Port> ports = own_ports(view);
  for (const Port& port : ports) {
    if (!port.bind.empty()) add_bound(view, port, out);
  }
  Listener& listener = out.emplace_back();
  const int port = view.mesh.mesh().proxy_inbound_listen_port;
  listener.set_name("virtualInbound");
  set_address("0.0.0.0", port, listener);
  listener.set_traffic_direction(envoy::config::core::v3::INBOUND);
  FilterChain& loop = *listener.add_filter_chains();
  loop.set_name("virtualInbound-blackhole");
  loop.mutable_filter_chain_match()->mutable_destination_port()->set_value(
      static_cast<std::uint32_t>(port));
  TcpChain black_hole;
  black_hole.side = Side::kInbound;
  black_hole.clusters = {{std::string(kBlackHole), 0}};
  black_hole.stat_prefix = kBlackHole;
  add_tcp(view, black_hole, loop);
  Inbound chains(view, listener);
  Port other;
  other.cluster = kInboundPassthrough;
  other.name = "virtualInbound";
  chains.add(other);
  for (const Port& own : ports) {
    if (own.bind.empty()) chains.add(own);
  }
  add_listener_filter(ListenerFilter::kOriginalDst, listener);
  finish(view, listener);
}

}  // namespace lateen::discovery
