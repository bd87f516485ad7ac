// Readiness asks the proxy's own statistics, as istio-agent does, so it holds for a stock Envoy
// too.
#include "agent/status_server.h"

#include <map>

#include "agent/local_call.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/socket.h"

namespace lateen::agent {
namespace {

constexpr char kReadyStats[] =
    "/stats?usedonly&filter=^(server.state|listener_manager.workers_started|cluster_manager.cds."
    "update_success|"
    "cluster_manager.cds.update_rejected|listener_manager.lds.update_success|listener_manager.lds."
    "update_rejected)$";

void reply(http::Exchange& exchange, http::Done& done, int status, std::string text) {
  done(http::Response::text(exchange.arena, status, std::move(text)));
}

net::Address loopback(int port) {
  return net::Address(net::Ip::v4(0x7f000001), static_cast<std::uint16_t>(port));
}

bool is_local(const http::Exchange& exchange) {
  return exchange.connection.remote.ip().is_loopback();
}

// Prometheus' exposition ends with "# EOF" in OpenMetrics: only one may remain of several sources,
// at the end.
void append_metrics(std::string& into, std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    if (!line.starts_with("# EOF")) (into += line) += '\n';
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

// Collects the proxy's and the application's metrics, then answers once.
struct Merge {
  http::Exchange& exchange;
  http::Done done;
  int waiting = 0;
  std::string text;
  void arrived() {
    if (--waiting > 0) return;
    done(http::Response::text(exchange.arena, 200, std::move(text),
                              "text/plain; version=0.0.4; charset=utf-8"));
  }
};

}  // namespace

std::string not_ready_reason(std::string_view stats) {
  std::map<std::string, std::int64_t, std::less<>> values;
  for (const auto line : split(stats, '\n')) {
    const auto pair = split_once(line, ":");
    if (pair) values[std::string(trim(pair->first))] = parse_int(trim(pair->second)).value_or(0);
  }
  const auto value = [&](std::string_view name) {
    const auto at = values.find(name);
    return at == values.end() ? 0 : at->second;
  };
  if (value("cluster_manager.cds.update_success") + value("cluster_manager.cds.update_rejected") ==
      0) {
    return "the proxy has received no clusters (CDS) from the control plane yet";
  }
  if (value("listener_manager.lds.update_success") +
          value("listener_manager.lds.update_rejected") ==
      0) {
    return "the proxy has received no listeners (LDS) from the control plane yet";
  }
  if (value("listener_manager.workers_started") == 0) return "the proxy's workers have not started";
  const auto state = values.find("server.state");
  if (state != values.end() && state->second != 0)
    return "the proxy is not live (server.state " + std::to_string(state->second) + ")";
  return "";
}

Result<std::map<std::string, AppProbe>> parse_app_probers(std::string_view json) {
  std::map<std::string, AppProbe> probes;
  if (json.empty()) return probes;
  const data::Json parsed = TRY(data::parse_json(json).at("ISTIO_KUBE_APP_PROBERS"));
  for (const auto& member : data::get_object(parsed, {})) {
    const data::Json& spec = member.value();
    AppProbe probe;
    probe.limit = seconds(data::get_int(spec, {"timeoutSeconds"}, 1));
    if (const auto* http = data::find(spec, {"httpGet"})) {
      probe.port = static_cast<int>(data::get_int(*http, {"port"}));
      probe.path = std::string(data::get_string(*http, {"path"}, "/"));
      if (!probe.path.starts_with('/')) probe.path.insert(0, "/");
      probe.host = std::string(data::get_string(*http, {"host"}));
      probe.is_tls = iequals(data::get_string(*http, {"scheme"}), "https");
      for (const auto& header : data::get_array(*http, {"httpHeaders"})) {
        probe.headers.emplace_back(data::get_string(header, {"name"}),
                                   data::get_string(header, {"value"}));
      }
    } else if (const auto* tcp = data::find(spec, {"tcpSocket"})) {
      probe.kind = AppProbe::Kind::kTcp;
      probe.port = static_cast<int>(data::get_int(*tcp, {"port"}));
    } else {
      return invalid("ISTIO_KUBE_APP_PROBERS: " + std::string(member.key()) +
                     ": expected httpGet or tcpSocket");
    }
    if (probe.port <= 0 || probe.port > 65535)
      return invalid("ISTIO_KUBE_APP_PROBERS: " + std::string(member.key()) + ": bad port");
    probes[std::string(member.key())] = std::move(probe);
  }
  return probes;
}

StatusServer::StatusServer(event::Loop& loop, const Options& options, Hooks hooks)
    : loop_(loop), options_(options), hooks_(std::move(hooks)) {}
StatusServer::~StatusServer() = default;

Result<std::unique_ptr<StatusServer>> StatusServer::start(event::Loop& loop, const Options& options,
                                                          Hooks hooks) {
  std::unique_ptr<StatusServer> server(new StatusServer(loop, options, std::move(hooks)));
  server->probes_ = TRY(parse_app_probers(options.app_probers_json));
  Fd fd =
      TRY(net::listen_on(net::Address(net::Ip(), static_cast<std::uint16_t>(options.status_port)))
              .at("the agent's status port"));
  http::ServerOptions server_options;
  server_options.server_name = "";
  server->server_ = std::make_unique<http::Server>(loop, std::move(fd), *server, server_options);
  return server;
}

void StatusServer::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  const auto path = request.path.substr(0, request.path.find('?'));
  if (path == "/healthz/ready") return answer_ready(exchange, std::move(done));
  if (path == "/stats/prometheus" || path == "/metrics")
    return answer_metrics(exchange, request, std::move(done));
  if (path == "/quitquitquit" || path == "/drain") {
    if (!is_local(exchange)) return reply(exchange, done, 403, "only from inside the pod\n");
    if (request.method != "POST") return reply(exchange, done, 405, "use POST\n");
    reply(exchange, done, 200, "OK");
    is_told_to_drain_ = true;
    if (path == "/drain") hooks_.drain();
    else hooks_.quit();
    return;
  }
  if (path.starts_with("/app-health/")) {
    const auto probe = probes_.find(std::string(path));
    if (probe != probes_.end())
      return answer_probe(exchange, request, probe->second, std::move(done));
    return reply(exchange, done, 400, "no such probe: " + std::string(path) + "\n");
  }
  reply(exchange, done, 404, "not found\n");
}

void StatusServer::answer_ready(http::Exchange& exchange, http::Done done) {
  if (is_draining_) return reply(exchange, done, 503, "the pod is shutting down\n");
  const int start = hooks_.proxy_starts ? hooks_.proxy_starts() : -1;
  if (start >= 0 && start == ready_start_ && !is_told_to_drain_)
    return reply(exchange, done, 200, "");
  LocalCall call;
  call.to = loopback(options_.admin_port);
  call.path = kReadyStats;
  auto shared = std::make_shared<http::Done>(std::move(done));
  call_local(exchange.scope, loop_, std::move(call),
             [this, &exchange, shared, start](Result<LocalReply> stats) {
               const std::string reason =
                   stats ? not_ready_reason(stats->body)
                         : "the proxy does not answer: " + stats.error().message();
               if (reason.empty() && !std::exchange(was_ready_, true))
                 LOG(kInfo, "status", "the proxy is ready");
               if (reason.empty()) ready_start_ = start;
               if (reason.empty()) return reply(exchange, *shared, 200, "");
               reply(exchange, *shared, 503, reason + "\n");
             });
}

void StatusServer::answer_metrics(http::Exchange& exchange, const http::Request& request,
                                  http::Done done) {
  auto merge = std::make_shared<Merge>(Merge{exchange, std::move(done), 1, {}});
  const auto add = [merge](std::string_view what, Result<LocalReply> answer) {
    if (answer && answer->status == 200) append_metrics(merge->text, answer->body);
    else
      LOG(kDebug, "status", "no metrics from {}: {}", what,
          answer ? std::to_string(answer->status) : answer.error().message());
    merge->arrived();
  };
  const auto scrape =
      data::parse_json(options_.prometheus_json.empty() ? "{}" : options_.prometheus_json);
  if (scrape && data::get_string(*scrape, {"scrape"}) == "true") {
    LocalCall app;
    app.to = loopback(
        static_cast<int>(parse_int(data::get_string(*scrape, {"port"}, "80")).value_or(80)));
    app.path = std::string(data::get_string(*scrape, {"path"}, "/metrics"));
    if (const auto accept = request.headers.get("accept"))
      app.headers.emplace_back("accept", *accept);
    ++merge->waiting;
    call_local(exchange.scope, loop_, std::move(app),
               [add](Result<LocalReply> answer) { add("the application", std::move(answer)); });
  }
  LocalCall proxy;
  proxy.to = loopback(options_.envoy_prometheus_port);
  proxy.path = "/stats/prometheus";
  call_local(exchange.scope, loop_, std::move(proxy),
             [add](Result<LocalReply> answer) { add("the proxy", std::move(answer)); });
}

void StatusServer::answer_probe(http::Exchange& exchange, const http::Request& request,
                                const AppProbe& probe, http::Done done) {
  // To the pod's own address: an application that listens on it alone must be reachable too.
  const auto ip = net::Ip::parse(options_.ips.front());
  const net::Address to(ip ? *ip : net::Ip::v4(0x7f000001), static_cast<std::uint16_t>(probe.port));
  auto shared = std::make_shared<http::Done>(std::move(done));
  if (probe.kind == AppProbe::Kind::kTcp) {
    net::dial(exchange.scope, loop_, to, probe.limit,
              [&exchange, shared](Result<std::unique_ptr<net::Stream>> stream) {
                reply(exchange, *shared, stream ? 200 : 500,
                      stream ? "" : stream.error().message());
              });
    return;
  }
  LocalCall call;
  call.to = to;
  call.path = probe.path;
  call.is_tls = probe.is_tls;
  call.limit = probe.limit;
  call.host = probe.host.empty() ? to.to_string() : probe.host;
  for (const auto& [name, value] : probe.headers) {
    if (iequals(name, "host")) call.host = value;
    else call.headers.emplace_back(name, value);
  }
  if (const auto agent = request.headers.get("user-agent"))
    call.headers.emplace_back("user-agent", *agent);
  call_local(exchange.scope, loop_, std::move(call),
             [&exchange, shared](Result<LocalReply> answer) {
               if (!answer) return reply(exchange, *shared, 500, answer.error().message() + "\n");
               reply(exchange, *shared, answer->status, std::move(answer->body));
             });
}

}  // namespace lateen::agent
