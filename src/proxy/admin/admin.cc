// Paths and methods of the admin interface.

#include "proxy/admin/admin.h"

#include <malloc.h>
#include <unistd.h>

#include "base/log.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
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

}  // namespace

Result<std::unique_ptr<Admin>> Admin::make(Server& server, const net::Address& address) {
  std::unique_ptr<Admin> made(new Admin(server));
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
  Reply reply = answer(request.method, request.path.substr(0, mark), query);
  auto response =
      http::Response::text(exchange.arena, reply.status, std::move(reply.body), reply.type);
  response.headers.add("cache-control", "no-cache, max-age=0");
  response.headers.add("x-content-type-options", "nosniff");
  done(std::move(response));
}

Admin::Reply Admin::answer(std::string_view method, std::string_view path, const Query& query) {
  constexpr const char* kJson = "application/json";
  if (path == "/config_dump") return {200, config_dump(server_, query), kJson};
  if (path == "/clusters") {
    if (value_of(query, "format") == "json") return {200, clusters_json(server_), kJson};
    return {200, clusters_text(server_)};
  }
  if (path == "/listeners") {
    if (value_of(query, "format") == "json") return {200, listeners_json(server_), kJson};
    return {200, listeners_text(server_)};
  }
  if (path == "/certs") return {200, certs_json(server_), kJson};
  if (path == "/stats" || path == "/stats/prometheus") {
    server_.update_stats();
    const bool is_used_only = has(query, "usedonly");
    const std::string filter = value_of(query, "filter");
    const std::string format = value_of(query, "format");
    if (path == "/stats/prometheus" || format == "prometheus")
      return {200, stats_prometheus(server_, filter, is_used_only), "text/plain; version=0.0.4"};
    if (format == "json") return {200, stats_json(server_, filter, is_used_only), kJson};
    return {200, stats_text(server_, filter, is_used_only)};
  }
  if (path == "/server_info") return server_info();
  if (path == "/ready") return ready();
  if (path == "/runtime") return {200, R"({"layers":[],"entries":{}})", kJson};
  if (path == "/hot_restart_version") return {200, "disabled"};
  if (path == "/memory") {
    const auto info = mallinfo2();
    data::JsonObject made;
    made["allocated"] = std::to_string(info.uordblks);
    made["heap_size"] = std::to_string(info.arena + info.hblkhd);
    return {200, data::dump_json_pretty(made, 1) + "\n", kJson};
  }
  if (path == "/init_dump") return {200, "{}\n", kJson};
  if (path == "/contention")
    return {200,
            "Mutex contention tracing is not enabled. To enable, run Envoy with flag "
            "--enable-mutex-tracing.\n"};
  if (path == "/" || path == "/help") {
    return {200,
            "admin commands are:\n  /certs\n  /clusters\n  /config_dump\n  /drain_listeners "
            "(POST)\n  /healthcheck/fail (POST)\n"
            "  /healthcheck/ok (POST)\n  /hot_restart_version\n  /listeners\n  /logging (POST)\n  "
            "/memory\n  /quitquitquit (POST)\n"
            "  /ready\n  /reopen_logs (POST)\n  /runtime\n  /server_info\n  /stats\n  "
            "/stats/prometheus\n"};
  }
  const bool is_action = path == "/logging" || path == "/quitquitquit" ||
                         path == "/drain_listeners" || path == "/healthcheck/fail" ||
                         path == "/healthcheck/ok" || path == "/reset_counters" ||
                         path == "/reopen_logs";
  if (!is_action) return {404, "invalid path. admin commands are at /help\n"};
  if (method != "POST") return {405, "Method Not Allowed"};
  return post_action(path, query);
}

Admin::Reply Admin::post_action(std::string_view path, const Query& query) {
  if (path == "/logging") return logging(query);
  if (path == "/healthcheck/fail") server_.shared().is_health_check_failed = true;
  if (path == "/healthcheck/ok") server_.shared().is_health_check_failed = false;
  if (path == "/reopen_logs") server_.logs().reopen_all();
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
  static constexpr std::pair<std::string_view, log::Level> kLevels[] = {
      {"trace", log::Level::kDebug},    {"debug", log::Level::kDebug},
      {"info", log::Level::kInfo},      {"warning", log::Level::kWarn},
      {"warn", log::Level::kWarn},      {"error", log::Level::kError},
      {"critical", log::Level::kError}, {"off", log::Level::kNone}};
  // Scopes are not told apart: the last level asked for holds for all of them.
  for (const auto& [name, value] : query) {
    std::string level = value;
    if (const auto pair = split_once(value, ":"); pair && name == "paths") level = pair->second;
    for (const auto& [word, one] : kLevels)
      if (level == word) log::set_level(one);
  }
  std::string_view shown = "info";
  for (const auto& [word, one] : kLevels)
    if (one == log::level() && word != "trace" && word != "warn" && word != "critical")
      shown = word;
  std::string body = "active loggers:\n";
  for (const char* scope :
       {"admin", "client", "config", "connection", "filter", "http", "http2", "jwt", "main", "misc",
        "pool", "rbac", "router", "secret", "tracing", "upstream", "xds"})
    body += "  " + std::string(scope) + ": " + std::string(shown) + "\n";
  return {200, body};
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
