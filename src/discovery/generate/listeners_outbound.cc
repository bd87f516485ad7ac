// Outbound listeners of a sidecar. HTTP services share one listener per port, routed by host; other
// protocols have a listener per address, or, where they have none, share the port's wildcard
// listener by SNI.
#include <algorithm>
#include <map>

#include "discovery/generate/durations.h"
#include "discovery/generate/listeners.h"
#include "discovery/generate/names.h"
#include "discovery/generate/tcp_filters.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "mesh/hostname.h"

// use_original_dst is marked deprecated, and the only way to hand connections to listeners that do
// not bind.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

constexpr const char* kAnyAddress = "0.0.0.0";

struct TcpDraft {
  std::vector<std::string> server_names;
  std::vector<std::string> cidrs;
  TcpChain chain;
};

// What a listener is to have, before it is written.
struct Draft {
  std::string ip;
  int port = 0;
  bool binds_port = false;
  std::string route_name;  // HTTP, when not empty
  std::vector<TcpDraft> tcp;
};

class OutboundListeners {
 public:
  explicit OutboundListeners(const View& view) : view_(view) {}

  void collect() {
    for (const Scope::Egress& egress : view_.scope.egress) {
      for (const mesh::ServicePtr& service : egress.services) {
        if (view_.scope.find(service->host) != service.get()) continue;
        for (const mesh::ServicePort& port : service->ports) {
          if (egress.port != 0 && egress.port != port.number) continue;
          add_service_port(egress, *service, port);
        }
      }
      if (egress.port != 0 && mesh::is_http(egress.protocol)) {
        Draft& draft = at(egress.bind.empty() ? kAnyAddress : egress.bind, egress.port);
        if (draft.route_name.empty()) draft.route_name = std::to_string(egress.port);
        draft.binds_port |= egress.binds_port;
      } else if (egress.binds_port) {
        at(egress.bind.empty() ? kAnyAddress : egress.bind, egress.port).binds_port = true;
      }
    }
  }

  std::vector<Listener> write() {
    std::vector<Listener> out;
    for (auto& [key, draft] : drafts_) out.push_back(write_one(draft));
    return out;
  }

 private:
  Draft& at(const std::string& ip, int port) {
    Draft& draft = drafts_[{ip, port}];
    draft.ip = ip;
    draft.port = port;
    draft.binds_port |= !view_.proxy.is_intercepting;
    return draft;
  }

  void add_service_port(const Scope::Egress& egress, const mesh::Service& service,
                        const mesh::ServicePort& port) {
    if (port.protocol == mesh::Protocol::kUdp) return;
    if (mesh::is_http(port.protocol)) {
      Draft& draft = at(kAnyAddress, port.number);
      if (draft.route_name.empty()) draft.route_name = std::to_string(port.number);
      return;
    }
    if (port.protocol == mesh::Protocol::kUnsupported) return add_detected(egress, service, port);
    add_tcp_port(egress, service, port);
  }

  // The protocol is found by looking: HTTP goes to a route of this one service, the rest to its
  // cluster.
  void add_detected(const Scope::Egress& egress, const mesh::Service& service,
                    const mesh::ServicePort& port) {
    for (const std::string& ip : listen_addresses(service)) {
      Draft& draft = at(ip, port.number);
      if (draft.route_name.empty()) {
        draft.route_name = ip == kAnyAddress ? std::to_string(port.number)
                                             : service.host + ":" + std::to_string(port.number);
      }
    }
    add_tcp_port(egress, service, port);
  }

  std::vector<std::string> listen_addresses(const mesh::Service& service) {
    std::vector<std::string> out;
    for (const std::string& address : service.addresses) {
      if (address.find('/') == std::string::npos && address.find(':') == std::string::npos) {
        out.push_back(address);
      }
    }
    if (out.empty() && view_.proxy.uses_auto_addresses && !service.auto_address.empty()) {
      out.push_back(service.auto_address);
    }
    if (out.empty()) out.push_back(kAnyAddress);
    return out;
  }

  void add_tcp_port(const Scope::Egress& egress, const mesh::Service& service,
                    const mesh::ServicePort& port) {
    std::vector<TcpDraft> chains = chains_for(egress, service, port);
    if (service.is_headless && service.registry == mesh::Service::Registry::kKubernetes) {
      return add_headless(service, port, chains);
    }
    for (const std::string& ip : listen_addresses(service)) {
      Draft& draft = at(ip, port.number);
      for (const TcpDraft& chain : chains) {
        TcpDraft copy = chain;
        if (ip == kAnyAddress && copy.server_names.empty() && mesh::is_tls(port.protocol) &&
            service.host != "*") {
          copy.server_names.push_back(service.host);  // no address: the SNI tells services apart
        }
        if (ip == kAnyAddress && copy.cidrs.empty()) copy.cidrs = cidrs_of(service);
        const bool is_taken =
            std::any_of(draft.tcp.begin(), draft.tcp.end(), [&](const TcpDraft& other) {
              return other.server_names == copy.server_names && other.cidrs == copy.cidrs;
            });
        if (!is_taken) draft.tcp.push_back(std::move(copy));  // the oldest service keeps it
      }
    }
  }

  // Clients dial the pods of a headless service by their addresses.
  void add_headless(const mesh::Service& service, const mesh::ServicePort& port,
                    const std::vector<TcpDraft>& chains) {
    const auto endpoints = view_.mesh.endpoints_of(service);
    constexpr std::size_t kMostListeners = 1000;
    for (const mesh::Endpoint& endpoint : endpoints->endpoints) {
      if (endpoint.port_name != port.name || drafts_.size() > kMostListeners) continue;
      if (endpoint.address == view_.proxy.ips.front()) continue;  // itself
      Draft& draft = at(endpoint.address, port.number);
      if (draft.tcp.empty()) draft.tcp = chains;
      if (port.protocol == mesh::Protocol::kUnsupported && draft.route_name.empty()) {
        draft.route_name = service.host + ":" + std::to_string(port.number);
      }
    }
  }

  static std::vector<std::string> cidrs_of(const mesh::Service& service) {
    std::vector<std::string> out;
    for (const std::string& address : service.addresses) {
      if (address.find('/') != std::string::npos) out.push_back(address);
    }
    return out;
  }

  // What virtual services say of this port, else the service itself.
  std::vector<TcpDraft> chains_for(const Scope::Egress& egress, const mesh::Service& service,
                                   const mesh::ServicePort& port) {
    std::vector<TcpDraft> out;
    for (const auto& config : egress.virtual_services) {
      if (!has_host(config->spec.hosts, service.host)) continue;
      if (mesh::is_tls(port.protocol)) add_matches(config->spec.tls, service, port, out);
      if (!mesh::is_tls(port.protocol)) add_matches(config->spec.tcp, service, port, out);
      if (!out.empty()) break;
    }
    const bool has_default = std::any_of(out.begin(), out.end(), [](const TcpDraft& draft) {
      return draft.server_names.empty() && draft.cidrs.empty();
    });
    if (has_default || (!out.empty() && mesh::is_tls(port.protocol))) return out;
    TcpDraft& plain = out.emplace_back();
    plain.chain = chain_to({{outbound_name(port.number, "", service.host), 0}}, service, port);
    return out;
  }

  static bool has_host(const std::vector<std::string>& hosts, const std::string& host) {
    for (const std::string& pattern : hosts) {
      if (mesh::host_covers(pattern, host)) return true;
    }
    return false;
  }

  bool applies(const mesh::L4Match& match, const mesh::ServicePort& port) const {
    if (match.port != 0 && match.port != port.number) return false;
    if (!match.source_namespace.empty() && match.source_namespace != view_.proxy.ns) return false;
    if (!mesh::selects(match.source_labels, view_.proxy.labels)) return false;
    return match.gateways.empty() ||
           std::find(match.gateways.begin(), match.gateways.end(), "mesh") != match.gateways.end();
  }

  void add_matches(const std::vector<mesh::L4Route>& routes, const mesh::Service& service,
                   const mesh::ServicePort& port, std::vector<TcpDraft>& out) {
    for (const mesh::L4Route& route : routes) {
      std::vector<std::pair<std::string, std::uint32_t>> clusters;
      for (const mesh::RouteDestination& to : route.route) {
        const int number = to.destination.port != 0 ? to.destination.port
                                                    : default_port(to.destination.host, port);
        clusters.emplace_back(outbound_name(number, to.destination.subset, to.destination.host),
                              static_cast<std::uint32_t>(to.weight));
      }
      if (route.match.empty()) {
        out.emplace_back().chain = chain_to(clusters, service, port);
      }
      for (const mesh::L4Match& match : route.match) {
        if (!applies(match, port)) continue;
        TcpDraft& draft = out.emplace_back();
        draft.server_names = match.sni_hosts;
        draft.cidrs = match.destination_subnets;
        draft.chain = chain_to(clusters, service, port);
      }
    }
  }

  int default_port(const std::string& host, const mesh::ServicePort& port) const {
    const mesh::Service* service = view_.scope.find(host);
    return service != nullptr && service->ports.size() == 1 ? service->ports.front().number
                                                            : port.number;
  }

  TcpChain chain_to(std::vector<std::pair<std::string, std::uint32_t>> clusters,
                    const mesh::Service& service, const mesh::ServicePort& port) const {
    TcpChain chain;
    chain.side = Side::kOutbound;
    chain.clusters = std::move(clusters);
    chain.stat_prefix = chain.clusters.front().first;
    chain.protocol = port.protocol;
    apply_rule(view_, service, port, chain);
    return chain;
  }

  Listener write_one(Draft& draft) {
    Listener listener;
    listener.set_name(draft.ip + "_" + std::to_string(draft.port));
    set_address(draft.ip, draft.port, listener);
    listener.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
    if (!draft.binds_port) listener.mutable_bind_to_port()->set_value(false);
    const bool is_any = draft.ip == kAnyAddress;
    bool needs_sni = false;
    for (const TcpDraft& tcp : draft.tcp) needs_sni |= !tcp.server_names.empty();
    if (!draft.route_name.empty()) {
      FilterChain& chain = *listener.add_filter_chains();
      auto& match = *chain.mutable_filter_chain_match();
      match.set_transport_protocol("raw_buffer");
      match.add_application_protocols("http/1.1");
      match.add_application_protocols("h2c");
      add_http(view_,
               {Side::kOutbound, "outbound_" + listener.name(), draft.route_name, nullptr, false,
                draft.port},
               chain);
    }
    bool has_default = false;
    for (const TcpDraft& tcp : draft.tcp) {
      const bool is_default = tcp.server_names.empty() && tcp.cidrs.empty();
      if (is_default && has_default) continue;
      has_default |= is_default;
      FilterChain& chain =
          is_default ? *listener.mutable_default_filter_chain() : *listener.add_filter_chains();
      for (const std::string& name : tcp.server_names) {
        if (name != "*") chain.mutable_filter_chain_match()->add_server_names(name);
      }
      if (!tcp.server_names.empty()) {
        chain.mutable_filter_chain_match()->set_transport_protocol("tls");
      }
      add_cidrs(tcp.cidrs, chain);
      add_tcp(view_, tcp.chain, chain);
    }
    if (is_any && !has_default) add_fallback(*listener.mutable_default_filter_chain());
    // Not where nothing is chosen by SNI: it waits for five bytes, and a client may send less.
    if (needs_sni) add_listener_filter(ListenerFilter::kTlsInspector, listener);
    if (!draft.route_name.empty()) {
      add_listener_filter(ListenerFilter::kHttpInspector, listener);
      listener.set_continue_on_listener_filters_timeout(true);
    }
    if (listener.listener_filters_size() > 0) {
      set_duration(view_.mesh.mesh().protocol_detection_timeout,
                   *listener.mutable_listener_filters_timeout());
    }
    for (const AccessLog& log : make_listener_logs(view_, Side::kOutbound)) {
      *listener.add_access_log() = log;
    }
    return listener;
  }

  static void add_cidrs(const std::vector<std::string>& cidrs, FilterChain& chain) {
    for (const std::string& text : cidrs) {
      auto& range = *chain.mutable_filter_chain_match()->add_prefix_ranges();
      const auto parts = split_once(text, "/");
      range.set_address_prefix(std::string(parts ? parts->first : text));
      const auto bits = parts ? parse_uint(parts->second) : std::nullopt;
      range.mutable_prefix_len()->set_value(static_cast<std::uint32_t>(bits.value_or(32)));
    }
  }

  void add_fallback(FilterChain& chain) {
    TcpChain tcp;
    const std::string& name = view_.scope.other_cluster;
    tcp.clusters = {{name, 0}};
    tcp.stat_prefix = name;
    chain.set_name("PassthroughFilterChain");
    add_tcp(view_, tcp, chain);
  }

  const View& view_;
  std::map<std::pair<std::string, int>, Draft> drafts_;
};

Listener make_virtual_outbound(const View& view) {
  Listener listener;
  const int port = view.mesh.mesh().proxy_listen_port;
  listener.set_name("virtualOutbound");
  set_address(kAnyAddress, port, listener);
  listener.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
  listener.mutable_use_original_dst()->set_value(true);
  // A connection to the port itself would loop.
  FilterChain& loop = *listener.add_filter_chains();
  loop.set_name("virtualOutbound-blackhole");
  loop.mutable_filter_chain_match()->mutable_destination_port()->set_value(
      static_cast<std::uint32_t>(port));
  TcpChain black_hole;
  black_hole.clusters = {{std::string(kBlackHole), 0}};
  black_hole.stat_prefix = kBlackHole;
  add_tcp(view, black_hole, loop);
  FilterChain& rest = *listener.add_filter_chains();
  rest.set_name("virtualOutbound-catchall-tcp");
  TcpChain through;
  const std::string& name = view.scope.other_cluster;
  through.clusters = {{name, 0}};
  through.stat_prefix = name;
  add_tcp(view, through, rest);
  for (const AccessLog& log : make_listener_logs(view, Side::kOutbound)) {
    *listener.add_access_log() = log;
  }
  return listener;
}

}  // namespace

void add_outbound_listeners(const View& view, std::vector<Listener>& out) {
  OutboundListeners listeners(view);
  listeners.collect();
  for (Listener& listener : listeners.write()) out.push_back(std::move(listener));
  out.push_back(make_virtual_outbound(view));
}

}  // namespace lateen::discovery
