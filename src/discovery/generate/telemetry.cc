#include "discovery/generate/telemetry.h"

#include <google/protobuf/struct.pb.h>

#include "discovery/generate/names.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/trace/v3/http_tracer.pb.h"
#include "envoy/config/trace/v3/zipkin.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/type/tracing/v3/custom_tag.pb.h"
#include "istio/stats.pb.h"
#include "mesh/hostname.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

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

struct LogTarget {
  std::string path;
  std::string format;
  bool is_json = false;
};

LogTarget mesh_target(const mesh::MeshConfig& mesh) {
  return {mesh.access_log_file, mesh.access_log_format, mesh.is_access_log_json};
}

std::optional<LogTarget> provider_target(const mesh::MeshConfig& mesh, std::string_view name) {
  const ExtensionProvider* provider = mesh.find_provider(name);
  if (provider != nullptr && provider->kind == ExtensionProvider::Kind::kEnvoyFileAccessLog) {
    LogTarget target{provider->path.empty() ? "/dev/stdout" : provider->path, "", false};
    target.format = data::get_string(provider->detail, {"logFormat", "text"});
    target.is_json = data::find(provider->detail, {"logFormat", "labels"}) != nullptr;
    return target;
  }
  if (name == "envoy")
    return LogTarget{"/dev/stdout", mesh.access_log_format, mesh.is_access_log_json};
  return std::nullopt;
}

bool applies_to(std::string_view mode, Side side) {
  if (mode == "CLIENT") return side != Side::kInbound;
  if (mode == "SERVER") return side == Side::kInbound;
  return true;
}

// Where this side logs to: the most specific Telemetry that speaks of it, else MeshConfig.
std::vector<LogTarget> log_targets(const View& view, Side side) {
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  std::vector<LogTarget> targets;
  if (!mesh.access_log_file.empty()) targets.push_back(mesh_target(mesh));
  for (const std::string& name : mesh.default_access_log) {
    if (const auto target = provider_target(mesh, name)) targets.push_back(*target);
  }
  for (const auto& config : view.mesh.telemetries_of(view.proxy)) {
    for (const auto& logging : config->spec.access_logging) {
      if (!applies_to(logging.mode, side)) continue;
      if (logging.is_disabled.value_or(false)) {
        targets.clear();
        continue;
      }
      if (logging.providers.empty()) {
        if (targets.empty()) targets.push_back({"/dev/stdout", "", false});
        continue;
      }
      targets.clear();
      for (const std::string& name : logging.providers) {
        if (const auto target = provider_target(mesh, name)) targets.push_back(*target);
      }
    }
  }
  return targets;
}

AccessLog make_file_log(const LogTarget& target) {
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(target.path);
  if (target.is_json) {
    auto& fields = *file.mutable_log_format()->mutable_json_format()->mutable_fields();
    const auto custom = data::parse_json(target.format);
    if (custom && custom->is_object()) {
      for (const auto& entry : *custom->if_object()) {
        fields[std::string(entry.key())].set_string_value(
            std::string(data::as_string(entry.value())));
      }
    } else {
      for (const auto& [name, value] : kJsonLogFields) fields[name].set_string_value(value);
    }
  } else {
    file.mutable_log_format()->mutable_text_format_source()->set_inline_string(
        target.format.empty() ? std::string(kTextLogFormat) : target.format);
  }
  AccessLog log;
  log.set_name("envoy.access_loggers.file");
  *log.mutable_typed_config() = xds::pack(file);
  return log;
}

struct Tracer {
  std::string host;
  int port = 0;
};

std::optional<Tracer> split_address(std::string_view address) {
  const auto parts = split_once(address, ":");
  if (!parts) return std::nullopt;
  const auto port = parse_int(parts->second);
  if (!port) return std::nullopt;
  return Tracer{std::string(parts->first), static_cast<int>(*port)};
}

// "zipkin.istio-system" is zipkin.istio-system.svc.cluster.local when there is such a service.
const mesh::Service* find_tracer_service(const View& view, const std::string& host) {
  if (const auto* service = view.scope.find(host)) return service;
  const std::string domain = view.mesh.domain();
  for (const std::string& name : {host + ".svc." + domain, host + "." + domain}) {
    if (const auto* service = view.scope.find(name)) return service;
  }
  return nullptr;
}

std::string proxy_zipkin_address(const View& view) {
  const std::string_view own =
      data::get_string(view.proxy.metadata, {"PROXY_CONFIG", "tracing", "zipkin", "address"});
  return own.empty() ? view.mesh.mesh().proxy.zipkin_address : std::string(own);
}

double sampling_of(const View& view) {
  double percent = view.mesh.mesh().proxy.sampling_percent.value_or(1);
  if (const data::Json* own =
          data::find(view.proxy.metadata, {"PROXY_CONFIG", "tracing", "sampling"})) {
    percent = data::as_number(*own).value_or(percent);
  }
  return percent;
}

void add_literal_tag(const char* name, std::string_view value,
                     HttpConnectionManager::Tracing& tracing) {
  auto& tag = *tracing.add_custom_tags();
  tag.set_tag(name);
  tag.mutable_literal()->set_value(std::string(value));
}

void add_istio_tags(const View& view, HttpConnectionManager::Tracing& tracing) {
  const mesh::Labels& labels = view.proxy.labels;
  const auto first_of = [&](std::initializer_list<std::string_view> keys,
                            std::string_view fallback) {
    for (const std::string_view key : keys) {
      if (const auto value = mesh::label_of(labels, key); !value.empty()) return value;
    }
    return fallback;
  };
  add_literal_tag("istio.canonical_revision",
                  first_of({"service.istio.io/canonical-revision", "version"}, "latest"), tracing);
  add_literal_tag("istio.canonical_service",
                  first_of({"service.istio.io/canonical-name", "app"}, "unknown"), tracing);
  add_literal_tag("istio.cluster_id", view.proxy.cluster_id, tracing);
  const std::string_view mesh_id = view.proxy.meta("MESH_ID");
  add_literal_tag("istio.mesh_id", mesh_id.empty() ? "cluster.local" : mesh_id, tracing);
  add_literal_tag("istio.namespace", view.proxy.ns, tracing);
}

// Custom tags of a Telemetry: literal, environment or header.
void add_custom_tags(const View& view, const data::JsonObject& tags,
                     HttpConnectionManager::Tracing& tracing) {
  (void)view;
  for (const auto& entry : tags) {
    auto& tag = *tracing.add_custom_tags();
    tag.set_tag(std::string(entry.key()));
    if (data::find(entry.value(), {"header"}) != nullptr) {
      tag.mutable_request_header()->set_name(
          std::string(data::get_string(entry.value(), {"header", "name"})));
      tag.mutable_request_header()->set_default_value(
          std::string(data::get_string(entry.value(), {"header", "defaultValue"})));
    } else if (data::find(entry.value(), {"environment"}) != nullptr) {
      tag.mutable_environment()->set_name(
          std::string(data::get_string(entry.value(), {"environment", "name"})));
      tag.mutable_environment()->set_default_value(
          std::string(data::get_string(entry.value(), {"environment", "defaultValue"})));
    } else {
      tag.mutable_literal()->set_value(
          std::string(data::get_string(entry.value(), {"literal", "value"})));
    }
  }
}

void set_zipkin(const std::string& cluster, const std::string& host,
                HttpConnectionManager::Tracing& tracing) {
  envoy::config::trace::v3::ZipkinConfig zipkin;
  zipkin.set_collector_cluster(cluster);
  zipkin.set_collector_endpoint("/api/v2/spans");
  zipkin.set_collector_endpoint_version(envoy::config::trace::v3::ZipkinConfig::HTTP_JSON);
  zipkin.set_collector_hostname(host);
  zipkin.set_trace_id_128bit(true);
  zipkin.mutable_shared_span_context()->set_value(false);
  tracing.mutable_provider()->set_name("envoy.tracers.zipkin");
  *tracing.mutable_provider()->mutable_typed_config() = xds::pack(zipkin);
}

}  // namespace

std::vector<AccessLog> make_access_logs(const View& view, Side side) {
  std::vector<AccessLog> out;
  for (const LogTarget& target : log_targets(view, side)) out.push_back(make_file_log(target));
  return out;
}

std::vector<AccessLog> make_listener_logs(const View& view, Side side) {
  if (view.mesh.mesh().is_listener_log_disabled) return {};
  std::vector<AccessLog> out = make_access_logs(view, side);
  for (AccessLog& log : out) {
    log.mutable_filter()->mutable_response_flag_filter()->add_flags("NR");
  }
  return out;
}

void set_tracing(const View& view, Side side, HttpConnectionManager& out) {
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  bool is_enabled = mesh.is_tracing_enabled;
  double sampling = sampling_of(view);
  std::string address = proxy_zipkin_address(view);
  data::JsonObject custom_tags;
  const auto use_provider = [&](const std::string& name) {
    const ExtensionProvider* provider = mesh.find_provider(name);
    if (provider == nullptr || provider->kind != ExtensionProvider::Kind::kZipkin) return;
    address = provider->service + ":" + std::to_string(provider->port);
    is_enabled = true;
  };
  for (const std::string& name : mesh.default_tracing) use_provider(name);
  for (const auto& config : view.mesh.telemetries_of(view.proxy)) {
    for (const auto& tracing : config->spec.tracing) {
      for (const std::string& name : tracing.providers) use_provider(name);
      if (tracing.sampling_percent) sampling = *tracing.sampling_percent;
      if (tracing.is_reporting_disabled) is_enabled = !*tracing.is_reporting_disabled;
      for (const auto& entry : tracing.custom_tags) custom_tags[entry.key()] = entry.value();
    }
  }
  if (!is_enabled) return;
  HttpConnectionManager::Tracing& tracing = *out.mutable_tracing();
  if (const auto tracer = split_address(address)) {
    const mesh::Service* service = find_tracer_service(view, tracer->host);
    // The proxy must not be given a cluster it does not know: Envoy rejects the listener.
    if (service != nullptr && service->find_port(tracer->port) != nullptr) {
      set_zipkin(outbound_name(tracer->port, "", service->host), service->host, tracing);
    }
  }
  tracing.mutable_client_sampling()->set_value(100);
  tracing.mutable_random_sampling()->set_value(sampling);
  tracing.mutable_overall_sampling()->set_value(100);
  tracing.mutable_max_path_tag_length()->set_value(
      mesh.proxy.max_path_tag_length > 0
          ? static_cast<std::uint32_t>(mesh.proxy.max_path_tag_length)
          : 256);
  add_istio_tags(view, tracing);
  add_custom_tags(view, custom_tags, tracing);
  (void)side;
}

namespace {

std::string metric_name(std::string_view metric) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"ALL_METRICS", ""},
      {"REQUEST_COUNT", "requests_total"},
      {"REQUEST_DURATION", "request_duration_milliseconds"},
      {"REQUEST_SIZE", "request_bytes"},
      {"RESPONSE_SIZE", "response_bytes"},
      {"TCP_OPENED_CONNECTIONS", "tcp_connections_opened_total"},
      {"TCP_CLOSED_CONNECTIONS", "tcp_connections_closed_total"},
      {"TCP_SENT_BYTES", "tcp_sent_bytes_total"},
      {"TCP_RECEIVED_BYTES", "tcp_received_bytes_total"},
      {"GRPC_REQUEST_MESSAGES", "request_messages_total"},
      {"GRPC_RESPONSE_MESSAGES", "response_messages_total"},
  };
  for (const auto& [name, metric_text] : kNames) {
    if (name == metric) return std::string(metric_text);
  }
  return std::string(metric);
}

}  // namespace

bool make_stats_config(const View& view, Side side, stats::PluginConfig& out) {
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  bool is_enabled = !mesh.has_default_providers || !mesh.default_metrics.empty();
  out.set_disable_host_header_fallback(side != Side::kOutbound);
  for (const auto& config : view.mesh.telemetries_of(view.proxy)) {
    for (const auto& metrics : config->spec.metrics) {
      for (const std::string& name : metrics.providers) is_enabled |= name == "prometheus";
      for (const auto& change : metrics.overrides) {
        if (!applies_to(change.mode, side)) continue;
        const std::string name = metric_name(change.metric);
        if (name.empty() && change.is_disabled.value_or(false)) {
          is_enabled = false;
          continue;
        }
        stats::MetricConfig& metric = *out.add_metrics();
        metric.set_name(name);
        metric.set_drop(change.is_disabled.value_or(false));
        for (const auto& [tag, value] : change.tags) {
          if (value) {
            (*metric.mutable_dimensions())[tag] = *value;
          } else {
            metric.add_tags_to_remove(tag);
          }
        }
      }
    }
  }
  return is_enabled;
}

}  // namespace lateen::discovery
