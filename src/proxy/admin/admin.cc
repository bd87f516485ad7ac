// Paths and methods of the admin interface.

#include "proxy/admin/admin.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/log.h"
#include "base/strings.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/match/string_matcher.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {

namespace {

constexpr std::string_view kVersion = "lateen/1.40.0/Clean/RELEASE/OpenSSL";

std::string value_of(const std::vector<std::pair<std::string, std::string>>& query,
                     std::string_view name) {
  for (const auto& [key, value] : query)
    if (key == name) return value;
  return {};
}
bool has(const std::vector<std::pair<std::string, std::string>>& query, std::string_view name) {
  for (const auto& [key, value] : query)
    if (key == name) return true;
  return false;
}

std::string_view state_name(ServerState state) {
  switch (state) {
    case ServerState::kLive: return "LIVE";
    case ServerState::kDraining: return "DRAINING";
    case ServerState::kPreInitializing: return "PRE_INITIALIZING";
    case ServerState::kInitializing: return "INITIALIZING";
  }
  return "LIVE";
}

constexpr std::string_view kActions[] = {
    "/cpuprofiler", "/drain_listeners", "/healthcheck/fail", "/healthcheck/ok", "/heapprofiler",
    "/logging",     "/quitquitquit",    "/reopen_logs",      "/reset_counters", "/runtime_modify"};

constexpr std::string_view kHelp =
    "admin commands are:\n"
    "  /: this page\n"
    "  /certs: certificates\n"
    "  /clusters: upstream clusters and their hosts (format=json)\n"
    "  /config_dump: configuration (include_eds, resource, mask, name_regex)\n"
    "  /contention: mutex contention (not traced)\n"
    "  /cpuprofiler (POST): not in this build\n"
    "  /drain_listeners (POST): drain listeners (inboundonly, graceful)\n"
    "  /failures: what was refused or failed here lately, and which configuration decided it "
    "(limit)\n"
    "  /healthcheck/fail (POST), /healthcheck/ok (POST): answer of the health check filter\n"
    "  /heap_dump, /heapprofiler (POST): not in this build\n"
    "  /help: this page\n"
    "  /hot_restart_version\n"
    "  /init_dump: what the start still waits for\n"
    "  /listeners: addresses (format=json)\n"
    "  /logging (POST): levels of the log (level, paths, or a scope's name)\n"
    "  /memory\n"
    "  /quitquitquit (POST): end\n"
    "  /ready\n"
    "  /reopen_logs (POST)\n"
    "  /reset_counters (POST)\n"
    "  /runtime, /runtime_modify (POST): runtime layers\n"
    "  /server_info\n"
    "  /stats (filter, type, usedonly, format=json|prometheus), /stats/prometheus\n";

}  // namespace

Result<std::unique_ptr<Admin>> Admin::make(Server& server, const net::Address& address) {
  std::unique_ptr<Admin> made(new Admin(server));
  for (const auto& path : server.bootstrap().admin().allow_paths())
    made->allowed_.push_back(TRY(StringMatcher::compile(path).at("admin.allow_paths")));
  auto socket = TRY(net::listen_on(address).at("admin"));
  http::ServerOptions options;
  options.server_name = "envoy";
  made->http_ = std::make_unique<http::Server>(server.loop(), std::move(socket), *made, options);
  LOG(kInfo, "admin", "admin address: {}", made->address().to_string());
  return made;
}

Admin::~Admin() = default;

void Admin::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  const auto mark = request.path.find('?');
  const auto query =
      mark == std::string_view::npos ? Query() : parse_query(request.path.substr(mark + 1));
  const std::string_view path = request.path.substr(0, mark);
  const bool is_allowed =
      allowed_.empty() || std::any_of(allowed_.begin(), allowed_.end(),
                                      [&](const auto& one) { return one.matches(request.path); });
  Reply reply = is_allowed ? answer(request.method, path, query)
                           : Reply{403, "request to path " + std::string(path) + " not allowed"};
  auto response =
      http::Response::text(exchange.arena, reply.status, std::move(reply.body), reply.type);
  response.headers.add("cache-control", "no-cache, max-age=0");
  response.headers.add("x-content-type-options", "nosniff");
  done(std::move(response));
}

Admin::Reply Admin::answer(std::string_view method, std::string_view path, const Query& query) {
  constexpr const char* kJson = "application/json";
  if (path == "/config_dump") {
    const auto dump =
        config_dump(server_, {value_of(query, "resource"), value_of(query, "mask"),
                              value_of(query, "name_regex"), has(query, "include_eds")});
    if (dump.ok()) return {200, *dump, kJson};
    return {dump.error().code() == Code::kNotFound ? 404 : 400, dump.error().message()};
  }
  if (path == "/clusters") {
    if (value_of(query, "format") == "json") return {200, clusters_json(server_), kJson};
    return {200, clusters_text(server_)};
  }
  if (path == "/listeners") {
    if (value_of(query, "format") == "json") return {200, listeners_json(server_), kJson};
    return {200, listeners_text(server_)};
  }
  if (path == "/certs") return {200, certs_json(server_), kJson};
  if (path == "/stats" || path == "/stats/prometheus") return stats(path, query);
  if (path == "/server_info") return server_info();
  if (path == "/failures") return failures(query);
  if (path == "/ready") return ready();
  if (path == "/runtime") return runtime();
  if (path == "/hot_restart_version") return {200, "disabled"};
  if (path == "/memory") return memory();
  if (path == "/init_dump") return {200, init_dump(server_), kJson};
  if (path == "/contention")
    return {200,
            "Mutex contention tracing is not enabled. To enable, run Envoy with flag "
            "--enable-mutex-tracing.\n"};
  if (path == "/stats/recentlookups")
    return {200, "Lookup tracking is not enabled: there are no lookups here.\n\ntotal: 0\n"};
  if (path == "/heap_dump" || path == "/allocprofiler")
    return {501, "The current build does not support heap dumps\n"};
  if (path == "/" || path == "/help") return {200, std::string(kHelp)};
  for (const auto one : kActions)
    if (one == path)
      return method == "POST"
                 ? post_action(path, query)
                 : Reply{405, "Method " + std::string(method) + " not allowed, POST required."};
  return {404, "invalid path. " + std::string(kHelp)};
}

Admin::Reply Admin::post_action(std::string_view path, const Query& query) {
  if (path == "/logging") return logging(query);
  if (path == "/healthcheck/fail") server_.shared().is_health_check_failed = true;
  if (path == "/healthcheck/ok") server_.shared().is_health_check_failed = false;
  if (path == "/reopen_logs") server_.logs().reopen_all();
  if (path == "/reset_counters") reset_counters(server_);
  if (path == "/cpuprofiler" || path == "/heapprofiler")
    return {501, "The current build does not support the profiler\n"};
  if (path == "/runtime_modify") {
    const auto& layers = server_.bootstrap().layered_runtime().layers();
    if (std::none_of(layers.begin(), layers.end(),
                     [](const auto& layer) { return layer.has_admin_layer(); }))
      return {503, "No admin layer specified"};
    return {501, "Runtime values are read at the start: none can be changed here.\n"};
  }
  if (path == "/drain_listeners")
    server_.drain_listeners(has(query, "inboundonly"), has(query, "graceful"));
  if (path == "/quitquitquit") {
    LOG(kInfo, "admin", "quitquitquit: stopping");
    // After the answer is out.
    server_.loop().post([this] { server_.shut_down(milliseconds(0)); });
  }
  return {200, "OK\n"};
}

Admin::Reply Admin::logging(const Query& query) {
  if (apply_log_levels(query)) return {200, log_levels_text()};
  return {400,
          "error: unknown logger name or level\n\n"
          "usage: /logging?<name>=<level> (change single level)\n"
          "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
          "usage: /logging?level=<level> (change all levels)\n"
          "levels: trace debug info warning error critical off \n" +
              log_levels_text()};
}

Admin::Reply Admin::stats(std::string_view path, const Query& query) {
  StatsQuery asked;
  asked.filter = value_of(query, "filter");
  asked.is_used_only = has(query, "usedonly");
  if (!asked.filter.empty())
    if (const auto regex = Regex::compile(asked.filter); !regex.ok())
      return {400, "Invalid re2 regex: " + regex.error().message() + "\n"};
  if (const std::string type = value_of(query, "type"); !type.empty() && type != "All") {
    asked.has_counters = type == "Counters";
    asked.has_gauges = type == "Gauges";
    asked.has_histograms = type == "Histograms";
    if (!asked.has_counters && !asked.has_gauges && !asked.has_histograms && type != "TextReadouts")
      return {400, "invalid &type= param\n"};
  }
  const std::string format = value_of(query, "format");
  if (!format.empty() && format != "json" && format != "prometheus" && format != "text")
    return {400, "usage: /stats?format=(json|prometheus|text)\n\n"};
  server_.update_stats();
  if (path == "/stats/prometheus" || format == "prometheus")
    return {200, stats_prometheus(server_, asked), "text/plain; version=0.0.4"};
  if (format == "json") return {200, stats_json(server_, asked), "application/json"};
  return {200, stats_text(server_, asked)};
}

// The layers of the bootstrap. They are read at the start: nothing changes them later.
Admin::Reply Admin::runtime() {
  data::JsonArray layers;
  std::map<std::string, std::vector<std::string>> entries;
  const auto& configured = server_.bootstrap().layered_runtime().layers();
  std::size_t at = 0;
  const auto flatten = [&](const auto& self, const data::JsonObject& from,
                           const std::string& prefix) -> void {
    for (const auto& entry : from) {
      const std::string name = prefix + std::string(entry.key());
      if (const auto* object = entry.value().if_object()) {
        self(self, *object, name + ".");
        continue;
      }
      auto& values = entries[name];
      values.resize(static_cast<std::size_t>(configured.size()));
      values[at] = entry.value().is_string() ? std::string(data::as_string(entry.value()))
                                             : data::dump_json(entry.value());
    }
  };
  for (const auto& layer : configured) {
    layers.emplace_back(layer.name());
    const auto json = xds::struct_to_json(layer.static_layer());
    if (const auto* object = json.if_object()) flatten(flatten, *object, "");
    ++at;
  }
  data::JsonObject shown;
  for (const auto& [name, values] : entries) {
    data::JsonArray list;
    std::string last;
    for (const auto& value : values) {
      list.emplace_back(value);
      if (!value.empty()) last = value;
    }
    shown[name] = data::JsonObject{{"layer_values", std::move(list)}, {"final_value", last}};
  }
  return {200,
          data::dump_json_pretty(
              data::JsonObject{{"entries", std::move(shown)}, {"layers", std::move(layers)}}, 1) +
              "\n",
          "application/json"};
}

Admin::Reply Admin::memory() {
  const auto info = mallinfo2();
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  file >> total >> resident;
  const data::JsonObject made{
      {"allocated", std::to_string(info.uordblks)},
      {"heap_size", std::to_string(info.arena + info.hblkhd)},
      {"pageheap_unmapped", "0"},
      {"pageheap_free", std::to_string(info.fordblks)},
      {"total_thread_cache", "0"},
      {"total_physical_bytes",
       std::to_string(resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)))}};
  return {200, data::dump_json_pretty(made, 1) + "\n", "application/json"};
}

// What this proxy refused or could not do lately, and whose configuration decided that.
Admin::Reply Admin::failures(const Query& query) {
  const FailureStore& store = server_.shared().failures;
  const std::string asked = value_of(query, "limit");
  const auto limit =
      asked.empty() ? std::optional<std::uint64_t>(FailureStore::kMost) : parse_uint(asked);
  if (!limit) return {400, "limit is no number\n"};
  data::JsonArray list;
  for (const auto& one : store.last(*limit)) list.push_back(one.to_json());
  const data::JsonObject all{
      {"failures", std::move(list)}, {"total", store.total()}, {"skipped", store.skipped()}};
  return {200, data::dump_json_pretty(all, 1) + "\n", "application/json"};
}

Admin::Reply Admin::ready() {
  const ServerState state = server_.state();
  return {state == ServerState::kLive ? 200 : 503, std::string(state_name(state)) + "\n"};
}

Admin::Reply Admin::server_info() {
  envoy::admin::v3::ServerInfo info;
  info.set_version(std::string(kVersion));
  info.set_state(static_cast<envoy::admin::v3::ServerInfo::State>(server_.state()));
  info.set_hot_restart_version("disabled");
  const auto uptime = server_.loop().now() - server_.started();
  *info.mutable_uptime_current_epoch() = xds::to_duration(uptime);
  *info.mutable_uptime_all_epochs() = xds::to_duration(uptime);
  auto& options = *info.mutable_command_line_options();
  const Options& from = server_.options();
  options.set_concurrency(
      from.concurrency != 0 ? from.concurrency : std::max(1u, std::thread::hardware_concurrency()));
  options.set_config_path(from.config_path);
  options.set_log_level(from.log_level);
  options.set_service_node(server_.bootstrap().node().id());
  options.set_service_cluster(server_.bootstrap().node().cluster());
  *options.mutable_drain_time() = xds::to_duration(from.drain_time);
  *options.mutable_parent_shutdown_time() = xds::to_duration(from.parent_shutdown_time);
  *info.mutable_node() = server_.bootstrap().node();
  return {200, data::dump_json_pretty(xds::to_json(info), 1) + "\n", "application/json"};
}

}  // namespace lateen::proxy
