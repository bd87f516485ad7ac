// `operator server`, also `lateen operator server`: the in-cluster operator. Wiring only.
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "bin/commands.h"
#include "event/epoll_loop.h"
#include "http/server.h"
#include "install/version.h"
#include "operator/controller.h"
#include "operator/leader.h"

namespace lateen::bin {
namespace {

struct OperatorFlags {
  std::string metrics_host = "0.0.0.0";
  int metrics_port = 8383;
  std::string log_level = "default:info";
  std::string kubeconfig;
  std::string manifests;
};

std::string environment(const char* name, const char* fallback = "") {
  const char* value = std::getenv(name);
  return value != nullptr ? value : fallback;
}

// Prometheus text for /metrics, readiness for everything else.
class MetricsService final : public http::Service {
 public:
  explicit MetricsService(const std::atomic<op::Controller*>& controller)
      : controller_(controller) {}
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    if (request.path.starts_with("/metrics"))
      return done(
          http::Response::text(exchange.arena, 200, metrics(), "text/plain; version=0.0.4"));
    done(http::Response::text(exchange.arena, 200, "ok\n"));
  }

 private:
  std::string metrics() const {
    const auto* controller = controller_.load();
    const auto counts = controller != nullptr ? controller->counts() : op::Controller::Counts{};
    std::string out =
        "istio_install_operator_version{version=\"" + std::string(install::kVersion) + "\"} 1\n";
    const auto add = [&](const char* name, const char* type, std::uint64_t value) {
      out += std::string("# TYPE ") + name + " " + type + "\n" + name + " " +
             std::to_string(value) + "\n";
    };
    add("istio_install_operator_cr_merge_total", "counter", counts.reconciled);
    add("istio_install_operator_cr_merge_failure_total", "counter", counts.failed);
    add("istio_install_operator_resource_creation_total", "counter", counts.applied);
    add("istio_install_operator_resource_prune_total", "counter", counts.pruned);
    add("istio_install_operator_owned_operators", "gauge", counts.operators);
    add("istio_install_operator_is_leader", "gauge", controller != nullptr);
    return out;
  }
  const std::atomic<op::Controller*>& controller_;
};

op::ControllerOptions options_from_environment() {
  op::ControllerOptions options;
  for (const auto ns : split(environment("WATCH_NAMESPACE"), ',')) {
    if (!trim(ns).empty()) options.namespaces.emplace_back(trim(ns));
  }
  options.revision = environment("REVISION");
  if (auto limit = parse_duration(environment("WAIT_FOR_RESOURCES_TIMEOUT", "300s"));
      limit && limit.value().count() > 0) {
    options.ready_limit = std::chrono::duration_cast<milliseconds>(*limit);
  }
  return options;
}

Result<std::unique_ptr<kube::Client>> connect(const OperatorFlags& flags) {
  if (flags.kubeconfig.empty()) {
    if (auto inside = kube::in_cluster_config()) return kube::connect(*inside);
  }
  return kube::connect(TRY(kube::load_kubeconfig(flags.kubeconfig)));
}

// Leads, controls, and stops either on a signal or because another took the lease.
Result<int> control(kube::Client& client, const Clock& clock, install::Charts& charts,
                    std::atomic<op::Controller*>& shown, const std::function<bool()>& should_stop) {
  op::ControllerOptions options = options_from_environment();
  LOG(kInfo, "operator", "watching IstioOperators in {}",
      options.namespaces.empty() ? "all namespaces" : environment("WATCH_NAMESPACE"));
  const std::string lease_ns = environment("LEADER_ELECTION_NAMESPACE");
  std::unique_ptr<op::Leader> leader;
  if (lease_ns.empty()) {
    LOG(kWarn, "operator",
        "LEADER_ELECTION_NAMESPACE is not set: this operator assumes that it is the only one");
  } else {
    op::LeaderOptions election;
    election.lease = {
        lease_ns, "istio-operator-lock" + (options.revision.empty() ? "" : "-" + options.revision)};
    election.identity = environment("POD_NAME", "operator");
    leader = std::make_unique<op::Leader>(client, clock, election);
    if (!leader->acquire(should_stop)) return 0;
  }
  op::Controller controller(client, clock, charts, std::move(options));
  controller.start();
  shown = &controller;
  bool is_orderly = true;
  if (leader != nullptr) {
    is_orderly = leader->keep(should_stop);
  } else {
    while (!should_stop()) std::this_thread::sleep_for(milliseconds(100));
  }
  shown = nullptr;
  if (is_orderly) return 0;
  LOG(kError, "operator", "another operator took the lease; leaving the work to it");
  return 1;
}

int serve(const OperatorFlags& flags) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  pthread_sigmask(SIG_BLOCK, &wanted, nullptr);

  SystemClock clock;
  auto client = connect(flags);
  if (!client) {
    LOG(kError, "operator", "no API server: {}", client.error().message());
    return 1;
  }
  auto loop = event::make_epoll_loop(clock, system_random());
  auto address = net::Address::parse(flags.metrics_host + ":" + std::to_string(flags.metrics_port));
  if (!loop || !address) {
    LOG(kError, "operator", "{}", loop ? address.error().message() : loop.error().message());
    return 1;
  }
  std::atomic<op::Controller*> shown{nullptr};
  MetricsService service(shown);
  auto listening = net::listen_on(*address);
  if (!listening) LOG(kWarn, "operator", "metrics are not served: {}", listening.error().message());
  std::unique_ptr<http::Server> server;
  if (listening) server = std::make_unique<http::Server>(**loop, *std::move(listening), service);
  std::thread web([&] { (*loop)->run(); });

  std::atomic<bool> is_stopping{false};
  std::atomic<bool> is_over{false};
  std::thread signals([&] {
    while (!is_over) {
      if (sigwaitinfo(&wanted, nullptr) > 0) is_stopping = true;
    }
  });
  install::Charts charts(flags.manifests);
  const auto status = control(**client, clock, charts, shown, [&] { return is_stopping.load(); });
  if (!status) LOG(kError, "operator", "{}", status.error().message());
  is_over = true;
  pthread_kill(signals.native_handle(), SIGTERM);  // ends its waiting
  signals.join();
  (*loop)->stop();
  web.join();
  return status ? status.value() : 1;
}

}  // namespace
}  // namespace lateen::bin

int run_operator(int argc, char** argv) {
  CLI::App app("The Istio operator.", "operator");
  app.require_subcommand(1);
  lateen::bin::OperatorFlags flags;
  auto* server = app.add_subcommand("server", "Starts the Istio operator server");
  server->add_option("--monitoring-host", flags.metrics_host, "Address for metrics")
      ->capture_default_str();
  server->add_option("--monitoring-port", flags.metrics_port, "Port for metrics")
      ->capture_default_str();
  server->add_option("--log_output_level", flags.log_level, "SCOPE:LEVEL, comma-separated");
  server->add_option("--kubeconfig", flags.kubeconfig, "Outside a cluster: the kubeconfig to use");
  server->add_option("-d,--manifests", flags.manifests,
                     "Directory of charts and profiles instead of the built-in ones");
  // Flags of upstream's that change nothing here (ControlZ, log rotation) are taken.
  server->allow_extras();
  auto* version = app.add_subcommand("version", "Prints out build version information");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  if (version->parsed()) {
    std::printf("version: %s\n", std::string(lateen::install::kVersion).c_str());
    return 0;
  }
  const bool is_debug = flags.log_level.find("debug") != std::string::npos;
  lateen::log::set_level(is_debug ? lateen::log::Level::kDebug : lateen::log::Level::kInfo);
  return lateen::bin::serve(flags);
}
