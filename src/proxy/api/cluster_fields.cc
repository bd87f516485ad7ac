// Fields of clusters and endpoints.

#include "proxy/api/field_check.h"

namespace lateen::proxy {

std::span<const FieldRow> cluster_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.config.cluster.v3.CircuitBreakers", "thresholds", "", ""},
      {"envoy.config.cluster.v3.CircuitBreakers.Thresholds",
       "priority max_connections max_pending_requests max_requests max_retries retry_budget",
       "track_remaining max_connection_pools", "statistics; pools are bounded by connections"},
      {"envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
       "budget_percent min_retry_concurrency", "", ""},
      {"envoy.config.cluster.v3.Cluster",
       "transport_socket_matches name alt_stat_name type cluster_type eds_cluster_config "
       "connect_timeout lb_policy load_assignment health_checks max_requests_per_connection "
       "circuit_breakers upstream_http_protocol_options common_http_protocol_options "
       "http_protocol_options http2_protocol_options typed_extension_protocol_options "
       "dns_refresh_rate respect_dns_ttl dns_lookup_family typed_dns_resolver_config "
       "outlier_detection upstream_bind_config lb_subset_config ring_hash_lb_config "
       "maglev_lb_config original_dst_lb_config least_request_lb_config round_robin_lb_config "
       "common_lb_config transport_socket metadata protocol_selection upstream_connection_options "
       "ignore_health_on_host_removal filters load_balancing_policy preconnect_policy",
       "per_connection_buffer_limit_bytes dns_jitter dns_failure_refresh_rate "
       "wait_for_warm_on_init cleanup_interval track_timeout_budgets track_cluster_stats",
       "bounds are our own; a name is asked for again at dns_refresh_rate; statistics"},
      {"envoy.config.cluster.v3.Cluster.CommonLbConfig",
       "healthy_panic_threshold zone_aware_lb_config locality_weighted_lb_config "
       "consistent_hashing_lb_config",
       "update_merge_window", "updates are taken at once"},
      {"envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig", "",
       "use_hostname_for_hashing", "a host name is part of the hash always"},
      {"envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig", "", "", ""},
      {"envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig", "fail_traffic_on_panic",
       "routing_enabled min_cluster_size", "there is no local cluster to compare with"},
      {"envoy.config.cluster.v3.Cluster.CustomClusterType", "name typed_config", "", ""},
      {"envoy.config.cluster.v3.Cluster.EdsClusterConfig", "eds_config service_name", "", ""},
      {"envoy.config.cluster.v3.Cluster.LbSubsetConfig",
       "fallback_policy default_subset subset_selectors", "", ""},
      {"envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector",
       "keys fallback_policy fallback_keys_subset", "", ""},
      {"envoy.config.cluster.v3.Cluster.LeastRequestLbConfig", "choice_count slow_start_config", "",
       ""},
      {"envoy.config.cluster.v3.Cluster.MaglevLbConfig", "table_size", "", ""},
      {"envoy.config.cluster.v3.Cluster.OriginalDstLbConfig",
       "use_http_header http_header_name upstream_port_override", "", ""},
      {"envoy.config.cluster.v3.Cluster.PreconnectPolicy", "per_upstream_preconnect_ratio", "", ""},
      {"envoy.config.cluster.v3.Cluster.RingHashLbConfig", "minimum_ring_size maximum_ring_size",
       "hash_function", "hashes of our own"},
      {"envoy.config.cluster.v3.Cluster.RoundRobinLbConfig", "slow_start_config", "", ""},
      {"envoy.config.cluster.v3.Cluster.SlowStartConfig",
       "slow_start_window aggression min_weight_percent", "", ""},
      {"envoy.config.cluster.v3.Cluster.TransportSocketMatch", "name match transport_socket", "",
       ""},
      {"envoy.config.cluster.v3.Filter", "name typed_config", "", ""},
      {"envoy.config.cluster.v3.LoadBalancingPolicy", "policies", "", ""},
      {"envoy.config.cluster.v3.LoadBalancingPolicy.Policy", "typed_extension_config", "", ""},
      {"envoy.config.cluster.v3.OutlierDetection",
       "consecutive_5xx interval base_ejection_time max_ejection_percent enforcing_consecutive_5xx "
       "enforcing_success_rate success_rate_minimum_hosts success_rate_request_volume "
       "success_rate_stdev_factor consecutive_gateway_failure "
       "enforcing_consecutive_gateway_failure split_external_local_origin_errors "
       "consecutive_local_origin_failure enforcing_consecutive_local_origin_failure "
       "enforcing_local_origin_success_rate failure_percentage_threshold "
       "enforcing_failure_percentage enforcing_failure_percentage_local_origin "
       "failure_percentage_minimum_hosts failure_percentage_request_volume max_ejection_time "
       "max_ejection_time_jitter always_eject_one_host",
       "", ""},
      {"envoy.config.cluster.v3.UpstreamConnectionOptions", "tcp_keepalive",
       "set_local_interface_name_on_upstream_connections happy_eyeballs_config",
       "no statistics by interface; addresses are tried in their order, 300 ms apart"},
      {"envoy.config.core.v3.BindConfig", "source_address", "freebind", ""},
      {"envoy.config.core.v3.HealthCheck",
       "timeout interval initial_jitter interval_jitter unhealthy_threshold healthy_threshold "
       "reuse_connection http_health_check tcp_health_check grpc_health_check no_traffic_interval "
       "unhealthy_interval unhealthy_edge_interval healthy_edge_interval",
       "event_log_path event_logger event_service always_log_health_check_failures "
       "always_log_health_check_success",
       "changes of health are in the log"},
      {"envoy.config.core.v3.HealthCheck.GrpcHealthCheck",
       "service_name authority initial_metadata", "", ""},
      {"envoy.config.core.v3.HealthCheck.HttpHealthCheck",
       "host path request_headers_to_add expected_statuses retriable_statuses codec_client_type "
       "method",
       "response_buffer_size", "the body is not kept"},
      {"envoy.config.core.v3.HealthCheck.Payload", "text binary", "", ""},
      {"envoy.config.core.v3.HealthCheck.TcpHealthCheck", "send receive", "", ""},
      {"envoy.config.core.v3.Locality", "region zone sub_zone", "", ""},
      {"envoy.config.core.v3.RuntimeDouble", "default_value", "runtime_key", "no runtime layers"},
      {"envoy.config.core.v3.TcpKeepalive", "keepalive_probes keepalive_time keepalive_interval",
       "", ""},
      {"envoy.config.core.v3.UpstreamHttpProtocolOptions",
       "auto_sni auto_san_validation override_auto_sni_header", "", ""},
      {"envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name endpoints policy", "", ""},
      {"envoy.config.endpoint.v3.ClusterLoadAssignment.Policy", "overprovisioning_factor", "", ""},
      {"envoy.config.endpoint.v3.Endpoint",
       "address health_check_config hostname additional_addresses", "", ""},
      {"envoy.config.endpoint.v3.Endpoint.AdditionalAddress", "address", "", ""},
      {"envoy.config.endpoint.v3.Endpoint.HealthCheckConfig", "", "", ""},
      {"envoy.config.endpoint.v3.LbEndpoint",
       "endpoint health_status metadata load_balancing_weight", "", ""},
      {"envoy.config.endpoint.v3.LocalityLbEndpoints",
       "locality lb_endpoints load_balancing_weight priority", "proximity metadata", "as in Envoy"},
      {"envoy.extensions.clusters.aggregate.v3.ClusterConfig", "clusters", "", ""},
      {"envoy.extensions.clusters.dns.v3.DnsCluster",
       "dns_refresh_rate respect_dns_ttl typed_dns_resolver_config dns_lookup_family "
       "all_addresses_in_single_endpoint",
       "dns_failure_refresh_rate dns_jitter", "a name is asked for again at dns_refresh_rate"},
      {"envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig", "dns_cache_config",
       "allow_insecure_cluster_options", "certificates are judged by the TLS context alone"},
      {"envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig",
       "dns_lookup_family typed_dns_resolver_config",
       "name dns_refresh_rate dns_min_refresh_rate host_ttl max_hosts "
       "disable_dns_refresh_on_failure dns_failure_refresh_rate dns_cache_circuit_breaker "
       "dns_query_timeout",
       "names are asked for by each connection; the resolver keeps the answers"},
      {"envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3."
       "ClientSideWeightedRoundRobin",
       "slow_start_config",
       "enable_oob_load_report oob_reporting_period blackout_period weight_expiration_period "
       "weight_update_period error_utilization_penalty metric_names_for_computing_utilization",
       "round robin with the weights of the endpoints"},
      {"envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided", "", "", ""},
      {"envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig", "",
       "use_hostname_for_hashing", "a host name is part of the hash always"},
      {"envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig",
       "zone_aware_lb_config locality_weighted_lb_config", "", ""},
      {"envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig."
       "LocalityWeightedLbConfig",
       "", "", ""},
      {"envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig", "",
       "routing_enabled min_cluster_size locality_basis fail_traffic_on_panic",
       "there is no local cluster to compare with"},
      {"envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig",
       "slow_start_window aggression min_weight_percent", "", ""},
      {"envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
       "choice_count slow_start_config locality_lb_config", "", ""},
      {"envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
       "table_size consistent_hashing_lb_config locality_weighted_lb_config", "", ""},
      {"envoy.extensions.load_balancing_policies.pick_first.v3.PickFirst", "", "", ""},
      {"envoy.extensions.load_balancing_policies.random.v3.Random", "locality_lb_config", "", ""},
      {"envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
       "minimum_ring_size maximum_ring_size consistent_hashing_lb_config "
       "locality_weighted_lb_config",
       "hash_function use_hostname_for_hashing", "hashes of our own, with the host name"},
      {"envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
       "slow_start_config locality_lb_config", "", ""},
      {"envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality",
       "endpoint_picking_policy", "", ""},
      {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
       "common_http_protocol_options upstream_http_protocol_options explicit_http_config "
       "use_downstream_protocol_config auto_config",
       "", ""},
      {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig",
       "http_protocol_options http2_protocol_options", "", ""},
      {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
       "http_protocol_options http2_protocol_options", "", ""},
      {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
       "http_protocol_options http2_protocol_options", "", ""},
  };
  return kRows;
}

}  // namespace lateen::proxy
