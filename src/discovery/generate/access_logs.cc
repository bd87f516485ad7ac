// Access logs: where a listener's requests and connections are written, as MeshConfig and Telemetry
// say.
#include <google/protobuf/struct.pb.h>

#include <algorithm>

#include "discovery/generate/providers.h"
#include "discovery/generate/telemetry.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/filters/cel/v3/cel.pb.h"
#include "envoy/extensions/access_loggers/grpc/v3/als.pb.h"
#include "envoy/extensions/access_loggers/open_telemetry/v3/logs_service.pb.h"
#include "envoy/extensions/formatter/cel/v3/cel.pb.h"
#include "envoy/extensions/formatter/metadata/v3/metadata.pb.h"
#include "envoy/extensions/formatter/req_without_query/v3/req_without_query.pb.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::discovery {
namespace {

namespace loggers = envoy::extensions::access_loggers;
using mesh::ExtensionProvider;

constexpr std::pair<const char*, const char*> kJsonLogFields[] = {
    {"start_time", "%START_TIME%"},
    {"route_name", "%ROUTE_NAME%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
    {"connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration", "%DURATION%"},
    {"upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"authority", "%REQ(:AUTHORITY)%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER%"},
    {"upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"},
    {"downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"},
    {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"requested_server_name", "%REQUESTED_SERVER_NAME%"},
    {"upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"},
};

// A log to be made: a provider, or MeshConfig's own file, and which entries it takes.
struct Log {
  const ExtensionProvider* provider = nullptr;  // null: accessLogFile
  std::string filter;                           // CEL
};

bool fits_mode(std::string_view mode, Side side) {
  if (mode == "CLIENT") return side != Side::kInbound;
  if (mode == "SERVER") return side == Side::kInbound;
  return true;
}

// Providers that the Telemetries leave on: root namespace's first, the workload's last; a later one
// that names providers replaces the earlier ones' choice.
std::vector<std::pair<std::string, std::string>> chosen_providers(const View& view, Side side,
                                                                  bool& is_said) {
  const auto telemetries = view.mesh.telemetries_of(view.proxy);
  std::vector<std::string> in_scope = view.mesh.mesh().default_access_log;
  std::map<std::string, std::string> filters;
  is_said = false;
  for (const auto& config : telemetries) {
    std::vector<std::string> named;
    for (const auto& logging : config->spec.access_logging) {
      is_said = true;
      if (!fits_mode(logging.mode, side)) continue;
      for (const std::string& name : logging.providers) {
        named.push_back(name);
        filters[name] = logging.filter;
      }
    }
    if (!named.empty()) in_scope = named;
  }
  std::map<std::string, bool> are_on;
  if (!is_said) {
    for (const std::string& name : in_scope) are_on[name] = true;
  }
  std::vector<std::string> parents = view.mesh.mesh().default_access_log;
  for (const auto& config : telemetries) {
    for (const auto& logging : config->spec.access_logging) {
      if (!logging.providers.empty()) parents = logging.providers;
      for (const std::string& name : parents) {
        const bool is_wanted = std::find(in_scope.begin(), in_scope.end(), name) != in_scope.end();
        if (!is_wanted || !fits_mode(logging.mode, side)) continue;
        are_on[name] = !logging.is_disabled.value_or(false);
        if (!logging.filter.empty() && logging.providers.empty()) filters[name] = logging.filter;
      }
    }
  }
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, is_on] : are_on) {
    if (is_on) out.emplace_back(name, filters[name]);
  }
  return out;
}

// A Telemetry that names no provider speaks of MeshConfig's log; without one, of standard output.
void add_unnamed(const View& view, Side side, std::vector<Log>& out) {
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  if (!mesh.default_access_log.empty()) return;
  std::optional<bool> is_on;
  std::string filter;
  for (const auto& config : view.mesh.telemetries_of(view.proxy)) {
    for (const auto& logging : config->spec.access_logging) {
      if (!fits_mode(logging.mode, side)) continue;
      is_on = !logging.is_disabled.value_or(false) && logging.providers.empty();
      filter = logging.filter;
    }
  }
  if (is_on.value_or(false)) out.push_back({nullptr, filter});
}

std::vector<Log> chosen_logs(const View& view, Side side) {
  static const ExtensionProvider kBuiltIn = {
      "envoy", ExtensionProvider::Kind::kEnvoyFileAccessLog, "", 0, "/dev/stdout", {}};
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  std::vector<Log> out;
  bool is_said = false;
  for (const auto& [name, filter] : chosen_providers(view, side, is_said)) {
    const ExtensionProvider* provider = mesh.find_provider(name);
    if (provider == nullptr && name == "envoy") provider = &kBuiltIn;
    if (provider != nullptr) out.push_back({provider, filter});
  }
  if (!is_said && !mesh.access_log_file.empty()) out.push_back({});
  if (is_said && out.empty()) add_unnamed(view, side, out);
  return out;
}

template <typename Formatters>
void add_formatters(const std::string& text, Formatters* to) {
  namespace formatter = envoy::extensions::formatter;
  const auto add = [&](const char* command, const char* name, const auto& config) {
    if (text.find(command) == std::string::npos) return;
    auto& extension = *to->Add();
    extension.set_name(name);
    *extension.mutable_typed_config() = xds::pack(config);
  };
  add("%REQ_WITHOUT_QUERY", "envoy.formatter.req_without_query",
      formatter::req_without_query::v3::ReqWithoutQuery());
  add("%METADATA", "envoy.formatter.metadata", formatter::metadata::v3::Metadata());
  add("%CEL", "envoy.formatter.cel", formatter::cel::v3::Cel());
}

std::string with_newline(std::string text) {
  if (!text.empty() && text.back() != '\n') text.push_back('\n');
  return text;
}

// `format`: text, or JSON of the fields when `is_json`.
AccessLog make_file(const std::string& path, const std::string& format, bool is_json,
                    const data::Json* labels, bool omits_empty) {
  loggers::file::v3::FileAccessLog file;
  file.set_path(path);
  auto& to = *file.mutable_log_format();
  to.set_omit_empty_values(omits_empty);
  std::string used = format;
  if (labels != nullptr && labels->is_object() && !labels->if_object()->empty()) {
    *to.mutable_json_format() = xds::json_to_struct(*labels->if_object());
    used = data::dump_json(*labels);
  } else if (is_json || labels != nullptr) {
    const auto custom = data::parse_json(format);
    auto& fields = *to.mutable_json_format()->mutable_fields();
    if (custom && custom->is_object()) {
      *to.mutable_json_format() = xds::json_to_struct(*custom->if_object());
    } else {
      for (const auto& [name, value] : kJsonLogFields) fields[name].set_string_value(value);
    }
  } else {
    to.mutable_text_format_source()->set_inline_string(format.empty() ? std::string(kTextLogFormat)
                                                                      : with_newline(format));
  }
  add_formatters(used, to.mutable_formatters());
  AccessLog log;
  log.set_name("envoy.access_loggers.file");
  *log.mutable_typed_config() = xds::pack(file);
  return log;
}

std::string text_of(const ExtensionProvider& provider, std::initializer_list<std::string_view> path,
                    std::string_view fallback = {}) {
  return std::string(data::get_string(provider.detail, path, fallback));
}

template <typename Common>
void fill_service(const ExtensionProvider& provider, const ProviderTarget& target,
                  std::string_view log_name, Common& out) {
  out.set_log_name(text_of(provider, {"logName"}, log_name));
  out.mutable_grpc_service()->mutable_envoy_grpc()->set_cluster_name(target.cluster);
  out.mutable_grpc_service()->mutable_envoy_grpc()->set_authority(target.host);
  out.set_transport_api_version(envoy::config::core::v3::V3);
  for (const data::Json& name : data::get_array(provider.detail, {"filterStateObjectsToLog"})) {
    out.add_filter_state_objects_to_log(std::string(data::as_string(name)));
  }
}

std::optional<AccessLog> make_http_als(const ExtensionProvider& provider,
                                       const ProviderTarget& target) {
  loggers::grpc::v3::HttpGrpcAccessLogConfig config;
  fill_service(provider, target, "http_envoy_accesslog", *config.mutable_common_config());
  for (const data::Json& name :
       data::get_array(provider.detail, {"additionalRequestHeadersToLog"})) {
    config.add_additional_request_headers_to_log(std::string(data::as_string(name)));
  }
  for (const data::Json& name :
       data::get_array(provider.detail, {"additionalResponseHeadersToLog"})) {
    config.add_additional_response_headers_to_log(std::string(data::as_string(name)));
  }
  for (const data::Json& name :
       data::get_array(provider.detail, {"additionalResponseTrailersToLog"})) {
    config.add_additional_response_trailers_to_log(std::string(data::as_string(name)));
  }
  AccessLog log;
  log.set_name("envoy.access_loggers.http_grpc");
  *log.mutable_typed_config() = xds::pack(config);
  return log;
}

std::optional<AccessLog> make_tcp_als(const ExtensionProvider& provider,
                                      const ProviderTarget& target) {
  loggers::grpc::v3::TcpGrpcAccessLogConfig config;
  fill_service(provider, target, "tcp_envoy_accesslog", *config.mutable_common_config());
  AccessLog log;
  log.set_name("envoy.access_loggers.tcp_grpc");
  *log.mutable_typed_config() = xds::pack(config);
  return log;
}

std::optional<AccessLog> make_otel(const ExtensionProvider& provider,
                                   const ProviderTarget& target) {
  loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig config;
  fill_service(provider, target, "otel_envoy_accesslog", *config.mutable_common_config());
  const std::string text = text_of(provider, {"logFormat", "text"});
  config.mutable_body()->set_string_value(text.empty() ? std::string(kTextLogFormat) : text);
  std::string used = config.body().string_value();
  for (const auto& entry : data::get_object(provider.detail, {"logFormat", "labels"})) {
    auto& attribute = *config.mutable_attributes()->add_values();
    attribute.set_key(std::string(entry.key()));
    attribute.mutable_value()->set_string_value(std::string(data::as_string(entry.value())));
    used += data::as_string(entry.value());
  }
  add_formatters(used, config.mutable_formatters());
  AccessLog log;
  log.set_name("envoy.access_loggers.open_telemetry");
  *log.mutable_typed_config() = xds::pack(config);
  return log;
}

std::optional<AccessLog> make_log(const View& view, const Log& chosen, Wire wire) {
  using Kind = ExtensionProvider::Kind;
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  if (chosen.provider == nullptr) {
    const bool is_file = !mesh.access_log_file.empty();
    return make_file(is_file ? mesh.access_log_file : "/dev/stdout", mesh.access_log_format,
                     mesh.is_access_log_json, nullptr, false);
  }
  const ExtensionProvider& provider = *chosen.provider;
  if (provider.kind == Kind::kEnvoyFileAccessLog) {
    const data::Json* labels = data::find(provider.detail, {"logFormat", "labels"});
    const std::string text = text_of(provider, {"logFormat", "text"});
    const bool has_own = labels != nullptr || !text.empty();
    return make_file(provider.path.empty() ? "/dev/stdout" : provider.path,
                     has_own ? text : mesh.access_log_format, !has_own && mesh.is_access_log_json,
                     labels, data::get_bool(provider.detail, {"omitEmptyValues"}));
  }
  const auto target = find_target(view, provider);
  if (!target) return std::nullopt;
  if (provider.kind == Kind::kHttpAls && wire == Wire::kHttp)
    return make_http_als(provider, *target);
  if (provider.kind == Kind::kTcpAls && wire == Wire::kTcp) return make_tcp_als(provider, *target);
  if (provider.kind == Kind::kOtelAls) return make_otel(provider, *target);
  return std::nullopt;
}

void set_filter(const std::string& expression, AccessLog& log) {
  if (expression.empty()) return;
  loggers::filters::cel::v3::ExpressionFilter filter;
  filter.set_expression(expression);
  auto& extension = *log.mutable_filter()->mutable_extension_filter();
  extension.set_name("envoy.access_loggers.extension_filters.cel");
  *extension.mutable_typed_config() = xds::pack(filter);
}

}  // namespace

std::vector<AccessLog> make_access_logs(const View& view, Side side, Wire wire) {
  std::vector<AccessLog> out;
  for (const Log& chosen : chosen_logs(view, side)) {
    auto log = make_log(view, chosen, wire);
    if (!log) continue;
    set_filter(chosen.filter, *log);
    out.push_back(*std::move(log));
  }
  return out;
}

std::vector<AccessLog> make_listener_logs(const View& view, Side side) {
  if (view.mesh.mesh().is_listener_log_disabled) return {};
  std::vector<AccessLog> out = make_access_logs(view, side, Wire::kTcp);
  for (AccessLog& log : out) {
    log.mutable_filter()->mutable_response_flag_filter()->add_flags("NR");
  }
  return out;
}

}  // namespace lateen::discovery
