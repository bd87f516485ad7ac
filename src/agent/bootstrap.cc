// Builds the bootstrap as JSON; names and shapes are the contract of Istio's own
// (packaging/common/envoy_bootstrap.json).
#include "agent/bootstrap.h"

#include "base/strings.h"

namespace lateen::agent {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr char kIstioVersion[] = "1.24.0";
constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

Json socket_address(std::string_view ip, int port) {
  return JsonObject{{"socket_address", JsonObject{{"address", ip}, {"port_value", port}}}};
}
Json pipe_address(std::string_view path) {
  return JsonObject{{"pipe", JsonObject{{"path", path}}}};
}

Json cluster(std::string_view name, Json address, std::string_view type = "STATIC") {
  Json endpoint = JsonObject{{"endpoint", JsonObject{{"address", std::move(address)}}}};
  return JsonObject{
      {"name", name},
      {"alt_stat_name", std::string(name) + ";"},
      {"type", type},
      {"connect_timeout", "1s"},
      {"lb_policy", "ROUND_ROBIN"},
      {"load_assignment",
       JsonObject{{"cluster_name", name},
                  {"endpoints",
                   JsonArray{JsonObject{{"lb_endpoints", JsonArray{std::move(endpoint)}}}}}}}};
}

void use_http2(Json& cluster) {
  data::set(
      cluster, {"typed_extension_protocol_options", kHttpOptions},
      JsonObject{{"@type", "type.googleapis.com/" + std::string(kHttpOptions)},
                 {"explicit_http_config", JsonObject{{"http2_protocol_options", JsonObject()}}}});
}

Json listener(std::string_view name, int port, std::string_view path, std::string_view to_cluster) {
  Json route = JsonObject{{"match", JsonObject{{"prefix", path}}},
                          {"route", JsonObject{{"cluster", to_cluster}}}};
  Json manager = JsonObject{
      {"@type",
       "type.googleapis.com/"
       "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"},
      {"codec_type", "AUTO"},
      {"stat_prefix", name},
      {"route_config",
       JsonObject{
           {"virtual_hosts", JsonArray{JsonObject{{"name", "backend"},
                                                  {"domains", JsonArray{"*"}},
                                                  {"routes", JsonArray{std::move(route)}}}}}}},
      {"http_filters",
       JsonArray{JsonObject{
           {"name", "envoy.filters.http.router"},
           {"typed_config",
            JsonObject{{"@type",
                        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}}}}}};
  Json filter = JsonObject{{"name", "envoy.filters.network.http_connection_manager"},
                           {"typed_config", std::move(manager)}};
  return JsonObject{
      {"name", name},
      {"address", socket_address("0.0.0.0", port)},
      {"filter_chains", JsonArray{JsonObject{{"filters", JsonArray{std::move(filter)}}}}}};
}

Json node_of(const Options& options, bool is_lateen) {
  JsonObject metadata;
  for (const auto& [name, value] : options.metadata) metadata[name] = value;
  metadata["NAME"] = options.pod_name;
  metadata["NAMESPACE"] = options.pod_namespace;
  metadata["INSTANCE_IPS"] = join(options.ips, ",");
  metadata["SERVICE_ACCOUNT"] = options.service_account;
  if (!metadata.contains("ISTIO_VERSION")) metadata["ISTIO_VERSION"] = kIstioVersion;
  if (is_lateen) metadata["ISTIO_PROXY_BUILD"] = "lateen";
  metadata["LABELS"] = options.labels;
  metadata["ANNOTATIONS"] = options.annotations;
  metadata["PROXY_CONFIG"] = options.proxy_config;
  metadata["ENVOY_STATUS_PORT"] = options.envoy_status_port;
  metadata["ENVOY_PROMETHEUS_PORT"] = options.envoy_prometheus_port;
  metadata["PILOT_SAN"] = JsonArray{split(options.discovery_address, ':').front()};

  std::string service = options.service_cluster;
  if (service.empty()) {
    const auto* app = options.labels.if_contains("app");
    const auto workload = options.metadata.find("WORKLOAD_NAME");
    service = app != nullptr                       ? std::string(data::as_string(*app))
              : workload != options.metadata.end() ? workload->second
                                                   : "istio-proxy";
    service += "." + options.pod_namespace;
  }
  return JsonObject{{"id", options.node_id()},
                    {"cluster", service},
                    {"locality", JsonObject()},
                    {"metadata", std::move(metadata)}};
}

Json stats_config() {
  const auto prefix = [](std::string_view text) { return JsonObject{{"prefix", text}}; };
  const auto suffix = [](std::string_view text) { return JsonObject{{"suffix", text}}; };
  JsonArray patterns;
  for (const char* text : {"reporter=", "component", "istio", "cluster_manager", "listener_manager",
                           "server", "cluster.xds-grpc", "wasm"}) {
    patterns.push_back(prefix(text));
  }
  for (const char* text :
       {"rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied", "downstream_cx_active"}) {
    patterns.push_back(suffix(text));
  }
  patterns.push_back(JsonObject{{"safe_regex", JsonObject{{"regex", "vhost\\..*\\.route\\..*"}}}});
  JsonArray tags;
  const auto tag = [&](std::string_view name, std::string_view regex) {
    tags.push_back(JsonObject{{"tag_name", name}, {"regex", regex}});
  };
  tag("cluster_name", "^cluster(\\.(.+);)");
  tag("http_conn_manager_prefix",
      "^http\\.(((?:[_.[:digit:]\\w]*|[_\\[\\]aAbBcCdDeEfF[:digit:]\\w\\:]*));\\.)");
  tag("tcp_prefix", "^tcp\\.((.*?)\\.)\\w+?$");
  tag("response_code", "_rq(_(\\d{3}))$");
  tag("response_code_class", "_rq(_(\\dxx))$");
  tag("listener_address", "^listener\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)");
  tag("component", "(component\\.(.+?)\\.)");
  tag("tag", "(tag\\.(.+?);\\.)");
  tag("authz_enforce_result", "rbac(\\.(allowed|denied))");
  return JsonObject{{"use_all_default_tags", false},
                    {"stats_tags", std::move(tags)},
                    {"stats_matcher", JsonObject{{"inclusion_list",
                                                  JsonObject{{"patterns", std::move(patterns)}}}}}};
}

Json dynamic_resources(const Options& options) {
  const Json ads = JsonObject{
      {"ads", JsonObject()}, {"initial_fetch_timeout", "0s"}, {"resource_api_version", "V3"}};
  return JsonObject{
      {"lds_config", ads},
      {"cds_config", ads},
      {"ads_config",
       JsonObject{
           {"api_type", options.is_delta_xds ? "DELTA_GRPC" : "GRPC"},
           {"set_node_on_first_message_only", true},
           {"transport_api_version", "V3"},
           {"grpc_services",
            JsonArray{JsonObject{{"envoy_grpc", JsonObject{{"cluster_name", "xds-grpc"}}}}}}}}};
}

// What the pod itself can reach: a question for the other family would be asked for nothing, every
// 30 s by each proxy.
std::string_view lookup_family(const Options& options) {
  const auto is_v6 = [](const std::string& ip) { return ip.find(':') != std::string::npos; };
  if (std::ranges::none_of(options.ips, is_v6)) return "V4_ONLY";
  return std::ranges::all_of(options.ips, is_v6) ? "V6_ONLY" : "ALL";
}

// "host:port" of tracing.zipkin.address, as a cluster named zipkin; null without one.
Json zipkin_cluster(const Options& options) {
  const auto address = data::get_string(options.proxy_config, {"tracing", "zipkin", "address"});
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos) return nullptr;
  const auto port = parse_int(address.substr(colon + 1));
  Json out = cluster(
      "zipkin", socket_address(address.substr(0, colon), static_cast<int>(port.value_or(9411))),
      "STRICT_DNS");
  data::set(out, {"respect_dns_ttl"}, true);
  data::set(out, {"dns_lookup_family"}, Json(lookup_family(options)));
  data::set(out, {"dns_refresh_rate"}, "30s");
  return out;
}

void add_tracing(const Options& options, Json& bootstrap) {
  if (data::get_string(options.proxy_config, {"tracing", "zipkin", "address"}).empty()) return;
  data::set(
      bootstrap, {"tracing"},
      JsonObject{{"http",
                  JsonObject{{"name", "envoy.tracers.zipkin"},
                             {"typed_config",
                              JsonObject{{"@type",
                                          "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig"},
                                         {"collector_cluster", "zipkin"},
                                         {"collector_endpoint", "/api/v2/spans"},
                                         {"collector_endpoint_version", "HTTP_JSON"},
                                         {"trace_id_128bit", true},
                                         {"shared_span_context", false}}}}}});
}

}  // namespace

Json make_bootstrap(const Options& options, bool is_lateen) {
  Json sds = cluster("sds-grpc", pipe_address(options.sds_socket));
  use_http2(sds);
  Json xds = cluster("xds-grpc", pipe_address(options.config_path + "/XDS"));
  use_http2(xds);
  data::set(xds, {"upstream_connection_options"},
            JsonObject{{"tcp_keepalive", JsonObject{{"keepalive_time", 300}}}});
  JsonArray clusters{cluster("prometheus_stats", socket_address("127.0.0.1", options.admin_port)),
                     cluster("agent", socket_address("127.0.0.1", options.status_port)),
                     std::move(sds), std::move(xds)};
  if (Json zipkin = zipkin_cluster(options); !zipkin.is_null())
    clusters.push_back(std::move(zipkin));

  Json bootstrap = JsonObject{
      {"node", node_of(options, is_lateen)},
      {"layered_runtime",
       JsonObject{
           {"layers", JsonArray{JsonObject{{"name", "global config"},
                                           {"static_layer", data::get_object(options.proxy_config,
                                                                             {"runtimeValues"})}},
                                JsonObject{{"name", "admin"}, {"admin_layer", JsonObject()}}}}}},
      {"bootstrap_extensions",
       JsonArray{JsonObject{
           {"name", "envoy.bootstrap.internal_listener"},
           {"typed_config",
            JsonObject{{"@type", "type.googleapis.com/udpa.type.v1.TypedStruct"},
                       {"type_url",
                        "type.googleapis.com/"
                        "envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
                       {"value", JsonObject{{"buffer_size_kb", 64}}}}}}}},
      {"stats_config", stats_config()},
      {"admin", JsonObject{{"address", socket_address("127.0.0.1", options.admin_port)}}},
      {"dynamic_resources", dynamic_resources(options)},
      {"static_resources",
       JsonObject{{"clusters", std::move(clusters)},
                  {"listeners", JsonArray{listener("prometheus", options.envoy_prometheus_port,
                                                   "/stats/prometheus", "prometheus_stats"),
                                          listener("agent", options.envoy_status_port,
                                                   "/healthz/ready", "agent")}}}}};
  add_tracing(options, bootstrap);
  return bootstrap;
}

}  // namespace lateen::agent
