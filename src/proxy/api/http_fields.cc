// Fields of the HTTP connection manager and the codecs.

#include "proxy/api/field_check.h"

namespace lateen::proxy {

std::span<const FieldRow> http_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.config.core.v3.Http1ProtocolOptions",
       "accept_http_10 header_key_format enable_trailers",
       "allow_absolute_url override_stream_error_on_invalid_http_message use_balsa_parser "
       "allow_custom_methods",
       "absolute URLs and any method are taken; an invalid message ends its connection"},
      {"envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat", "stateful_formatter", "", ""},
      {"envoy.config.core.v3.Http2ProtocolOptions",
       "max_concurrent_streams initial_stream_window_size initial_connection_window_size "
       "allow_connect connection_keepalive",
       "hpack_table_size max_outbound_frames max_outbound_control_frames "
       "max_consecutive_inbound_frames_with_empty_payload max_inbound_priority_frames_per_stream "
       "max_inbound_window_update_frames_per_data_frame_sent "
       "stream_error_on_invalid_http_messaging override_stream_error_on_invalid_http_message "
       "use_oghttp2_codec max_metadata_size",
       "tables and bounds against floods are our own; an invalid message ends its stream"},
      {"envoy.config.core.v3.HttpProtocolOptions",
       "idle_timeout max_connection_duration max_headers_count max_stream_duration "
       "headers_with_underscores_action max_requests_per_connection",
       "", ""},
      {"envoy.config.core.v3.KeepaliveSettings", "interval timeout",
       "interval_jitter connection_idle_interval", "pings go out at each interval"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
       "codec_type stat_prefix rds route_config http_filters tracing common_http_protocol_options "
       "http_protocol_options http2_protocol_options server_name server_header_transformation "
       "max_request_headers_kb stream_idle_timeout request_timeout request_headers_timeout "
       "access_log use_remote_address xff_num_trusted_hops internal_address_config skip_xff_append "
       "via generate_request_id preserve_external_request_id always_set_request_id_in_response "
       "forward_client_cert_details set_current_client_cert_details upgrade_configs normalize_path "
       "merge_slashes path_with_escaped_slashes_action request_id_extension local_reply_config "
       "strip_matching_host_port strip_any_host_port strip_trailing_host_dot "
       "append_x_forwarded_port",
       "http1_safe_max_connection_duration stream_flush_timeout drain_timeout "
       "delayed_close_timeout proxy_100_continue stream_error_on_invalid_http_message "
       "append_local_overload add_proxy_protocol_connection_state",
       "connections are closed in an order of our own; 100-continue is answered when the body is "
       "read"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
       "InternalAddressConfig",
       "cidr_ranges", "unix_sockets", "a Unix socket has no address to be internal"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
       "SetCurrentClientCertDetails",
       "subject cert dns uri", "", ""},
      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing",
       "client_sampling random_sampling overall_sampling verbose max_path_tag_length custom_tags "
       "provider spawn_upstream_span",
       "", ""},
      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
       "UpgradeConfig",
       "upgrade_type enabled", "", ""},
      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
       "name typed_config config_discovery is_optional disabled", "", ""},
      {"envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig",
       "mappers body_format", "", ""},
      {"envoy.extensions.filters.network.http_connection_manager.v3.Rds",
       "config_source route_config_name", "", ""},
      {"envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
       "typed_config", "", ""},
      {"envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper",
       "filter status_code body body_format_override headers_to_add", "", ""},
      {"envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", "",
       "pack_trace_reason use_request_id_for_trace_sampling",
       "ids carry no reason; traces are sampled at random"},
  };
  return kRows;
}

}  // namespace lateen::proxy
