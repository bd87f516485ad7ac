#include "discovery/generate/proxyless.h"

#include <optional>

#include "base/strings.h"
#include "discovery/generate/authorization.h"
#include "discovery/generate/durations.h"
#include "discovery/generate/names.h"
#include "discovery/generate/tls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/any.h"

// Older gRPC clients read the fields of certificate providers that Envoy has deprecated since.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

namespace filters = envoy::extensions::filters;
namespace tlsv3 = envoy::extensions::transport_sockets::tls::v3;
using HttpManager = filters::network::http_connection_manager::v3::HttpConnectionManager;

constexpr std::string_view kServerPrefix = "xds.istio.io/grpc/lds/inbound/";
constexpr const char* kTlsSocket = "envoy.transport_sockets.tls";
constexpr const char* kProvider = "default";

struct HostPort {
  std::string host;
  std::optional<int> port;
};

// "host:port", "[v6]:port", or a host alone, which means all of its ports.
HostPort split_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const bool is_bare_v6 =
      text.find(':') != colon && !(colon > 0 && colon < text.size() && text[colon - 1] == ']');
  if (colon == std::string_view::npos || is_bare_v6) return {std::string(text), std::nullopt};
  const auto port = parse_uint(text.substr(colon + 1));
  if (!port || *port > 65535) return {std::string(text), std::nullopt};
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {std::string(host), static_cast<int>(*port)};
}

// "foo", "foo.ns" and "foo.ns.svc" of the client's own namespace are "foo.ns.svc.cluster.local".
std::string whole_name(const Proxy& proxy, const std::string& host) {
  if (host.find('.') == std::string::npos) return host + "." + proxy.dns_domain;
  for (const std::string& suffix : {proxy.ns, proxy.ns + ".svc"}) {
    if (host.ends_with("." + suffix) && proxy.dns_domain.starts_with(suffix))
      return host.substr(0, host.size() - suffix.size()) + proxy.dns_domain;
  }
  return "";
}

const mesh::Service* find_service(const View& view, const std::string& host) {
  if (const mesh::Service* service = view.scope.find(host)) return service;
  const std::string whole = whole_name(view.proxy, host);
  return whole.empty() ? nullptr : view.scope.find(whole);
}

void add_filter(const char* name, const google::protobuf::Message& config, HttpManager& out) {
  auto& filter = *out.add_http_filters();
  filter.set_name(name);
  *filter.mutable_typed_config() = xds::pack(config);
}

Listener make_client_listener(const std::string& host, const mesh::Service& service,
                              const mesh::ServicePort& port) {
  Listener listener;
  const bool is_v6 = host.find(':') != std::string::npos;
  listener.set_name((is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port.number));
  set_address(service.addresses.empty() ? "0.0.0.0" : service.addresses.front(), port.number,
              listener);
  HttpManager manager;
  add_filter("envoy.filters.http.fault", filters::http::fault::v3::HTTPFault(), manager);
  add_filter("envoy.filters.http.router", filters::http::router::v3::Router(), manager);
  set_ads(*manager.mutable_rds()->mutable_config_source());
  manager.mutable_rds()->set_route_config_name(outbound_name(port.number, "", service.host));
  *listener.mutable_api_listener()->mutable_api_listener() = xds::pack(manager);
  return listener;
}

void set_provided_certificates(const std::vector<std::string>& sans,
                               tlsv3::CommonTlsContext& context) {
  auto& own = *context.mutable_tls_certificate_provider_instance();
  own.set_instance_name(kProvider);
  own.set_certificate_name("default");
  auto& own_before = *context.mutable_tls_certificate_certificate_provider_instance();
  own_before.set_instance_name(kProvider);
  own_before.set_certificate_name("default");
  auto& combined = *context.mutable_combined_validation_context();
  auto& roots_before = *combined.mutable_validation_context_certificate_provider_instance();
  roots_before.set_instance_name(kProvider);
  roots_before.set_certificate_name("ROOTCA");
  auto& validation = *combined.mutable_default_validation_context();
  auto& roots = *validation.mutable_ca_certificate_provider_instance();
  roots.set_instance_name(kProvider);
  roots.set_certificate_name("ROOTCA");
  for (const std::string& san : sans) validation.add_match_subject_alt_names()->set_exact(san);
}

// gRPC cannot tell plain text from TLS on one port: a workload whose clients are told to use mutual
// TLS (its tlsMode label) takes nothing else, any other takes plain text.
bool requires_mutual(const View& view, int port) {
  const mesh::MtlsMode mode = view.mesh.mtls_mode(view.proxy.ns, view.proxy.labels, port);
  if (mode != mesh::MtlsMode::kPermissive) return mode == mesh::MtlsMode::kStrict;
  return mesh::label_of(view.proxy.labels, "security.istio.io/tlsMode") == "istio";
}

std::optional<Listener> make_server_listener(const View& view, const std::string& name) {
  const HostPort at = split_host_port(std::string_view(name).substr(kServerPrefix.size()));
  const Target* target = nullptr;
  for (const Target& each : view.targets) {
    if (at.port == each.number) target = &each;
  }
  if (target == nullptr) return std::nullopt;
  Listener listener;
  listener.set_name(name);
  set_address(at.host, *at.port, listener);
  HttpManager manager;
  auto& host = *manager.mutable_route_config()->add_virtual_hosts();
  manager.mutable_route_config()->set_name("inbound");
  host.add_domains("*");
  auto& route = *host.add_routes();
  route.mutable_match()->set_prefix("/");
  route.mutable_non_forwarding_action();
  add_proxyless_authorization(view, manager);
  add_filter("envoy.filters.http.router", filters::http::router::v3::Router(), manager);
  const bool is_mutual = requires_mutual(view, *at.port);
  const std::string suffix = is_mutual ? "mtls" : "plaintext";
  auto& chain = *listener.add_filter_chains();
  chain.set_name("inbound-" + suffix);
  auto& filter = *chain.add_filters();
  filter.set_name("inbound-hcm" + suffix);
  *filter.mutable_typed_config() = xds::pack(manager);
  if (!is_mutual) return listener;
  tlsv3::DownstreamTlsContext tls;
  set_provided_certificates({}, *tls.mutable_common_tls_context());
  tls.mutable_require_client_certificate()->set_value(true);
  chain.mutable_transport_socket()->set_name(kTlsSocket);
  *chain.mutable_transport_socket()->mutable_typed_config() = xds::pack(tls);
  return listener;
}

void set_hash(const mesh::ConsistentHash& hash, Cluster& cluster) {
  cluster.set_lb_policy(Cluster::RING_HASH);
  cluster.mutable_ring_hash_lb_config()->mutable_minimum_ring_size()->set_value(
      hash.minimum_ring_size.value_or(1024));
}

// What of a traffic policy gRPC knows: balancing, the limit of requests, mutual TLS when it is said
// (a client may have no certificates, and a server none either).
void apply_client_policy(const View& view, const mesh::Service& service,
                         const mesh::ServicePort& port, const mesh::PortTrafficPolicy& policy,
                         Cluster& cluster) {
  using Simple = mesh::LoadBalancer::Simple;
  if (policy.load_balancer && policy.load_balancer->consistent_hash) {
    set_hash(*policy.load_balancer->consistent_hash, cluster);
  } else if (policy.load_balancer && policy.load_balancer->simple == Simple::kLeastRequest) {
    cluster.set_lb_policy(Cluster::LEAST_REQUEST);
  }
  if (policy.connection_pool && policy.connection_pool->http2_max_requests.value_or(0) > 0) {
    cluster.mutable_circuit_breakers()->add_thresholds()->mutable_max_requests()->set_value(
        static_cast<std::uint32_t>(*policy.connection_pool->http2_max_requests));
  }
  if (!policy.tls || policy.tls->mode != mesh::ClientTls::Mode::kIstioMutual) return;
  std::vector<std::string> sans = policy.tls->subject_alt_names;
  if (sans.empty()) sans = service.subject_alt_names;
  if (sans.empty()) sans = service_identities(view.mesh, service, port.number);
  tlsv3::UpstreamTlsContext tls;
  set_provided_certificates(sans, *tls.mutable_common_tls_context());
  cluster.mutable_transport_socket()->set_name(kTlsSocket);
  *cluster.mutable_transport_socket()->mutable_typed_config() = xds::pack(tls);
}

std::optional<Cluster> make_client_cluster(const View& view, const std::string& name) {
  const auto parsed = parse_outbound_name(name);
  if (!parsed) return std::nullopt;
  const mesh::Service* service = view.scope.find(parsed->host);
  const mesh::ServicePort* port = service == nullptr ? nullptr : service->find_port(parsed->port);
  if (port == nullptr) return std::nullopt;
  const auto rule =
      view.mesh.find_rule(service->host, view.proxy.ns, service->ns, view.proxy.labels);
  const mesh::Subset* subset = rule == nullptr ? nullptr : rule->spec.find_subset(parsed->subset);
  if (!parsed->subset.empty() && subset == nullptr) return std::nullopt;
  Cluster cluster;
  cluster.set_name(name);
  cluster.set_type(Cluster::EDS);
  cluster.mutable_eds_cluster_config()->set_service_name(name);
  set_ads(*cluster.mutable_eds_cluster_config()->mutable_eds_config());
  const mesh::TrafficPolicy* general =
      rule != nullptr && rule->spec.policy ? &*rule->spec.policy : nullptr;
  const mesh::TrafficPolicy* own = subset != nullptr && subset->policy ? &*subset->policy : nullptr;
  apply_client_policy(view, *service, *port, merge_policies(general, own).for_port(port->number),
                      cluster);
  return cluster;
}

}  // namespace

bool is_proxyless(const Proxy& proxy) { return proxy.meta("GENERATOR") == "grpc"; }

std::vector<Listener> make_proxyless_listeners(const View& view,
                                               const std::set<std::string>& names) {
  std::vector<Listener> out;
  const auto add_client = [&](const std::string& host, const mesh::Service& service,
                              std::optional<int> only) {
    for (const mesh::ServicePort& port : service.ports) {
      if (port.protocol == mesh::Protocol::kUdp || (only && *only != port.number)) continue;
      out.push_back(make_client_listener(host, service, port));
    }
  };
  if (names.empty()) {
    for (const mesh::ServicePtr& service : view.scope.services)
      add_client(service->host, *service, std::nullopt);
  }
  for (const std::string& name : names) {
    if (name.starts_with(kServerPrefix)) {
      if (auto listener = make_server_listener(view, name)) out.push_back(*std::move(listener));
      continue;
    }
    const HostPort at = split_host_port(name);
    if (const mesh::Service* service = find_service(view, at.host))
      add_client(at.host, *service, at.port);
  }
  return out;
}

std::vector<Cluster> make_proxyless_clusters(const View& view, const std::set<std::string>& names) {
  std::vector<Cluster> out;
  for (const std::string& name : names) {
    if (auto cluster = make_client_cluster(view, name)) out.push_back(*std::move(cluster));
  }
  return out;
}

bool make_proxyless_route(const View& view, const std::string& name, RouteConfiguration& out) {
  const auto parsed = parse_outbound_name(name);
  if (!parsed) return false;
  // One service's routes, whatever name the application dials it by.
  const bool is_made =
      make_sidecar_route(view, parsed->host + ":" + std::to_string(parsed->port), out);
  out.set_name(name);
  return is_made;
}

}  // namespace lateen::discovery
