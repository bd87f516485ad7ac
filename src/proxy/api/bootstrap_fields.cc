// Fields of the bootstrap, of tracing and of what custom tags name.

#include "proxy/api/field_check.h"

namespace lateen::proxy {

std::span<const FieldRow> bootstrap_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.config.bootstrap.v3.Admin", "address allow_paths",
       "access_log access_log_path profile_path ignore_global_conn_limit",
       "requests to the admin pages are neither logged nor profiled nor counted"},
      {"envoy.config.bootstrap.v3.Bootstrap",
       "node static_resources dynamic_resources cluster_manager stats_config tracing "
       "layered_runtime admin overload_manager typed_dns_resolver_config bootstrap_extensions "
       "default_regex_engine",
       "deferred_stat_options stats_flush_interval stats_flush_on_admin stats_eviction_interval "
       "watchdog watchdogs enable_dispatcher_stats stats_server_version_override inline_headers "
       "perf_tracing_file_path application_log_config grpc_async_client_manager_config "
       "memory_allocator_manager",
       "statistics, watchdogs, formats of the log and memory are our own"},
      {"envoy.config.bootstrap.v3.Bootstrap.DynamicResources", "lds_config cds_config ads_config",
       "", ""},
      {"envoy.config.bootstrap.v3.Bootstrap.StaticResources", "listeners clusters secrets", "", ""},
      {"envoy.config.bootstrap.v3.ClusterManager", "",
       "outlier_detection enable_deferred_cluster_creation",
       "ejections are in the log and the statistics; clusters cost little"},
      {"envoy.config.bootstrap.v3.LayeredRuntime", "layers", "", ""},
      {"envoy.config.bootstrap.v3.RuntimeLayer", "static_layer admin_layer", "name", ""},
      {"envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer", "", "", ""},
      {"envoy.config.core.v3.BuildVersion", "version metadata", "", ""},
      {"envoy.config.core.v3.Extension", "name category type_descriptor version disabled type_urls",
       "", ""},
      {"envoy.config.core.v3.HttpService", "http_uri", "", ""},
      {"envoy.config.core.v3.HttpUri", "uri cluster", "timeout",
       "what does not answer is given up with its connection"},
      {"envoy.config.core.v3.Node",
       "id cluster metadata dynamic_parameters locality user_agent_name user_agent_version "
       "user_agent_build_version extensions client_features listening_addresses",
       "", ""},
      {"envoy.config.metrics.v3.StatsConfig", "stats_matcher",
       "stats_tags use_all_default_tags histogram_bucket_settings",
       "tags are built in, as Istio names them; so are the buckets"},
      {"envoy.config.metrics.v3.StatsMatcher", "reject_all exclusion_list inclusion_list", "", ""},
      {"envoy.config.overload.v3.OverloadAction", "name triggers", "", ""},
      {"envoy.config.overload.v3.OverloadManager", "resource_monitors actions",
       "refresh_interval buffer_factory_config", "looked at each second"},
      {"envoy.config.overload.v3.ResourceMonitor", "name typed_config", "", ""},
      {"envoy.config.overload.v3.ScaledTrigger", "saturation_threshold", "scaling_threshold",
       "an action begins at saturation"},
      {"envoy.config.overload.v3.ThresholdTrigger", "value", "", ""},
      {"envoy.config.overload.v3.Trigger", "name threshold scaled", "", ""},
      {"envoy.config.trace.v3.OpenTelemetryConfig", "grpc_service http_service service_name",
       "max_cache_size", "spans are sent each second"},
      {"envoy.config.trace.v3.Tracing", "http", "", ""},
      {"envoy.config.trace.v3.Tracing.Http", "name typed_config", "", ""},
      {"envoy.config.trace.v3.ZipkinConfig",
       "collector_cluster collector_endpoint trace_id_128bit shared_span_context "
       "collector_endpoint_version collector_hostname trace_context_option collector_service",
       "", ""},
      {"envoy.type.matcher.v3.ListStringMatcher", "patterns", "", ""},
      {"envoy.type.metadata.v3.MetadataKey", "key path", "", ""},
      {"envoy.type.metadata.v3.MetadataKey.PathSegment", "key", "", ""},
      {"envoy.type.metadata.v3.MetadataKind", "request route cluster host", "", ""},
      {"envoy.type.metadata.v3.MetadataKind.Cluster", "", "", ""},
      {"envoy.type.metadata.v3.MetadataKind.Host", "", "", ""},
      {"envoy.type.metadata.v3.MetadataKind.Request", "", "", ""},
      {"envoy.type.metadata.v3.MetadataKind.Route", "", "", ""},
      {"envoy.type.tracing.v3.CustomTag", "tag literal environment request_header metadata value",
       "", ""},
      {"envoy.type.tracing.v3.CustomTag.Environment", "name default_value", "", ""},
      {"envoy.type.tracing.v3.CustomTag.Header", "name default_value", "", ""},
      {"envoy.type.tracing.v3.CustomTag.Literal", "value", "", ""},
      {"envoy.type.tracing.v3.CustomTag.Metadata", "kind metadata_key default_value", "", ""},
      {"envoy.type.v3.SemanticVersion", "major_number minor_number patch", "", ""},
  };
  return kRows;
}

}  // namespace lateen::proxy
