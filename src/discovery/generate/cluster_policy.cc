#include "discovery/generate/cluster_policy.h"

#include "discovery/generate/durations.h"
#include "discovery/generate/names.h"
#include "discovery/generate/tls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

namespace cluster_v3 = envoy::config::cluster::v3;
namespace http_v3 = envoy::extensions::upstreams::http::v3;
using mesh::LoadBalancer;

constexpr std::uint32_t kUnlimited = 4294967295u;
constexpr const char* kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

std::uint32_t limit_of(std::optional<std::int64_t> value, std::uint32_t fallback) {
  return value && *value > 0 ? static_cast<std::uint32_t>(*value) : fallback;
}

void set_thresholds(const mesh::ConnectionPool& pool,
                    const std::optional<mesh::RetryBudget>& budget, Cluster& cluster) {
  auto& limits = *cluster.mutable_circuit_breakers()->add_thresholds();
  if (budget) {
    auto& out = *limits.mutable_retry_budget();
    out.mutable_budget_percent()->set_value(budget->percent.value_or(20));
    out.mutable_min_retry_concurrency()->set_value(
        budget->min_retry_concurrency > 0 ? budget->min_retry_concurrency : 3);
  }
  limits.mutable_max_connections()->set_value(limit_of(pool.max_connections, kUnlimited));
  limits.mutable_max_pending_requests()->set_value(limit_of(pool.http1_max_pending, kUnlimited));
  limits.mutable_max_requests()->set_value(limit_of(pool.http2_max_requests, kUnlimited));
  limits.mutable_max_retries()->set_value(limit_of(pool.max_retries, kUnlimited));
  limits.set_track_remaining(true);
}

void set_hash(const mesh::ConsistentHash& hash, Cluster& cluster) {
  if (hash.is_maglev) {
    cluster.set_lb_policy(Cluster::MAGLEV);
    if (hash.maglev_table_size) {
      cluster.mutable_maglev_lb_config()->mutable_table_size()->set_value(*hash.maglev_table_size);
    }
    return;
  }
  cluster.set_lb_policy(Cluster::RING_HASH);
  cluster.mutable_ring_hash_lb_config()->mutable_minimum_ring_size()->set_value(
      hash.minimum_ring_size.value_or(1024));
}

// The time over which a new endpoint takes its full share.
template <typename Config>
void set_warmup(const LoadBalancer& from, Config& out) {
  if (!from.warmup) return;
  auto& slow = *out.mutable_slow_start_config();
  set_duration(*from.warmup, *slow.mutable_slow_start_window());
  if (!from.has_full_warmup) return;
  slow.mutable_aggression()->set_default_value(from.warmup_aggression.value_or(1));
  slow.mutable_aggression()->set_runtime_key("(");
  slow.mutable_min_weight_percent()->set_value(from.warmup_minimum_percent.value_or(10));
}

void set_utilization(const mesh::BackendUtilization& from, Cluster& cluster) {
  namespace wrr = envoy::extensions::load_balancing_policies::client_side_weighted_round_robin::v3;
  wrr::ClientSideWeightedRoundRobin out;
  if (from.stabilization) set_duration(*from.stabilization, *out.mutable_blackout_period());
  if (from.expiration) set_duration(*from.expiration, *out.mutable_weight_expiration_period());
  if (from.update) set_duration(*from.update, *out.mutable_weight_update_period());
  if (from.error_penalty_percent) {
    out.mutable_error_utilization_penalty()->set_value(
        static_cast<float>(*from.error_penalty_percent) / 100);
  }
  for (const std::string& name : from.metric_names) {
    out.add_metric_names_for_computing_utilization(name);
  }
  auto& extension = *cluster.mutable_load_balancing_policy()->add_policies();
  extension.mutable_typed_extension_config()->set_name(
      "envoy.load_balancing_policies.client_side_weighted_round_robin");
  *extension.mutable_typed_extension_config()->mutable_typed_config() = xds::pack(out);
  // A proxy that does not know it takes the next.
  auto& fallback = *cluster.mutable_load_balancing_policy()->add_policies();
  fallback.mutable_typed_extension_config()->set_name(
      "envoy.load_balancing_policies.least_request");
  *fallback.mutable_typed_extension_config()->mutable_typed_config() =
      xds::pack(envoy::extensions::load_balancing_policies::least_request::v3::LeastRequest());
  cluster.clear_lb_policy();
}

// Whether localities are weighed, or the proxy's own zone is filled first.
void set_locality(const ClusterSubject& subject, const std::optional<LoadBalancer>& balancer,
                  Cluster& cluster) {
  const mesh::MeshConfig& mesh = subject.view.mesh.mesh();
  auto& common = *cluster.mutable_common_lb_config();
  const mesh::ZoneAwareLb* zone = nullptr;
  if (balancer && balancer->zone_aware) {
    zone = &*balancer->zone_aware;
  } else if (mesh.zone_aware && !(balancer && balancer->locality)) {
    zone = &*mesh.zone_aware;
  }
  if (zone != nullptr) {
    auto& out = *common.mutable_zone_aware_lb_config();
    if (!zone->enabled.value_or(true)) out.mutable_routing_enabled()->set_value(0);
    if (zone->min_cluster_size) out.mutable_min_cluster_size()->set_value(*zone->min_cluster_size);
    return;
  }
  const auto& locality = balancer && balancer->locality ? *balancer->locality : mesh.locality;
  if (!locality.enabled.value_or(true)) return;
  if (cluster.has_outlier_detection() || !locality.distribute.empty()) {
    common.mutable_locality_weighted_lb_config();
  }
}

void set_balancing(const ClusterSubject& subject, const std::optional<LoadBalancer>& balancer,
                   Cluster& cluster) {
  const auto type = cluster.type();
  if (type == Cluster::ORIGINAL_DST) {
    cluster.set_lb_policy(Cluster::CLUSTER_PROVIDED);
    return;
  }
  // A zero threshold: never send to unhealthy endpoints in panic.
  cluster.mutable_common_lb_config()->mutable_healthy_panic_threshold()->set_value(0);
  set_locality(subject, balancer, cluster);
  if (balancer && balancer->backend_utilization) {
    return set_utilization(*balancer->backend_utilization, cluster);
  }
  if (balancer && balancer->consistent_hash) return set_hash(*balancer->consistent_hash, cluster);
  switch (balancer ? balancer->simple : LoadBalancer::Simple::kUnspecified) {
    case LoadBalancer::Simple::kRoundRobin:
      cluster.set_lb_policy(Cluster::ROUND_ROBIN);
      if (balancer->warmup) set_warmup(*balancer, *cluster.mutable_round_robin_lb_config());
      break;
    case LoadBalancer::Simple::kRandom: cluster.set_lb_policy(Cluster::RANDOM); break;
    case LoadBalancer::Simple::kPassthrough:
      cluster.set_type(Cluster::ORIGINAL_DST);
      cluster.clear_eds_cluster_config();
      cluster.set_lb_policy(Cluster::CLUSTER_PROVIDED);
      break;
    case LoadBalancer::Simple::kLeastRequest:
    case LoadBalancer::Simple::kUnspecified:
      cluster.set_lb_policy(Cluster::LEAST_REQUEST);
      if (balancer && balancer->warmup) {
        set_warmup(*balancer, *cluster.mutable_least_request_lb_config());
      }
      break;
  }
}

void set_outlier(const mesh::OutlierDetection& from, Cluster& cluster) {
  auto& out = *cluster.mutable_outlier_detection();
  const auto set = [](std::optional<std::int64_t> value, auto* target, auto* enforcing) {
    if (!value) return;
    target->set_value(static_cast<std::uint32_t>(*value));
    enforcing->set_value(*value > 0 ? 100 : 0);
  };
  out.mutable_enforcing_success_rate()->set_value(0);
  if (from.consecutive_5xx) {
    set(from.consecutive_5xx, out.mutable_consecutive_5xx(),
        out.mutable_enforcing_consecutive_5xx());
  }
  if (from.consecutive_gateway) {
    set(from.consecutive_gateway, out.mutable_consecutive_gateway_failure(),
        out.mutable_enforcing_consecutive_gateway_failure());
  }
  out.set_split_external_local_origin_errors(from.splits_local_origin);
  if (from.splits_local_origin && from.consecutive_local_origin) {
    set(from.consecutive_local_origin, out.mutable_consecutive_local_origin_failure(),
        out.mutable_enforcing_consecutive_local_origin_failure());
    out.mutable_enforcing_local_origin_success_rate()->set_value(0);
  }
  if (from.interval) set_duration(*from.interval, *out.mutable_interval());
  if (from.base_ejection_time) {
    set_duration(*from.base_ejection_time, *out.mutable_base_ejection_time());
  }
  if (from.max_ejection_percent > 0) {
    out.mutable_max_ejection_percent()->set_value(
        static_cast<std::uint32_t>(from.max_ejection_percent));
  }
  if (from.min_health_percent > 0) {
    cluster.mutable_common_lb_config()->mutable_healthy_panic_threshold()->set_value(
        static_cast<double>(from.min_health_percent));
  }
}

// What counts as an error of an endpoint, in place of all 5xx.
void set_error_codes(const std::vector<std::string>& codes, http_v3::HttpProtocolOptions& out) {
  auto& matcher = *out.mutable_outlier_detection()->mutable_error_matcher();
  const auto add = [](const std::string& code, auto& to) {
    auto& header = *to.mutable_http_response_headers_match()->add_headers();
    header.set_name(":status");
    header.mutable_string_match()->set_exact(code);
  };
  if (codes.size() == 1) return add(codes.front(), matcher);
  for (const std::string& code : codes) add(code, *matcher.mutable_or_match()->add_rules());
}

// The client's address goes ahead of everything else on the connection.
void set_proxy_protocol(const std::string& version, Cluster& cluster) {
  namespace pp = envoy::extensions::transport_sockets::proxy_protocol::v3;
  const auto wrap = [&](envoy::config::core::v3::TransportSocket& socket) {
    pp::ProxyProtocolUpstreamTransport out;
    out.mutable_config()->set_version(version == "V2"
                                          ? envoy::config::core::v3::ProxyProtocolConfig::V2
                                          : envoy::config::core::v3::ProxyProtocolConfig::V1);
    *out.mutable_transport_socket() = socket;
    socket.set_name("envoy.transport_sockets.upstream_proxy_protocol");
    *socket.mutable_typed_config() = xds::pack(out);
  };
  for (auto& match : *cluster.mutable_transport_socket_matches()) {
    wrap(*match.mutable_transport_socket());
  }
  if (cluster.transport_socket_matches_size() > 0 && !cluster.has_transport_socket()) return;
  if (!cluster.has_transport_socket()) set_raw_buffer(*cluster.mutable_transport_socket());
  wrap(*cluster.mutable_transport_socket());
}

void set_keepalive(const mesh::TcpKeepalive& from, Cluster& cluster) {
  auto& out = *cluster.mutable_upstream_connection_options()->mutable_tcp_keepalive();
  if (from.probes) out.mutable_keepalive_probes()->set_value(*from.probes);
  const auto whole_seconds = [](nanoseconds span) {
    return static_cast<std::uint32_t>(std::chrono::duration_cast<seconds>(span).count());
  };
  if (from.time) out.mutable_keepalive_time()->set_value(whole_seconds(*from.time));
  if (from.interval) out.mutable_keepalive_interval()->set_value(whole_seconds(*from.interval));
}

// Auto mTLS: endpoints that say tlsMode istio get it, others plain text.
void set_auto_mutual(const std::vector<std::string>& sans, const std::string& sni, bool is_http2,
                     Cluster& cluster) {
  auto& mutual = *cluster.add_transport_socket_matches();
  mutual.set_name("tlsMode-istio");
  (*mutual.mutable_match()->mutable_fields())["tlsMode"].set_string_value("istio");
  set_istio_mutual(sans, sni, is_http2, *mutual.mutable_transport_socket());
  auto& plain = *cluster.add_transport_socket_matches();
  plain.set_name("tlsMode-disabled");
  plain.mutable_match();
  set_raw_buffer(*plain.mutable_transport_socket());
}

void set_tls(const ClusterSubject& subject, const std::optional<mesh::ClientTls>& tls,
             Cluster& cluster) {
  if (subject.service == nullptr || subject.port == nullptr) return;
  const mesh::Service& service = *subject.service;
  const View& view = subject.view;
  const std::string sni = sni_name(subject.port->number, subject.subset, service.host);
  std::vector<std::string> sans = service.subject_alt_names;
  if (sans.empty()) sans = service_identities(view.mesh, service, subject.port->number);
  const bool is_http2 = mesh::is_http2(subject.port->protocol);
  if (tls) {
    if (tls->mode == mesh::ClientTls::Mode::kDisable) return;
    set_client_tls(view, *tls, sni, sans, is_http2, *cluster.mutable_transport_socket());
    return;
  }
  if (!view.mesh.mesh().is_auto_mtls || service.is_mesh_external) return;
  if (cluster.type() == Cluster::ORIGINAL_DST) {
    // Endpoints without metadata cannot choose one by one: all of them must speak mutual TLS.
    const auto endpoints = view.mesh.endpoints_of(service);
    bool all = !endpoints->endpoints.empty();
    for (const mesh::Endpoint& endpoint : endpoints->endpoints)
      all &= view.mesh.takes_mtls(endpoint);
    if (all) set_istio_mutual(sans, sni, is_http2, *cluster.mutable_transport_socket());
    return;
  }
  set_auto_mutual(sans, sni, is_http2, cluster);
}

}  // namespace

void set_unlimited(Cluster& cluster) { set_thresholds({}, std::nullopt, cluster); }

void apply_inbound_pool(const ClusterSubject& subject, const mesh::ConnectionPool& pool,
                        Cluster& cluster) {
  if (pool.connect_timeout) set_duration(*pool.connect_timeout, *cluster.mutable_connect_timeout());
  cluster.clear_circuit_breakers();
  set_thresholds(pool, std::nullopt, cluster);
  if (pool.keepalive) set_keepalive(*pool.keepalive, cluster);
  mesh::PortTrafficPolicy policy;
  policy.connection_pool = pool;
  policy.connection_pool->h2_upgrade = mesh::ConnectionPool::H2Upgrade::kDoNotUpgrade;
  set_http_options(subject, policy, cluster);
}

void set_http_options(const ClusterSubject& subject, const mesh::PortTrafficPolicy& policy,
                      Cluster& cluster) {
  const mesh::Protocol protocol =
      subject.port != nullptr ? subject.port->protocol : mesh::Protocol::kUnsupported;
  const mesh::ConnectionPool none;
  const mesh::ConnectionPool& pool = policy.connection_pool ? *policy.connection_pool : none;
  http_v3::HttpProtocolOptions options;
  bool is_needed = false;
  using H2 = mesh::ConnectionPool::H2Upgrade;
  const bool upgrades =
      pool.h2_upgrade == H2::kUpgrade ||
      (pool.h2_upgrade == H2::kDefault && subject.view.mesh.mesh().upgrades_to_http2);
  const auto set_streams = [&](envoy::config::core::v3::Http2ProtocolOptions& h2) {
    if (pool.max_concurrent_streams) {
      h2.mutable_max_concurrent_streams()->set_value(
          static_cast<std::uint32_t>(*pool.max_concurrent_streams));
    }
    if (pool.http2_keepalive) {
      const auto& keepalive = *pool.http2_keepalive;
      if (keepalive.interval) {
        set_duration(*keepalive.interval, *h2.mutable_connection_keepalive()->mutable_interval());
      }
      if (keepalive.timeout) {
        set_duration(*keepalive.timeout, *h2.mutable_connection_keepalive()->mutable_timeout());
      }
    }
  };
  if (mesh::is_http2(protocol) || (upgrades && protocol == mesh::Protocol::kHttp)) {
    set_streams(*options.mutable_explicit_http_config()->mutable_http2_protocol_options());
    is_needed = true;
  } else if (pool.uses_client_protocol || protocol == mesh::Protocol::kUnsupported) {
    auto& both = *options.mutable_use_downstream_protocol_config();
    both.mutable_http_protocol_options();
    set_streams(*both.mutable_http2_protocol_options());
    is_needed = true;
  } else {
    options.mutable_explicit_http_config()->mutable_http_protocol_options();
  }
  auto& common = *options.mutable_common_http_protocol_options();
  const auto& idle = pool.http_idle_timeout ? pool.http_idle_timeout : pool.tcp_idle_timeout;
  if (idle) {
    set_duration(*idle, *common.mutable_idle_timeout());
    is_needed = true;
  }
  if (policy.outlier && !policy.outlier->http_error_codes.empty()) {
    set_error_codes(policy.outlier->http_error_codes, options);
    is_needed = true;
  }
  if (limit_of(pool.max_requests_per_connection, 0) > 0) {
    common.mutable_max_requests_per_connection()->set_value(
        limit_of(pool.max_requests_per_connection, 0));
    is_needed = true;
  }
  if (pool.max_connection_duration) {
    set_duration(*pool.max_connection_duration, *common.mutable_max_connection_duration());
    is_needed = true;
  }
  using Mode = mesh::ClientTls::Mode;
  if (policy.tls && policy.tls->sni.empty() &&
      (policy.tls->mode == Mode::kSimple || policy.tls->mode == Mode::kMutual)) {
    options.mutable_upstream_http_protocol_options()->set_auto_sni(true);
    if (policy.tls->subject_alt_names.empty() &&
        !policy.tls->insecure_skip_verify.value_or(false)) {
      options.mutable_upstream_http_protocol_options()->set_auto_san_validation(true);
    }
    is_needed = true;
  }
  if (!is_needed) return;
  if (!common.ByteSizeLong()) options.clear_common_http_protocol_options();
  (*cluster.mutable_typed_extension_protocol_options())[kHttpOptions] = xds::pack(options);
}

void apply_policy(const ClusterSubject& subject, const mesh::PortTrafficPolicy& given,
                  Cluster& cluster) {
  const mesh::MeshConfig& mesh = subject.view.mesh.mesh();
  mesh::PortTrafficPolicy policy = given;
  if (!policy.connection_pool) policy.connection_pool = mesh.default_connection_pool;
  if (!policy.outlier) policy.outlier = mesh.default_outlier;
  const mesh::ConnectionPool none;
  const mesh::ConnectionPool& pool = policy.connection_pool ? *policy.connection_pool : none;
  set_duration(pool.connect_timeout.value_or(mesh.connect_timeout),
               *cluster.mutable_connect_timeout());
  set_thresholds(pool, policy.retry_budget, cluster);
  if (pool.keepalive) {
    set_keepalive(*pool.keepalive, cluster);
  } else if (mesh.tcp_keepalive) {
    set_keepalive(*mesh.tcp_keepalive, cluster);
  }
  if (policy.outlier) cluster.mutable_outlier_detection();
  set_balancing(subject, policy.load_balancer, cluster);
  if (policy.outlier) set_outlier(*policy.outlier, cluster);
  const bool has_http =
      subject.port != nullptr && (mesh::is_http(subject.port->protocol) ||
                                  subject.port->protocol == mesh::Protocol::kUnsupported);
  if (has_http) set_http_options(subject, policy, cluster);
  set_tls(subject, policy.tls, cluster);
  if (!policy.proxy_protocol.empty()) set_proxy_protocol(policy.proxy_protocol, cluster);
}

}  // namespace lateen::discovery
