#include "discovery/generate/clusters.h"

#include <set>

#include "discovery/generate/cluster_policy.h"
#include "discovery/generate/durations.h"
#include "discovery/generate/endpoints.h"
#include "discovery/generate/metadata.h"
#include "discovery/generate/names.h"
#include "discovery/generate/tls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/cluster/v3/filter.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "istio/metadata_exchange.pb.h"
#include "mesh/hostname.h"
#include "xds/any.h"

// DNS fields of the cluster itself are deprecated for Envoy's DNS cluster extension, which older
// proxies lack.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

constexpr const char* kInboundSource = "127.0.0.6";  // redirection lets what comes from here pass

void add_metadata_exchange(const View& view, Cluster& cluster) {
  if (!view.proxy.has_istio_filters) return;
  envoy::tcp::metadataexchange::config::MetadataExchange config;
  config.set_protocol("istio-peer-exchange");
  auto& filter = *cluster.add_filters();
  filter.set_name("istio.metadata_exchange");
  *filter.mutable_typed_config() = xds::pack(config);
}

void set_discovery_type(const View& view, const mesh::Service& service,
                        const mesh::ServicePort& port, const std::string& subset,
                        Cluster& cluster) {
  using Resolution = mesh::Service::Resolution;
  switch (service.resolution) {
    case Resolution::kEndpoints:
      cluster.set_type(Cluster::EDS);
      cluster.mutable_eds_cluster_config()->set_service_name(
          outbound_name(port.number, subset, service.host));
      set_ads(*cluster.mutable_eds_cluster_config()->mutable_eds_config());
      return;
    case Resolution::kPassthrough:
      // HTTP to a headless service can be balanced: the host header names the service.
      if (service.is_headless && mesh::is_http(port.protocol) &&
          service.registry == mesh::Service::Registry::kKubernetes) {
        cluster.set_type(Cluster::EDS);
        cluster.mutable_eds_cluster_config()->set_service_name(
            outbound_name(port.number, subset, service.host));
        set_ads(*cluster.mutable_eds_cluster_config()->mutable_eds_config());
        return;
      }
      cluster.set_type(Cluster::ORIGINAL_DST);
      return;
    case Resolution::kDns:
    case Resolution::kDnsRoundRobin:
      cluster.set_type(service.resolution == Resolution::kDns ? Cluster::STRICT_DNS
                                                              : Cluster::LOGICAL_DNS);
      cluster.set_dns_lookup_family(Cluster::V4_ONLY);
      cluster.set_respect_dns_ttl(true);
      set_duration(view.mesh.mesh().dns_refresh_rate, *cluster.mutable_dns_refresh_rate());
      fill_assignment(view, service, port, subset, *cluster.mutable_load_assignment());
      cluster.mutable_load_assignment()->set_cluster_name(cluster.name());
      return;
  }
}

void set_cluster_metadata(const mesh::Service& service, const mesh::ServicePort& port,
                          const std::string& subset,
                          const mesh::ConfigPtr<mesh::DestinationRule>& rule, Cluster& cluster) {
  auto& metadata = *cluster.mutable_metadata();
  add_service(service, metadata);
  set_istio_number("default_original_port", port.number, metadata);
  if (rule != nullptr) {
    set_istio_text("config", config_path("destination-rule", rule->meta.ns, rule->meta.name),
                   metadata);
  }
  if (!subset.empty()) set_istio_text("subset", subset, metadata);
  if (service.is_mesh_external) {
    (*(*metadata.mutable_filter_metadata())["istio"].mutable_fields())["external"].set_bool_value(
        true);
  }
}

// "%SERVICE%_%SERVICE_PORT%" and the like.
std::string stat_name(std::string pattern, const mesh::Service& service,
                      const mesh::ServicePort& port, const std::string& subset) {
  const bool is_kubernetes = service.registry == mesh::Service::Registry::kKubernetes;
  pattern = replace_all(pattern, "%SERVICE%",
                        is_kubernetes ? service.name + "." + service.ns : service.host);
  pattern = replace_all(pattern, "%SERVICE_NAME%", service.name);
  pattern = replace_all(pattern, "%SERVICE_FQDN%", service.host);
  pattern = replace_all(pattern, "%SERVICE_PORT%", std::to_string(port.number));
  pattern = replace_all(pattern, "%SERVICE_PORT_NAME%", port.name);
  pattern = replace_all(pattern, "%TARGET_PORT%", std::to_string(port.target));
  return replace_all(pattern, "%SUBSET_NAME%", subset);
}

bool has_auto_passthrough(const View& view) {
  if (!view.proxy.is_gateway()) return false;
  for (const auto& gateway : view.mesh.gateways_of(view.proxy)) {
    for (const mesh::Server& server : gateway->spec.servers) {
      if (server.tls && server.tls->mode == mesh::ServerTls::Mode::kAutoPassthrough) return true;
    }
  }
  return false;
}

Cluster make_original_dst(const View& view, std::string_view name, bool is_inbound) {
  Cluster cluster;
  cluster.set_name(std::string(name));
  cluster.set_type(Cluster::ORIGINAL_DST);
  cluster.set_lb_policy(Cluster::CLUSTER_PROVIDED);
  set_duration(view.mesh.mesh().connect_timeout, *cluster.mutable_connect_timeout());
  set_unlimited(cluster);
  set_http_options({view, nullptr, nullptr, ""}, {}, cluster);
  if (is_inbound) {
    auto& source = *cluster.mutable_upstream_bind_config()->mutable_source_address();
    source.set_address(kInboundSource);
    source.set_port_value(0);
  } else {
    add_metadata_exchange(view, cluster);
  }
  return cluster;
}

Cluster make_black_hole(const View& view) {
  Cluster cluster;
  cluster.set_name(std::string(kBlackHole));
  cluster.set_type(Cluster::STATIC);
  set_duration(view.mesh.mesh().connect_timeout, *cluster.mutable_connect_timeout());
  return cluster;
}

void set_static_endpoint(const std::string& to, Cluster& cluster) {
  cluster.set_type(Cluster::STATIC);
  cluster.clear_lb_policy();
  cluster.clear_upstream_bind_config();
  auto& assignment = *cluster.mutable_load_assignment();
  assignment.set_cluster_name(cluster.name());
  auto& address =
      *assignment.add_endpoints()->add_lb_endpoints()->mutable_endpoint()->mutable_address();
  if (to.starts_with("unix://")) {
    address.mutable_pipe()->set_path(to.substr(7));
    return;
  }
  const std::size_t colon = to.rfind(':');
  address.mutable_socket_address()->set_address(to.substr(0, colon));
  address.mutable_socket_address()->set_port_value(
      static_cast<std::uint32_t>(parse_uint(to.substr(colon + 1)).value_or(0)));
}

// Of the Sidecar's ingress listener on that port, else of all its inbound ports.
const mesh::ConnectionPool* inbound_pool(const View& view, int port) {
  if (view.scope.sidecar == nullptr) return nullptr;
  const mesh::Sidecar& sidecar = view.scope.sidecar->spec;
  for (const mesh::Sidecar::Ingress& ingress : sidecar.ingress) {
    if (ingress.port.number == port && ingress.pool) return &*ingress.pool;
  }
  return sidecar.inbound_pool ? &*sidecar.inbound_pool : nullptr;
}

void add_inbound(const View& view, std::vector<Cluster>& out) {
  const auto make = [&](int number, const mesh::ServicePort& port) {
    Cluster cluster = make_original_dst(view, inbound_name(number), /*is_inbound=*/true);
    cluster.clear_typed_extension_protocol_options();
    if (mesh::is_http2(port.protocol) || !mesh::is_tcp(port.protocol)) {
      set_http_options({view, nullptr, &port, ""}, {}, cluster);
    }
    const mesh::ConnectionPool* pool = inbound_pool(view, number);
    if (pool != nullptr) apply_inbound_pool({view, nullptr, &port, ""}, *pool, cluster);
    if (view.mesh.mesh().is_inbound_localhost) {
      set_static_endpoint("127.0.0.1:" + std::to_string(number), cluster);
    }
    return cluster;
  };
  if (view.scope.sidecar != nullptr && !view.scope.sidecar->spec.ingress.empty()) {
    for (const mesh::Sidecar::Ingress& ingress : view.scope.sidecar->spec.ingress) {
      mesh::ServicePort port;
      port.number = static_cast<int>(ingress.port.number);
      port.protocol = mesh::parse_protocol(ingress.port.protocol);
      Cluster cluster = make(port.number, port);
      const std::string& to = ingress.default_endpoint;
      const bool is_own_ip = to.empty() || to.starts_with("0.0.0.0:") || to.starts_with("[::]:");
      if (!is_own_ip) set_static_endpoint(to, cluster);
      for (const Target& target : view.targets) {
        if (target.number == port.number) add_service(*target.service, *cluster.mutable_metadata());
      }
      out.push_back(std::move(cluster));
    }
    return;
  }
  // Several services on one port share a cluster, the oldest's protocol counts.
  std::map<int, Cluster> by_port;
  for (const Target& target : view.targets) {
    auto found = by_port.find(target.number);
    if (found == by_port.end()) {
      found = by_port.emplace(target.number, make(target.number, *target.port)).first;
    }
    add_service(*target.service, *found->second.mutable_metadata());
    const std::string& pattern = view.mesh.mesh().inbound_stat_name;
    if (!pattern.empty() && found->second.alt_stat_name().empty()) {
      found->second.set_alt_stat_name(stat_name(pattern, *target.service, *target.port, ""));
    }
  }
  for (auto& [number, cluster] : by_port) out.push_back(std::move(cluster));
}

}  // namespace

std::vector<std::string> service_identities(const MeshSnapshot& mesh, const mesh::Service& service,
                                            int port) {
  std::set<std::string> ids;
  const mesh::ServicePort* service_port = service.find_port(port);
  const auto endpoints = mesh.endpoints_of(service);
  for (const mesh::Endpoint& endpoint : endpoints->endpoints) {
    if (service_port != nullptr && endpoint.port_name != service_port->name) continue;
    if (endpoint.service_account.empty()) continue;
    if (endpoint.service_account.starts_with("spiffe://")) {
      ids.insert(endpoint.service_account);
      continue;
    }
    const std::string who = "/ns/" + endpoint.ns + "/sa/" + endpoint.service_account;
    ids.insert("spiffe://" + mesh.mesh().trust_domain + who);
    for (const std::string& alias : mesh.mesh().trust_domain_aliases) {
      ids.insert("spiffe://" + alias + who);
    }
  }
  return {ids.begin(), ids.end()};
}

Cluster make_outbound_cluster(const View& view, const OutboundItem& item) {
  const mesh::Service& service = *item.service;
  const mesh::ServicePort& port = item.port;
  const mesh::Subset* subset = item.subset;
  const auto& rule = item.rule;
  const std::string subset_name = subset == nullptr ? "" : subset->name;
  Cluster cluster;
  cluster.set_name(item.is_sni ? sni_name(port.number, subset_name, service.host)
                               : outbound_name(port.number, subset_name, service.host));
  set_discovery_type(view, service, port, subset_name, cluster);
  if (item.is_sni && cluster.has_eds_cluster_config()) {
    cluster.mutable_eds_cluster_config()->set_service_name(cluster.name());
  }
  const mesh::TrafficPolicy* general =
      rule != nullptr && rule->spec.policy ? &*rule->spec.policy : nullptr;
  const mesh::TrafficPolicy* own = subset != nullptr && subset->policy ? &*subset->policy : nullptr;
  mesh::PortTrafficPolicy policy = merge_policies(general, own).for_port(port.number);
  if (item.is_sni) policy.tls = mesh::ClientTls{};  // TLS passes through untouched
  apply_policy({view, &service, &port, subset_name}, policy, cluster);
  set_cluster_metadata(service, port, subset_name, rule, cluster);
  const std::string& pattern = view.mesh.mesh().outbound_stat_name;
  if (!pattern.empty()) cluster.set_alt_stat_name(stat_name(pattern, service, port, subset_name));
  if (!item.is_sni) add_metadata_exchange(view, cluster);
  return cluster;
}

void for_each_outbound(const View& view, const std::function<void(const OutboundItem&)>& take) {
  const bool has_sni_clusters = has_auto_passthrough(view);
  for (const mesh::ServicePtr& service : view.scope.services) {
    const auto rule =
        view.mesh.find_rule(service->host, view.proxy.ns, service->ns, view.proxy.labels);
    for (const mesh::ServicePort& port : service->ports) {
      if (port.protocol == mesh::Protocol::kUdp) continue;
      for (const bool is_sni : {false, true}) {
        if (is_sni && (!has_sni_clusters || service->is_mesh_external)) continue;
        take({service, port, nullptr, rule, is_sni});
        if (rule == nullptr) continue;
        for (const mesh::Subset& subset : rule->spec.subsets) {
          take({service, port, &subset, rule, is_sni});
        }
      }
    }
  }
}

std::string outbound_group(const MeshSnapshot& mesh, const Proxy& proxy) {
  std::string out = proxy.is_gateway() ? "gateway" : "sidecar";
  const auto add = [&](std::string_view text) { out.append("\n").append(text); };
  add(proxy.has_istio_filters ? "istio" : "");
  add(proxy.cluster_id);
  add(proxy.network);
  add(proxy.locality);
  if (!mesh.has_label_failover()) return out;
  for (const auto& [key, value] : proxy.labels) {
    add(key);
    add(value);
  }
  return out;
}

std::vector<Cluster> make_own_clusters(const View& view) {
  std::vector<Cluster> out;
  out.push_back(make_black_hole(view));
  if (view.proxy.is_gateway()) return out;
  out.push_back(make_original_dst(view, kPassthrough, /*is_inbound=*/false));
  out.push_back(make_original_dst(view, kInboundPassthrough, /*is_inbound=*/true));
  add_inbound(view, out);
  return out;
}

std::vector<Cluster> make_clusters(const View& view) {
  std::vector<Cluster> out;
  for_each_outbound(
      view, [&](const OutboundItem& item) { out.push_back(make_outbound_cluster(view, item)); });
  for (Cluster& cluster : make_own_clusters(view)) out.push_back(std::move(cluster));
  return out;
}

}  // namespace lateen::discovery
