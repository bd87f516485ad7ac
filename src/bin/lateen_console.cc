// `lateen console kiali|jaeger|grafana|zipkin [FLAGS]`: the console in one of its roles. Wiring
// only. Flags of the programs that it stands in for are taken; those that mean nothing here are
// ignored.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "bin/commands.h"
#include "bin/console_prometheus.h"
#include "console/roles/grafana.h"
#include "console/roles/jaeger.h"
#include "console/roles/kiali.h"
#include "event/epoll_loop.h"
#include "event/signals.h"
#include "http/serve.h"

namespace lateen::bin {
namespace {

using console::ApiRequest;

constexpr int kWorkerThreads = 4;
constexpr milliseconds kDrainLimit{3'000};

struct Port {
  std::uint16_t number;
  const char* purpose;
  console::Handler handler;
  bool is_needed = true;  // else its loss is logged and the rest serves on
};

// Serves until SIGTERM.
Result<> serve(std::vector<Port> ports) {
  SystemClock clock;
  auto loop = TRY(event::make_epoll_loop(clock, system_random()));
  // Before the workers: a job under way still uses its service when the workers end.
  std::vector<std::unique_ptr<console::Dispatcher>> services;
  console::Workers workers(kWorkerThreads);
  std::vector<std::unique_ptr<http::Server>> servers;
  for (Port& port : ports) {
    auto listening = http::listen_on_both_families(port.number);
    if (!listening.ok()) {
      if (port.is_needed) return std::move(listening).error().at(port.purpose);
      LOG(kWarn, "console", "{} is not served: {}", port.purpose, listening.error().message());
      continue;
    }
    LOG(kInfo, "console", "{} on port {}", port.purpose, port.number);
    services.push_back(std::make_unique<console::Dispatcher>(workers, std::move(port.handler)));
    servers.push_back(
        std::make_unique<http::Server>(*loop, std::move(listening).value(), *services.back()));
  }
  return http::serve_until_told(*loop, servers, kDrainLimit);
}

std::string environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return errno_error("reading " + path, errno);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The value of -NAME V, --NAME V, -NAME=V or --NAME=V.
std::string flag(const std::vector<std::string>& arguments, const std::string& name) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    for (const std::string& dashes : {std::string("--"), std::string("-")}) {
      const std::string spelled = dashes + name;
      if (arguments[i] == spelled && i + 1 < arguments.size()) return arguments[i + 1];
      if (arguments[i].starts_with(spelled + "=")) return arguments[i].substr(spelled.size() + 1);
    }
  }
  return "";
}

Result<> run_kiali(const std::vector<std::string>& arguments) {
  event::block_signals({SIGTERM, SIGINT});
  const std::string file = flag(arguments, "config");
  const std::string yaml = file.empty() ? std::string("{}") : TRY(read_file(file));
  const auto settings = TRY(console::read_kiali_settings(yaml).at(file));
  SystemClock clock;
  http::BlockingClient http;
  std::unique_ptr<kube::Client> kube;
  std::unique_ptr<console::ClusterView> cluster;
  std::string why_not;
  auto config = kube::in_cluster_config();
  if (!config.ok()) config = kube::load_kubeconfig(flag(arguments, "kubeconfig"));
  auto connected = config.ok() ? kube::connect(config.value())
                               : Result<std::unique_ptr<kube::Client>>(config.error());
  if (connected.ok()) {
    kube = std::move(connected).value();
    cluster = std::make_unique<console::ClusterView>(*kube, http, settings.istio_namespace);
  } else {
    why_not = connected.error().message();
    LOG(kWarn, "console", "no API server: {}", why_not);
  }
  const auto dashboards = console::Dashboards::load("");
  console::KialiRole role(settings, http, cluster.get(), why_not, dashboards, clock);
  std::vector<Port> ports;
  ports.push_back({settings.port, "console", [&](const ApiRequest& r) { return role.handle(r); }});
  ports.push_back(
      {settings.metrics_port, "metrics", [&](const ApiRequest&) { return role.metrics(); }, false});
  return serve(std::move(ports));
}

// Where upstream's environment says that spans are kept; else a place of ours.
std::string trace_folder() {
  if (const auto own = environment("LATEEN_DATA_DIR"); !own.empty()) return own;
  if (const auto badger = environment("BADGER_DIRECTORY_VALUE"); !badger.empty()) {
    return std::filesystem::path(badger).parent_path();
  }
  std::error_code error;
  if (std::filesystem::is_directory("/badger", error)) return "/badger";
  return std::filesystem::temp_directory_path(error);
}

Result<std::unique_ptr<console::TraceStore>> open_store() {
  console::TraceStoreLimits limits;
  const std::string folder = trace_folder();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  auto store = console::TraceStore::open(folder + "/lateen-traces.db", limits);
  if (store.ok()) return store;
  LOG(kWarn, "console", "traces are kept in memory only: {}", store.error().message());
  return console::TraceStore::open(":memory:", limits);
}

// The port in an environment variable of upstream's: "9411", ":9411" or "0.0.0.0:9411".
std::uint16_t port_from(const char* name, std::uint16_t fallback) {
  const std::string text = environment(name);
  const auto port = parse_uint(std::string_view(text).substr(text.rfind(':') + 1));
  return port && *port > 0 && *port < 65536 ? static_cast<std::uint16_t>(*port) : fallback;
}

Result<> run_jaeger() {
  event::block_signals({SIGTERM, SIGINT});
  SystemClock clock;
  const auto store = TRY(open_store());
  console::JaegerRole role(*store, clock);
  const auto query = [&](const ApiRequest& r) { return role.query(r); };
  const auto zipkin = [&](const ApiRequest& r) { return role.zipkin(r); };
  const auto otlp = [&](const ApiRequest& r) { return role.otlp(r); };
  const auto admin = [&](const ApiRequest& r) { return role.admin(r); };
  std::vector<Port> ports;
  const std::uint16_t zipkin_port =
      port_from("COLLECTOR_ZIPKIN_HOST_PORT", port_from("COLLECTOR_ZIPKIN_HTTP_PORT", 9411));
  ports.push_back({port_from("QUERY_HTTP_SERVER_HOST_PORT", 16686), "trace search", query});
  ports.push_back({zipkin_port, "Zipkin intake", zipkin});
  ports.push_back({port_from("COLLECTOR_OTLP_HTTP_HOST_PORT", 4318), "OTLP intake", otlp, false});
  ports.push_back({port_from("COLLECTOR_OTLP_GRPC_HOST_PORT", 4317), "OTLP intake over gRPC",
                   [&](const ApiRequest& r) { return role.otlp_grpc(r); }, false});
  ports.push_back({port_from("COLLECTOR_GRPC_SERVER_HOST_PORT", 14250), "Jaeger intake over gRPC",
                   [&](const ApiRequest& r) { return role.jaeger_grpc(r); }, false});
  ports.push_back({port_from("COLLECTOR_HTTP_SERVER_HOST_PORT", 14268), "Jaeger intake",
                   [&](const ApiRequest& r) { return role.jaeger_thrift(r); }, false});
  ports.push_back({port_from("ADMIN_HTTP_HOST_PORT", 14269), "health", admin, false});
  ports.push_back({13133, "health", admin, false});
  ports.push_back({8888, "metrics", admin, false});
  return serve(std::move(ports));
}

Result<> run_grafana(const std::vector<std::string>& arguments) {
  event::block_signals({SIGTERM, SIGINT});
  http::BlockingClient http;
  std::string provisioning = environment("GF_PATHS_PROVISIONING");
  if (provisioning.empty()) provisioning = "/etc/grafana/provisioning";
  std::string url = flag(arguments, "prometheus");
  const auto sources = read_file(provisioning + "/datasources/datasources.yaml");
  if (url.empty() && sources.ok()) url = console::prometheus_in_datasources(sources.value());
  if (url.empty()) url = "http://prometheus:9090";
  std::string data = environment("GF_PATHS_DATA");
  if (data.empty()) data = "/var/lib/grafana";
  const auto dashboards = console::Dashboards::load(data + "/dashboards");
  console::GrafanaRole role(http, dashboards, url);
  std::vector<Port> ports;
  ports.push_back({port_from("GF_SERVER_HTTP_PORT", 3000), "dashboards",
                   [&](const ApiRequest& r) { return role.handle(r); }});
  return serve(std::move(ports));
}

int usage() {
  std::fprintf(stderr,
               "usage: lateen console ROLE [FLAGS]\n\n"
               "  kiali             mesh console on 20001 (-config FILE)\n"
               "  jaeger, zipkin    traces: search on 16686, intake on 9411 and 4318\n"
               "  grafana           dashboards on 3000\n"
               "  prometheus        Debian's Prometheus with Kubernetes service discovery\n"
               "  configmap-reload  posts to a URL when a mounted ConfigMap changes\n");
  return 2;
}

}  // namespace
}  // namespace lateen::bin

int run_console(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  // Kiali's Deployment names its program: `/opt/kiali/kiali -config FILE`.
  const std::string_view program = argv[0];
  if (program == "kiali" || program.ends_with("/kiali"))
    arguments.insert(arguments.begin(), "kiali");
  if (arguments.empty()) return lateen::bin::usage();
  const std::string& role = arguments[0];
  if (role == "prometheus") return lateen::bin::run_prometheus(arguments);
  lateen::Result<> result;
  if (role == "kiali") {
    result = lateen::bin::run_kiali(arguments);
  } else if (role == "jaeger" || role == "zipkin") {
    result = lateen::bin::run_jaeger();
  } else if (role == "grafana") {
    result = lateen::bin::run_grafana(arguments);
  } else if (role == "configmap-reload") {
    result = lateen::bin::run_configmap_reload(arguments);
  } else {
    return lateen::bin::usage();
  }
  if (result.ok()) return 0;
  LOG(kError, "console", "{}", result.error().message());
  return 1;
}
