// A dead proxy is restarted in place: the pod's other containers keep running, and its last good
// config comes back with the first answer of the control plane.
#include "agent/proxy_process.h"

#include <csignal>
#include <cstdlib>

#include "agent/bootstrap.h"
#include "agent/local_call.h"
#include "base/log.h"
#include "base/strings.h"
#include "linux/files.h"

extern char** environ;

namespace lateen::agent {
namespace {

constexpr seconds kRestartWindow{60};
constexpr seconds kKillAfter{5};
constexpr seconds kIdlePoll{1};

bool is_our_proxy(const std::string& binary) {
  // In our images `envoy` is lateen-proxy; a stock image brings its own.
  return os::path_exists("/usr/local/bin/lateen-proxy") || binary.ends_with("lateen-proxy");
}

}  // namespace

std::vector<std::string> proxy_arguments(const Options& options,
                                         const std::string& bootstrap_file) {
  std::vector<std::string> arguments{
      options.binary_path,
      "-c",
      bootstrap_file,
      "--drain-time-s",
      std::to_string(options.drain_duration.count()),
      "--drain-strategy",
      "immediate",
      "--local-address-ip-version",
      options.ips.front().find(':') == std::string::npos ? "v4" : "v6",
      "--file-flush-interval-msec",
      "1000",
      "--disable-hot-restart",
      "--allow-unknown-static-fields",
      "-l",
      options.proxy_log_level};
  if (!options.component_log_level.empty()) {
    arguments.insert(arguments.end(), {"--component-log-level", options.component_log_level});
  }
  const int concurrency = options.concurrency.value_or(options.role == Role::kSidecar ? 2 : 0);
  if (concurrency > 0)
    arguments.insert(arguments.end(), {"--concurrency", std::to_string(concurrency)});
  return arguments;
}

ProxyProcess::ProxyProcess(event::Loop& loop, const Options& options, Function<void()> given_up)
    : loop_(loop), options_(options), given_up_(std::move(given_up)), kill_timer_(loop, [this] {
        LOG(kWarn, "proxy", "the proxy did not end within {} s of being asked; killing it",
            kKillAfter.count());
        child_.signal(SIGKILL);
      }) {}

Result<> ProxyProcess::start() {
  TRY(os::make_directories(options_.config_path).at("the proxy's configuration folder"));
  bootstrap_file_ = options_.config_path + "/envoy-rev.json";
  const data::Json bootstrap = make_bootstrap(options_, is_our_proxy(options_.binary_path));
  TRY(os::write_file_atomic(bootstrap_file_, data::dump_json_pretty(bootstrap)));
  return spawn();
}

Result<> ProxyProcess::spawn() {
  ++starts_;
  os::SpawnPlan plan;
  plan.programs = {options_.binary_path};
  plan.arguments = proxy_arguments(options_, bootstrap_file_);
  for (char** entry = environ; *entry != nullptr; ++entry) plan.environment.emplace_back(*entry);
  plan.stdout_fd = STDOUT_FILENO;
  plan.stderr_fd = STDERR_FILENO;
  plan.parent_death_signal = SIGTERM;
  child_ = TRY(os::spawn(plan).at("starting the proxy"));
  watch_ = loop_.watch(child_.pidfd(), [this](event::FdWatch::Ready) { ended(); });
  return {};
}

void ProxyProcess::ended() {
  watch_.reset();
  kill_timer_.cancel();
  const auto status = child_.wait();
  if (is_stopping_) {
    if (stopped_) std::exchange(stopped_, nullptr)();
    return;
  }
  LOG(kWarn, "proxy", "the proxy ended ({}); starting it again",
      !status               ? status.error().message()
      : status->signal != 0 ? "signal " + std::to_string(status->signal)
                            : "exit code " + std::to_string(status->code));
  if (loop_.now() - restarts_since_ > kRestartWindow) {
    restarts_since_ = loop_.now();
    restarts_ = 0;
  }
  if (++restarts_ > kMostRestarts) return given_up_();
  if (auto started = spawn(); !started) {
    LOG(kError, "proxy", "{}", started.error().message());
    given_up_();
  }
}

void ProxyProcess::drain() {
  LocalCall call;
  call.to = net::Address(net::Ip::v4(0x7f000001), static_cast<std::uint16_t>(options_.admin_port));
  call.method = "POST";
  call.path = options_.role == Role::kSidecar ? "/drain_listeners?inboundonly&graceful&skip_exit"
                                              : "/drain_listeners?graceful&skip_exit";
  call_local(scope_, loop_, std::move(call), [](Result<LocalReply> answer) {
    if (!answer) LOG(kWarn, "proxy", "asking the proxy to drain: {}", answer.error().message());
  });
}

void ProxyProcess::drain_and_stop(Function<void()> done) {
  is_stopping_ = true;
  drain();
  if (options_.is_exit_on_zero_connections) {
    event::after(scope_, loop_, options_.minimum_drain,
                 [this, done = std::move(done)]() mutable { wait_until_idle(std::move(done)); });
    return;
  }
  LOG(kInfo, "proxy", "draining for {} s", options_.termination_drain.count());
  event::after(scope_, loop_, options_.termination_drain,
               [this, done = std::move(done)]() mutable { stop(std::move(done)); });
}

void ProxyProcess::wait_until_idle(Function<void()> done) {
  LocalCall call;
  call.to = net::Address(net::Ip::v4(0x7f000001), static_cast<std::uint16_t>(options_.admin_port));
  call.path = "/stats?usedonly&filter=downstream_cx_active$";
  call_local(scope_, loop_, std::move(call),
             [this, done = std::move(done)](Result<LocalReply> answer) mutable {
               std::int64_t active = 0;
               for (const auto line :
                    split(answer ? std::string_view(answer->body) : std::string_view(), '\n')) {
                 const auto pair = split_once(line, ":");
                 // The admin, readiness and metrics listeners are not the application's traffic.
                 if (!pair || pair->first.find("admin") != std::string_view::npos ||
                     pair->first.find("0.0.0.0_15") != std::string_view::npos)
                   continue;
                 if (pair->first.starts_with("listener."))
                   active += parse_int(trim(pair->second)).value_or(0);
               }
               if (active == 0) return stop(std::move(done));
               event::after(scope_, loop_, kIdlePoll, [this, done = std::move(done)]() mutable {
                 wait_until_idle(std::move(done));
               });
             });
}

void ProxyProcess::stop(Function<void()> done) {
  is_stopping_ = true;
  if (watch_ == nullptr) return done();
  stopped_ = std::move(done);
  child_.signal(SIGTERM);
  kill_timer_.arm(kKillAfter);
}

}  // namespace lateen::agent
