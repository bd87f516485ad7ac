// Tracing of a listener's requests: to which collector, how many, and with which tags.
#include "discovery/generate/durations.h"
#include "discovery/generate/providers.h"
#include "discovery/generate/telemetry.h"
#include "envoy/config/trace/v3/datadog.pb.h"
#include "envoy/config/trace/v3/http_tracer.pb.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/config/trace/v3/skywalking.pb.h"
#include "envoy/config/trace/v3/zipkin.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/type/tracing/v3/custom_tag.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

namespace trace = envoy::config::trace::v3;
using mesh::ExtensionProvider;
using Tag = mesh::Telemetry::Tracing::Tag;

// MeshConfig's settings with the Telemetries' laid over them.
struct Choice {
  bool is_enabled = false;
  const ExtensionProvider* provider = nullptr;
  std::string zipkin_address;  // where no provider is chosen
  double sampling = 1;
  bool uses_request_id = true;
  bool has_istio_tags = true;
  std::map<std::string, Tag> tags;
};

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

bool fits_mode(std::string_view mode, Side side) {
  if (mode == "CLIENT") return side != Side::kInbound;
  if (mode == "SERVER") return side == Side::kInbound;
  return true;
}

Choice choose(const View& view, Side side) {
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  Choice out;
  out.is_enabled = mesh.is_tracing_enabled;
  out.zipkin_address = proxy_zipkin_address(view);
  out.sampling = sampling_of(view);
  for (const auto& [name, value] : mesh.proxy.custom_tags) {
    out.tags[name] = {Tag::Kind::kLiteral, value, ""};
  }
  const auto use = [&](const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const ExtensionProvider* provider = mesh.find_provider(name);
      if (provider == nullptr || !provider->is_tracer()) continue;
      out.provider = provider;
      out.is_enabled = true;
      return;
    }
  };
  use(mesh.default_tracing);
  for (const auto& config : view.mesh.telemetries_of(view.proxy)) {
    for (const auto& tracing : config->spec.tracing) {
      if (!fits_mode(tracing.mode, side)) continue;
      use(tracing.providers);
      if (tracing.sampling_percent) out.sampling = *tracing.sampling_percent;
      if (tracing.is_reporting_disabled) out.is_enabled = !*tracing.is_reporting_disabled;
      out.uses_request_id = tracing.uses_request_id_for_sampling.value_or(out.uses_request_id);
      out.has_istio_tags = tracing.has_istio_tags.value_or(out.has_istio_tags);
      if (!tracing.tags.empty()) out.tags = {tracing.tags.begin(), tracing.tags.end()};
    }
  }
  return out;
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

void add_tags(const std::map<std::string, Tag>& tags, HttpConnectionManager::Tracing& tracing) {
  for (const auto& [name, from] : tags) {
    auto& tag = *tracing.add_custom_tags();
    tag.set_tag(name);
    switch (from.kind) {
      case Tag::Kind::kLiteral: tag.mutable_literal()->set_value(from.value); break;
      case Tag::Kind::kEnvironment:
        tag.mutable_environment()->set_name(from.value);
        tag.mutable_environment()->set_default_value(from.fallback);
        break;
      case Tag::Kind::kHeader:
        tag.mutable_request_header()->set_name(from.value);
        tag.mutable_request_header()->set_default_value(from.fallback);
        break;
      case Tag::Kind::kFormatter: tag.set_value(from.value); break;
    }
  }
}

void pack_provider(const char* name, const google::protobuf::Message& config,
                   HttpConnectionManager::Tracing& out) {
  out.mutable_provider()->set_name(name);
  *out.mutable_provider()->mutable_typed_config() = xds::pack(config);
}

void set_zipkin(const ProviderTarget& target, const ExtensionProvider* provider,
                HttpConnectionManager::Tracing& out) {
  trace::ZipkinConfig zipkin;
  const std::string path = provider == nullptr ? "" : provider->path;
  zipkin.set_collector_cluster(target.cluster);
  zipkin.set_collector_endpoint(path.empty() ? "/api/v2/spans" : path);
  zipkin.set_collector_endpoint_version(trace::ZipkinConfig::HTTP_JSON);
  zipkin.set_collector_hostname(target.host);
  zipkin.set_trace_id_128bit(provider == nullptr ||
                             !data::get_bool(provider->detail, {"enable64bitTraceId"}));
  zipkin.mutable_shared_span_context()->set_value(false);
  const bool has_w3c =
      provider != nullptr &&
      data::get_string(provider->detail, {"traceContextOption"}) == "USE_B3_WITH_W3C_PROPAGATION";
  if (has_w3c) {
    zipkin.set_trace_context_option(trace::ZipkinConfig::USE_B3_WITH_W3C_PROPAGATION);
  }
  pack_provider("envoy.tracers.zipkin", zipkin, out);
}

void add_headers(const data::Json& detail, std::initializer_list<std::string_view> path,
                 const std::function<void(const std::string&, const std::string&)>& add) {
  for (const data::Json& item : data::get_array(detail, path)) {
    add(std::string(data::get_string(item, {"name"})),
        std::string(data::get_string(item, {"value"})));
  }
}

void set_otel(const View& view, const ProviderTarget& target, const ExtensionProvider& provider,
              HttpConnectionManager::Tracing& out) {
  trace::OpenTelemetryConfig otel;
  const data::Json& detail = provider.detail;
  const auto timeout = [&](std::string_view kind) {
    return parse_duration(data::get_string(detail, {kind, "timeout"}, "5s")).value_or(seconds(5));
  };
  otel.set_service_name(view.proxy.labels.count("app") > 0
                            ? std::string(mesh::label_of(view.proxy.labels, "app")) + "." +
                                  view.proxy.ns
                            : view.proxy.pod + "." + view.proxy.ns);
  if (data::find(detail, {"http"}) != nullptr) {
    auto& http = *otel.mutable_http_service();
    const std::string path(data::get_string(detail, {"http", "path"}, "/v1/traces"));
    const char* slash = path.starts_with("/") ? "" : "/";
    http.mutable_http_uri()->set_uri("http://" + target.host + slash + path);
    http.mutable_http_uri()->set_cluster(target.cluster);
    set_duration(timeout("http"), *http.mutable_http_uri()->mutable_timeout());
    add_headers(detail, {"http", "headers"},
                [&](const std::string& name, const std::string& value) {
                  auto& header = *http.add_request_headers_to_add();
                  header.mutable_header()->set_key(name);
                  header.mutable_header()->set_value(value);
                  header.set_append_action(
                      envoy::config::core::v3::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
                });
  } else {
    auto& grpc = *otel.mutable_grpc_service();
    grpc.mutable_envoy_grpc()->set_cluster_name(target.cluster);
    grpc.mutable_envoy_grpc()->set_authority(target.host);
    if (data::find(detail, {"grpc", "timeout"}) != nullptr) {
      set_duration(timeout("grpc"), *grpc.mutable_timeout());
    }
    add_headers(detail, {"grpc", "initialMetadata"},
                [&](const std::string& name, const std::string& value) {
                  auto& header = *grpc.add_initial_metadata();
                  header.set_key(name);
                  header.set_value(value);
                });
  }
  pack_provider("envoy.tracers.opentelemetry", otel, out);
}

bool set_provider(const View& view, const ExtensionProvider& provider,
                  HttpConnectionManager::Tracing& out) {
  const auto target = find_target(view, provider);
  const bool is_known = provider.kind == ExtensionProvider::Kind::kZipkin ||
                        provider.kind == ExtensionProvider::Kind::kOpenTelemetry;
  if (!target || (view.proxy.is_lateen && !is_known)) return false;
  switch (provider.kind) {
    case ExtensionProvider::Kind::kZipkin: set_zipkin(*target, &provider, out); break;
    case ExtensionProvider::Kind::kOpenTelemetry: set_otel(view, *target, provider, out); break;
    case ExtensionProvider::Kind::kDatadog: {
      trace::DatadogConfig datadog;
      datadog.set_collector_cluster(target->cluster);
      datadog.set_collector_hostname(target->host);
      datadog.set_service_name(view.proxy.pod + "." + view.proxy.ns);
      pack_provider("envoy.tracers.datadog", datadog, out);
      break;
    }
    case ExtensionProvider::Kind::kSkyWalking: {
      trace::SkyWalkingConfig skywalking;
      auto& grpc = *skywalking.mutable_grpc_service()->mutable_envoy_grpc();
      grpc.set_cluster_name(target->cluster);
      grpc.set_authority(target->host);
      pack_provider("envoy.tracers.skywalking", skywalking, out);
      out.mutable_spawn_upstream_span()->set_value(true);
      break;
    }
    default: return false;
  }
  const std::int64_t length = data::get_int(provider.detail, {"maxTagLength"});
  if (length > 0) {
    out.mutable_max_path_tag_length()->set_value(static_cast<std::uint32_t>(length));
  }
  return true;
}

}  // namespace

bool uses_request_id_for_sampling(const View& view, Side side) {
  return choose(view, side).uses_request_id;
}

void set_tracing(const View& view, Side side, HttpConnectionManager& out) {
  const Choice choice = choose(view, side);
  if (!choice.is_enabled) return;
  HttpConnectionManager::Tracing& tracing = *out.mutable_tracing();
  if (choice.provider != nullptr) {
    set_provider(view, *choice.provider, tracing);
  } else if (const auto parts = split_once(choice.zipkin_address, ":")) {
    const auto port = parse_int(parts->second);
    const auto target =
        port ? find_target(view, parts->first, static_cast<int>(*port)) : std::nullopt;
    if (target) set_zipkin(*target, nullptr, tracing);
  }
  if (view.proxy.is_gateway()) tracing.mutable_spawn_upstream_span()->set_value(true);
  tracing.mutable_client_sampling()->set_value(100);
  tracing.mutable_random_sampling()->set_value(choice.sampling);
  tracing.mutable_overall_sampling()->set_value(100);
  if (!tracing.has_max_path_tag_length()) {
    const std::int64_t length = view.mesh.mesh().proxy.max_path_tag_length;
    tracing.mutable_max_path_tag_length()->set_value(length > 0 ? static_cast<std::uint32_t>(length)
                                                                : 256);
  }
  if (choice.has_istio_tags) add_istio_tags(view, tracing);
  add_tags(choice.tags, tracing);
}

}  // namespace lateen::discovery
