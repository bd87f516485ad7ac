// Routes of the mesh console.
#include "console/roles/kiali.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "console/graph/graph.h"
#include "console/server/assets.h"
#include "data/yaml.h"
#include "metrics/process.h"

namespace lateen::console {
namespace {

constexpr milliseconds kTracingLimit{10'000};
constexpr std::int64_t kMaxWindowSeconds = 7 * 24 * 3600;
constexpr int kMaxLogLines = 5'000;

ApiReply reply_of(Result<data::Json> result) {
  return result.ok() ? ApiReply::json(result.value()) : ApiReply::error(result.error());
}

std::set<std::string> names_of(std::string_view list) {
  std::set<std::string> names;
  for (const std::string_view name : split(list, ',')) {
    if (!trim(name).empty()) names.emplace(trim(name));
  }
  return names;
}

// Kiali's "60s", "10m", or plain seconds.
Result<std::int64_t> window_seconds(const ApiRequest& request) {
  const std::string text = request.get_or("duration", "60s");
  std::int64_t seconds_wanted = parse_int(text).value_or(0);
  if (seconds_wanted == 0) {
    seconds_wanted =
        std::chrono::duration_cast<seconds>(TRY(parse_duration(text).at("duration"))).count();
  }
  if (seconds_wanted < 1 || seconds_wanted > kMaxWindowSeconds) {
    return invalid(fmt::format("duration {} is not between 1s and 7d", text));
  }
  return seconds_wanted;
}

}  // namespace

Result<KialiSettings> read_kiali_settings(std::string_view yaml) {
  const data::Json root = TRY(data::parse_yaml(yaml));
  KialiSettings settings;
  const auto port_at = [&](std::initializer_list<std::string_view> path, std::uint16_t fallback) {
    const auto port = data::get_int(root, path, fallback);
    return port > 0 && port < 65536 ? static_cast<std::uint16_t>(port) : fallback;
  };
  settings.port = port_at({"server", "port"}, settings.port);
  settings.metrics_port = port_at({"server", "metrics_port"}, settings.metrics_port);
  settings.metrics_port =
      port_at({"server", "observability", "metrics", "port"}, settings.metrics_port);
  settings.web_root = data::get_string(root, {"server", "web_root"}, settings.web_root);
  while (settings.web_root.ends_with('/')) settings.web_root.pop_back();
  settings.istio_namespace = data::get_string(root, {"istio_namespace"}, settings.istio_namespace);
  settings.istio_namespace = data::get_string(
      root, {"external_services", "istio", "root_namespace"}, settings.istio_namespace);
  settings.prometheus_url =
      data::get_string(root, {"external_services", "prometheus", "url"},
                       fmt::format("http://prometheus.{}:9090", settings.istio_namespace));
  const auto internal = data::get_string(root, {"external_services", "tracing", "internal_url"});
  settings.tracing_url = data::get_string(
      root, {"external_services", "tracing", "in_cluster_url"},
      internal.empty() ? fmt::format("http://tracing.{}/jaeger", settings.istio_namespace)
                       : internal);
  while (settings.tracing_url.ends_with('/')) settings.tracing_url.pop_back();
  while (settings.prometheus_url.ends_with('/')) settings.prometheus_url.pop_back();
  return settings;
}

ApiReply KialiRole::handle(const ApiRequest& request) {
  std::string_view path = request.path;
  if (path == "/" && !settings_.web_root.empty())
    return ApiReply::redirect(settings_.web_root + "/");
  if (path.starts_with(settings_.web_root)) path.remove_prefix(settings_.web_root.size());
  if (path.empty()) return ApiReply::redirect(settings_.web_root + "/");
  if (path == "/healthz") return ApiReply::text("ok\n");
  if (path == "/metrics") return metrics();
  if (path == "/api" || path == "/api/") return status();
  if (path.starts_with("/api/")) return api(request, path.substr(5));
  if (path.starts_with("/assets/")) return serve_asset(request, path.substr(8));
  return serve_page({"kiali", settings_.web_root, "overview"});
}

ApiReply KialiRole::api(const ApiRequest& request, std::string_view path) {
  if (path == "status" || path == "healthz") return status();
  if (path == "auth/info") return ApiReply::json({{"strategy", "anonymous"}, {"sessionInfo", {}}});
  if (path == "namespaces/graph") return graph(request);
  if (path.starts_with("prometheus/")) return prometheus_.pass(request, path.substr(10));
  if (path.starts_with("tracing/")) return tracing(request, path.substr(8));
  if (path == "search") return ApiReply::json(dashboards_.list());
  if (path.starts_with("dashboards/uid/")) return dashboards_.serve(path.substr(15));
  return cluster(request, path);
}

ApiReply KialiRole::status() {
  return ApiReply::json({{"status", {{"Kiali state", "running"}, {"Lateen console", "1"}}},
                         {"prometheus", settings_.prometheus_url},
                         {"tracing", settings_.tracing_url},
                         {"istioNamespace", settings_.istio_namespace},
                         {"kubernetes", cluster_ != nullptr ? "connected" : cluster_error_}});
}

ApiReply KialiRole::graph(const ApiRequest& request) {
  const auto window = window_seconds(request);
  if (!window.ok()) return ApiReply::error(window.error());
  GraphOptions options;
  options.type = graph_type(request.get_or("graphType", "versionedApp"));
  options.namespaces = names_of(request.get_or("namespaces", ""));
  options.has_service_nodes = request.get_or("injectServiceNodes", "false") == "true";
  const GraphQueries queries =
      graph_queries(options.namespaces, fmt::format("{}s", window.value()));
  GraphSamples samples;
  const std::pair<const std::string*, std::vector<Sample>*> parts[] = {
      {&queries.requests, &samples.requests}, {&queries.tcp_bytes, &samples.tcp_bytes},
      {&queries.p50, &samples.p50},           {&queries.p95, &samples.p95},
      {&queries.p99, &samples.p99},           {&queries.security, &samples.security}};
  ++graphs_;
  for (const auto& [query, into] : parts) {
    auto found = prometheus_.query(*query);
    if (!found.ok()) {
      ++graph_failures_;
      return ApiReply::error(found.error());
    }
    *into = std::move(found).value();
  }
  const auto now = std::chrono::duration_cast<seconds>(clock_.wall().time_since_epoch()).count();
  return ApiReply::json(to_kiali_graph(build_graph(samples, options), now, window.value()));
}

ApiReply KialiRole::tracing(const ApiRequest& request, std::string_view path) {
  if (request.method != "GET") return ApiReply::text("GET only\n", 405);
  if (path.find("..") != std::string_view::npos) return ApiReply::error(not_found("no such API"));
  http::PlainRequest out;
  out.url = fmt::format("{}/api/{}", settings_.tracing_url, path);
  if (!request.raw_query.empty()) out.url += "?" + request.raw_query;
  out.timeout = kTracingLimit;
  auto response = http_.call(out).at("asking the tracing service at " + settings_.tracing_url);
  if (!response.ok()) return ApiReply::error(response.error());
  ApiReply reply;
  reply.status = response.value().status;
  reply.content_type = response.value().header("content-type");
  reply.body = std::move(response.value().body);
  reply.headers = {{"cache-control", "no-store"}};
  return reply;
}

ApiReply KialiRole::cluster(const ApiRequest& request, std::string_view path) {
  if (cluster_ == nullptr) return ApiReply::error(unavailable(cluster_error_));
  const std::string ns = request.get_or("namespace", "");
  if (path == "namespaces") return reply_of(cluster_->namespaces());
  if (path == "workloads") return reply_of(cluster_->workloads(ns));
  if (path == "services") return reply_of(cluster_->services(ns));
  if (path == "objects") return reply_of(cluster_->objects(ns));
  if (path == "mesh") return reply_of(cluster_->mesh());
  if (path == "object") {
    return reply_of(cluster_->object(request.get_or("kind", ""), ns, request.get_or("name", "")));
  }
  if (path == "logs") {
    const auto lines = std::clamp<std::int64_t>(request.number_or("lines", 200), 1, kMaxLogLines);
    const auto text = cluster_->logs(ns, request.get_or("pod", ""), request.get_or("container", ""),
                                     static_cast<int>(lines));
    return text.ok() ? ApiReply::text(text.value()) : ApiReply::error(text.error());
  }
  return ApiReply::error(not_found(fmt::format("no such API: {}", path)));
}

ApiReply KialiRole::metrics() const {
  return ApiReply::text(
      fmt::format("# TYPE kiali_graph_requests_total counter\nkiali_graph_requests_total {}\n"
                  "# TYPE kiali_graph_failures_total counter\nkiali_graph_failures_total {}\n",
                  graphs_.load(), graph_failures_.load()) +
          metrics::process_metrics(),
      200, "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace lateen::console
