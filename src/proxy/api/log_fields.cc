// Fields of the access loggers.

#include "proxy/api/field_check.h"

namespace lateen::proxy {

std::span<const FieldRow> log_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.extensions.access_loggers.file.v3.FileAccessLog",
       "path format json_format typed_json_format log_format", "", ""},
      {"envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", "expression", "", ""},
      {"envoy.extensions.access_loggers.grpc.v3.CommonGrpcAccessLogConfig",
       "log_name grpc_service buffer_flush_interval buffer_size_bytes filter_state_objects_to_log",
       "transport_api_version", "always v3"},
      {"envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
       "common_config additional_request_headers_to_log additional_response_headers_to_log "
       "additional_response_trailers_to_log",
       "", ""},
      {"envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig", "common_config", "", ""},
      {"envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
       "common_config disable_builtin_labels resource_attributes body attributes",
       "stat_prefix formatters", "no statistics of its own; all commands are built in"},
  };
  return kRows;
}

}  // namespace lateen::proxy
