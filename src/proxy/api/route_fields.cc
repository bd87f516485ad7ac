// Fields of routes.

#include "proxy/api/field_check.h"

namespace lateen::proxy {

std::span<const FieldRow> route_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.config.core.v3.DataSource",
       "filename inline_bytes inline_string environment_variable", "watched_directory",
       "files are read once"},
      {"envoy.config.core.v3.HeaderValue", "key value raw_value", "", ""},
      {"envoy.config.core.v3.HeaderValueOption", "header append append_action keep_empty_value", "",
       ""},
      {"envoy.config.core.v3.Metadata", "filter_metadata typed_filter_metadata", "", ""},
      {"envoy.config.route.v3.Decorator", "operation propagate", "", ""},
      {"envoy.config.route.v3.DirectResponseAction", "status body body_format", "", ""},
      {"envoy.config.route.v3.HeaderMatcher",
       "name exact_match safe_regex_match range_match present_match prefix_match suffix_match "
       "contains_match string_match invert_match treat_missing_header_as_empty",
       "", ""},
      {"envoy.config.route.v3.HedgePolicy", "hedge_on_per_try_timeout", "", ""},
      {"envoy.config.route.v3.InternalRedirectPolicy",
       "max_internal_redirects redirect_response_codes predicates allow_cross_scheme_redirect "
       "response_headers_to_copy",
       "", ""},
      {"envoy.config.route.v3.NonForwardingAction", "", "", ""},
      {"envoy.config.route.v3.QueryParameterMatcher", "name string_match present_match", "", ""},
      {"envoy.config.route.v3.RateLimit.Action",
       "source_cluster destination_cluster request_headers query_parameters remote_address "
       "generic_key header_value_match dynamic_metadata metadata extension masked_remote_address "
       "query_parameter_value_match",
       "", ""},
      {"envoy.config.route.v3.RateLimit.Action.DestinationCluster", "", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.DynamicMetaData",
       "descriptor_key metadata_key default_value", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.GenericKey", "descriptor_value descriptor_key", "",
       ""},
      {"envoy.config.route.v3.RateLimit.Action.HeaderValueMatch",
       "descriptor_key descriptor_value expect_match headers", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress",
       "v4_prefix_mask_len v6_prefix_mask_len", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.MetaData",
       "descriptor_key metadata_key default_value source skip_if_absent", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch",
       "descriptor_key descriptor_value expect_match query_parameters", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.QueryParameters",
       "query_parameter_name descriptor_key skip_if_absent", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.RemoteAddress", "", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.RequestHeaders",
       "header_name descriptor_key skip_if_absent", "", ""},
      {"envoy.config.route.v3.RateLimit.Action.SourceCluster", "", "", ""},
      {"envoy.config.route.v3.RateLimit.HitsAddend", "number format", "", ""},
      {"envoy.config.route.v3.RateLimit.Override", "dynamic_metadata", "", ""},
      {"envoy.config.route.v3.RateLimit.Override.DynamicMetadata", "metadata_key", "", ""},
      {"envoy.config.route.v3.RedirectAction",
       "https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite "
       "regex_rewrite response_code strip_query",
       "", ""},
      {"envoy.config.route.v3.RetryPolicy",
       "retry_on num_retries per_try_timeout per_try_idle_timeout retry_priority "
       "retry_host_predicate host_selection_retry_max_attempts retriable_status_codes "
       "retry_back_off rate_limited_retry_back_off retriable_headers retriable_request_headers",
       "", ""},
      {"envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff", "reset_headers max_interval",
       "", ""},
      {"envoy.config.route.v3.RetryPolicy.ResetHeader", "name format", "", ""},
      {"envoy.config.route.v3.RetryPolicy.RetryBackOff", "base_interval max_interval", "", ""},
      {"envoy.config.route.v3.RetryPolicy.RetryHostPredicate", "name typed_config", "", ""},
      {"envoy.config.route.v3.RetryPolicy.RetryPriority", "name typed_config", "", ""},
      {"envoy.config.route.v3.Route",
       "name match route redirect direct_response non_forwarding_action metadata decorator "
       "typed_per_filter_config request_headers_to_add request_headers_to_remove "
       "response_headers_to_add response_headers_to_remove tracing stat_prefix",
       "per_request_buffer_limit_bytes request_body_buffer_limit",
       "bodies of up to 1 MiB are kept for another try"},
      {"envoy.config.route.v3.RouteAction",
       "cluster cluster_header weighted_clusters cluster_not_found_response_code metadata_match "
       "prefix_rewrite regex_rewrite path_rewrite_policy host_rewrite_literal auto_host_rewrite "
       "host_rewrite_header host_rewrite_path_regex append_x_forwarded_host timeout idle_timeout "
       "retry_policy request_mirror_policies priority rate_limits include_vh_rate_limits "
       "hash_policy max_grpc_timeout grpc_timeout_offset upgrade_configs internal_redirect_policy "
       "hedge_policy max_stream_duration",
       "flush_timeout early_data_policy",
       "idle_timeout holds until the last byte; no early data is sent"},
      {"envoy.config.route.v3.RouteAction.HashPolicy",
       "header cookie connection_properties query_parameter filter_state terminal", "", ""},
      {"envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties", "source_ip", "", ""},
      {"envoy.config.route.v3.RouteAction.HashPolicy.Cookie", "name ttl path", "", ""},
      {"envoy.config.route.v3.RouteAction.HashPolicy.FilterState", "key", "", ""},
      {"envoy.config.route.v3.RouteAction.HashPolicy.Header", "header_name regex_rewrite", "", ""},
      {"envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter", "name", "", ""},
      {"envoy.config.route.v3.RouteAction.MaxStreamDuration",
       "max_stream_duration grpc_timeout_header_max grpc_timeout_header_offset", "", ""},
      {"envoy.config.route.v3.RouteAction.RequestMirrorPolicy",
       "cluster cluster_header runtime_fraction disable_shadow_host_suffix_append "
       "host_rewrite_literal",
       "trace_sampled", "mirrored requests carry the same trace context"},
      {"envoy.config.route.v3.RouteAction.UpgradeConfig", "upgrade_type enabled connect_config", "",
       ""},
      {"envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig", "", "", ""},
      {"envoy.config.route.v3.RouteConfiguration",
       "name virtual_hosts response_headers_to_add response_headers_to_remove "
       "request_headers_to_add request_headers_to_remove most_specific_header_mutations_wins "
       "request_mirror_policies ignore_port_in_host_matching typed_per_filter_config",
       "validate_clusters max_direct_response_body_size_bytes metadata",
       "an unknown cluster is answered as cluster_not_found_response_code says; bodies of any "
       "size"},
      {"envoy.config.route.v3.RouteMatch",
       "prefix path safe_regex connect_matcher path_separated_prefix path_match_policy "
       "case_sensitive runtime_fraction headers query_parameters grpc tls_context dynamic_metadata "
       "filter_state",
       "", ""},
      {"envoy.config.route.v3.RouteMatch.ConnectMatcher", "", "", ""},
      {"envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions", "", "", ""},
      {"envoy.config.route.v3.RouteMatch.TlsContextMatchOptions", "presented validated", "", ""},
      {"envoy.config.route.v3.Tracing", "random_sampling", "", ""},
      {"envoy.config.route.v3.VirtualHost",
       "name domains routes require_tls rate_limits request_headers_to_add "
       "request_headers_to_remove response_headers_to_add response_headers_to_remove "
       "typed_per_filter_config include_request_attempt_count include_attempt_count_in_response "
       "retry_policy hedge_policy request_mirror_policies",
       "virtual_clusters per_request_buffer_limit_bytes request_body_buffer_limit metadata",
       "statistics; bodies of up to 1 MiB are kept for another try"},
      {"envoy.config.route.v3.WeightedCluster", "clusters", "total_weight runtime_key_prefix",
       "the sum counts; no runtime layers"},
      {"envoy.config.route.v3.WeightedCluster.ClusterWeight",
       "name cluster_header weight metadata_match request_headers_to_add request_headers_to_remove "
       "response_headers_to_add response_headers_to_remove typed_per_filter_config "
       "host_rewrite_literal",
       "", ""},
      {"envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig",
       "allowed_route_names", "", ""},
      {"envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", "path_template", "",
       ""},
      {"envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
       "path_template_rewrite", "", ""},
      {"envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig", "metadata_match",
       "", ""},
      {"envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
       "update_frequency", "", ""},
  };
  return kRows;
}

}  // namespace lateen::proxy
