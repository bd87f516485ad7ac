// Fields of the HTTP filters, and of what they share. Runtime keys have no effect: there are no
// runtime layers, so the default values hold.

#include "proxy/api/field_check.h"

namespace lateen::proxy {

std::span<const FieldRow> filter_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
       "gradient_controller_config enabled concurrency_limit_exceeded_status", "", ""},
      {"envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig",
       "sample_aggregate_percentile concurrency_limit_params min_rtt_calc_params", "", ""},
      {"envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig."
       "ConcurrencyLimitCalculationParams",
       "max_concurrency_limit concurrency_update_interval", "", ""},
      {"envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig."
       "MinimumRTTCalculationParams",
       "interval request_count jitter min_concurrency buffer fixed_value", "", ""},
      {"envoy.extensions.filters.http.admission_control.v3.AdmissionControl",
       "enabled success_criteria sampling_window aggression sr_threshold rps_threshold "
       "max_rejection_probability",
       "", ""},
      {"envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria",
       "http_criteria grpc_criteria", "", ""},
      {"envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria."
       "GrpcCriteria",
       "grpc_success_status", "", ""},
      {"envoy.extensions.filters.http.admission_control.v3.AdmissionControl.SuccessCriteria."
       "HttpCriteria",
       "http_success_status", "", ""},
      {"envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit",
       "enable_mode limit_kbps fill_interval runtime_enabled", "stat_prefix", "statistics"},
      {"envoy.extensions.filters.http.buffer.v3.Buffer", "max_request_bytes", "", ""},
      {"envoy.extensions.filters.http.buffer.v3.BufferPerRoute", "disabled buffer", "", ""},
      {"envoy.extensions.filters.http.compressor.v3.Compressor",
       "content_length content_type disable_on_etag_header remove_accept_encoding_header "
       "runtime_enabled compressor_library request_direction_config response_direction_config "
       "choose_first",
       "", ""},
      {"envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig",
       "enabled min_content_length content_type", "", ""},
      {"envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig",
       "common_config disable_on_etag_header remove_accept_encoding_header "
       "uncompressible_response_codes status_header_enabled",
       "", ""},
      {"envoy.extensions.filters.http.compressor.v3.CompressorOverrides",
       "response_direction_config compressor_library", "", ""},
      {"envoy.extensions.filters.http.compressor.v3.CompressorPerRoute", "disabled overrides", "",
       ""},
      {"envoy.extensions.filters.http.cors.v3.CorsPolicy",
       "allow_origin_string_match allow_methods allow_headers expose_headers max_age "
       "allow_credentials filter_enabled forward_not_matching_preflights",
       "", ""},
      {"envoy.extensions.filters.http.csrf.v3.CsrfPolicy",
       "filter_enabled shadow_enabled additional_origins", "", ""},
      {"envoy.extensions.filters.http.decompressor.v3.Decompressor",
       "decompressor_library request_direction_config response_direction_config", "", ""},
      {"envoy.extensions.filters.http.decompressor.v3.Decompressor.CommonDirectionConfig",
       "enabled ignore_no_transform_header", "", ""},
      {"envoy.extensions.filters.http.decompressor.v3.Decompressor.RequestDirectionConfig",
       "common_config advertise_accept_encoding", "", ""},
      {"envoy.extensions.filters.http.decompressor.v3.Decompressor.ResponseDirectionConfig",
       "common_config", "", ""},
      {"envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest",
       "allowed_headers headers_to_add", "", ""},
      {"envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse",
       "allowed_upstream_headers allowed_upstream_headers_to_append allowed_client_headers "
       "allowed_client_headers_on_success dynamic_metadata_from_headers",
       "", ""},
      {"envoy.extensions.filters.http.ext_authz.v3.BufferSettings",
       "max_request_bytes allow_partial_message pack_as_bytes", "", ""},
      {"envoy.extensions.filters.http.ext_authz.v3.CheckSettings",
       "context_extensions disable_request_body_buffering with_request_body grpc_service "
       "http_service",
       "", ""},
      {"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
       "grpc_service http_service failure_mode_allow failure_mode_allow_header_add "
       "with_request_body clear_route_cache status_on_error validate_mutations "
       "metadata_context_namespaces route_metadata_context_namespaces filter_enabled "
       "filter_enabled_metadata deny_at_disable include_peer_certificate allowed_headers "
       "disallowed_headers include_tls_session encode_raw_headers decoder_header_mutation_rules "
       "enable_dynamic_metadata_ingestion max_denied_response_body_bytes",
       "transport_api_version stat_prefix charge_cluster_response_stats emit_filter_state_stats "
       "filter_metadata",
       "always v3; statistics"},
      {"envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled check_settings", "",
       ""},
      {"envoy.extensions.filters.http.ext_authz.v3.HttpService",
       "server_uri path_prefix authorization_request authorization_response", "", ""},
      {"envoy.extensions.filters.http.ext_proc.v3.ExtProcOverrides",
       "processing_mode request_attributes response_attributes grpc_service "
       "grpc_initial_metadata failure_mode_allow",
       "", ""},
      {"envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute", "disabled overrides", "", ""},
      {"envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
       "grpc_service failure_mode_allow processing_mode request_attributes response_attributes "
       "message_timeout mutation_rules max_message_timeout forward_rules allow_mode_override "
       "disable_immediate_response metadata_options observability_mode disable_clear_route_cache "
       "route_cache_action status_on_error",
       "stat_prefix filter_metadata deferred_close_timeout "
       "send_body_without_waiting_for_header_response",
       "statistics; the stream ends with the exchange; bodies wait for the headers' answer"},
      {"envoy.extensions.filters.http.ext_proc.v3.MetadataOptions",
       "forwarding_namespaces receiving_namespaces", "", ""},
      {"envoy.extensions.filters.http.ext_proc.v3.MetadataOptions.MetadataNamespaces", "untyped",
       "", ""},
      {"envoy.extensions.filters.http.fault.v3.FaultAbort",
       "http_status grpc_status header_abort percentage", "", ""},
      {"envoy.extensions.filters.http.fault.v3.HTTPFault",
       "delay abort upstream_cluster headers response_rate_limit",
       "delay_percent_runtime abort_percent_runtime delay_duration_runtime "
       "abort_http_status_runtime max_active_faults_runtime response_rate_limit_percent_runtime "
       "abort_grpc_status_runtime disable_downstream_cluster_stats",
       "no runtime layers; statistics"},
      {"envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
       "upgrade_protobuf_to_grpc ignore_query_parameters", "", ""},
      {"envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", "",
       "emit_filter_state individual_method_stats_allowlist stats_for_all_methods "
       "enable_upstream_stats replace_dots_in_grpc_service_name",
       "statistics; messages are counted for Istio's metrics always"},
      {"envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", "mutations", "", ""},
      {"envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute", "mutations", "",
       ""},
      {"envoy.extensions.filters.http.header_mutation.v3.Mutations",
       "request_mutations response_mutations", "", ""},
      {"envoy.extensions.filters.http.header_to_metadata.v3.Config", "request_rules response_rules",
       "stat_prefix", "statistics"},
      {"envoy.extensions.filters.http.header_to_metadata.v3.Config.KeyValuePair",
       "metadata_namespace key value regex_value_rewrite type encode", "", ""},
      {"envoy.extensions.filters.http.header_to_metadata.v3.Config.Rule",
       "header cookie on_header_present on_header_missing remove", "", ""},
      {"envoy.extensions.filters.http.health_check.v3.HealthCheck", "pass_through_mode headers",
       "cache_time", "answers of the application are not kept"},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
       "providers rules bypass_cors_preflight requirement_map", "stat_prefix", "statistics"},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwtProvider",
       "issuer audiences subjects require_expiration max_lifetime remote_jwks local_jwks forward "
       "from_headers from_params from_cookies forward_payload_header pad_forward_payload_header "
       "payload_in_metadata normalize_payload_in_metadata header_in_metadata "
       "failed_status_in_metadata clock_skew_seconds claim_to_headers clear_route_cache",
       "jwt_cache_config", "each token is verified"},
      {"envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
       "status token_bucket filter_enabled filter_enforced "
       "request_headers_to_add_when_not_enforced response_headers_to_add descriptors stage "
       "enable_x_ratelimit_headers vh_rate_limits always_consume_default_token_bucket "
       "rate_limited_as_resource_exhausted rate_limits max_dynamic_descriptors",
       "stat_prefix", "statistics"},
      {"envoy.extensions.filters.http.lua.v3.Lua", "inline_code source_codes default_source_code",
       "stat_prefix clear_route_cache", "statistics; scripts call clearRouteCache()"},
      {"envoy.extensions.filters.http.lua.v3.LuaPerRoute",
       "disabled name source_code filter_context", "", ""},
      {"envoy.extensions.filters.http.on_demand.v3.OnDemand", "", "", ""},
      {"envoy.extensions.filters.http.ratelimit.v3.RateLimit",
       "domain stage request_type timeout failure_mode_deny rate_limited_as_resource_exhausted "
       "rate_limit_service enable_x_ratelimit_headers disable_x_envoy_ratelimited_header "
       "rate_limited_status response_headers_to_add status_on_error filter_enabled "
       "filter_enforced failure_mode_deny_percent rate_limits",
       "stat_prefix", "statistics"},
      {"envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute",
       "vh_rate_limits rate_limits domain", "", ""},
      {"envoy.extensions.filters.http.rbac.v3.RBAC",
       "rules matcher shadow_rules shadow_matcher shadow_rules_stat_prefix",
       "rules_stat_prefix track_per_rule_stats", "statistics"},
      {"envoy.extensions.filters.http.rbac.v3.RBACPerRoute", "rbac", "", ""},
      {"envoy.extensions.filters.http.router.v3.Router", "start_child_span suppress_envoy_headers",
       "dynamic_stats suppress_grpc_request_failure_code_stats", "statistics"},
      {"envoy.extensions.filters.http.set_metadata.v3.Config", "metadata_namespace value metadata",
       "", ""},
      {"envoy.extensions.filters.http.set_metadata.v3.Metadata",
       "metadata_namespace allow_overwrite value", "", ""},
      {"envoy.extensions.filters.http.set_filter_state.v3.Config", "on_request_headers", "", ""},
      {"envoy.extensions.filters.http.stateful_session.v3.StatefulSession", "session_state strict",
       "stat_prefix", "statistics"},
      {"envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
       "disabled stateful_session", "", ""},
  };
  return kRows;
}

std::span<const FieldRow> common_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.config.common.mutation_rules.v3.HeaderMutation", "append remove", "", ""},
      {"envoy.config.core.v3.GrpcService", "envoy_grpc timeout initial_metadata", "", ""},
      {"envoy.config.core.v3.GrpcService.EnvoyGrpc", "cluster_name authority",
       "max_receive_message_length skip_envoy_headers",
       "messages up to 64 MiB; no such headers are sent"},
      {"envoy.config.core.v3.RuntimePercent", "default_value", "runtime_key", "no runtime layers"},
      {"envoy.config.core.v3.RuntimeFeatureFlag", "default_value", "runtime_key",
       "no runtime layers"},
      {"envoy.config.core.v3.RuntimeFractionalPercent", "default_value", "runtime_key",
       "no runtime layers"},
      {"envoy.config.ratelimit.v3.RateLimitServiceConfig", "grpc_service", "transport_api_version",
       "always v3"},
      {"envoy.config.route.v3.RateLimit", "stage actions limit hits_addend", "disable_key",
       "no runtime layers"},
      {"envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState", "cookie", "",
       ""},
      {"envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState", "name", "", ""},
      {"envoy.type.http.v3.Cookie", "name ttl path attributes", "", ""},
  };
  return kRows;
}

}  // namespace lateen::proxy
