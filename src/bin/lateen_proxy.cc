// lateen-proxy: wiring of the data plane process. Flags are Envoy's; SIGTERM ends it after
// connections had their time.

#include <csignal>
#include <cstdio>

#include "base/log.h"
#include "base/random.h"
#include "bin/lateen_proxy_memory.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "event/epoll_loop.h"
#include "event/signals.h"
#include "proxy/server/bootstrap.h"
#include "proxy/server/server.h"

namespace {

using namespace lateen;  // NOLINT: a main file

int fail(const Error& error) {
  std::fprintf(stderr, "lateen-proxy: %s\n", error.message().c_str());
  return 1;
}

void set_log_level(const std::string& level) {
  if (level == "trace" || level == "debug") log::set_level(log::Level::kDebug);
  else if (level == "warning" || level == "warn") log::set_level(log::Level::kWarn);
  else if (level == "error" || level == "critical") log::set_level(log::Level::kError);
  else if (level == "off") log::set_level(log::Level::kNone);
  else log::set_level(log::Level::kInfo);
}

}  // namespace

int main(int argc, char** argv) {
  set_up_memory();
  auto options = proxy::Options::parse(argc, argv);
  if (!options.ok()) return fail(options.error());
  if (options->is_help_wanted) return std::puts(proxy::Options::help().c_str()), 0;
  if (options->is_version_wanted) {
    std::printf("\n%s  version: lateen/1.40.0/Clean/RELEASE/OpenSSL\n\n", argv[0]);
    return 0;
  }
  set_log_level(options->log_level);

  const SystemClock clock;
  auto loop = event::make_epoll_loop(clock, system_random());
  if (!loop.ok()) return fail(loop.error());
  auto bootstrap = proxy::load_bootstrap(*options);
  if (!bootstrap.ok()) return fail(bootstrap.error());
  const auto drain_time = options->drain_time;
  const bool is_validating = options->is_validating;
  const std::string config_path = options->config_path;
  proxy::Server server(**loop, *std::move(options), *std::move(bootstrap));
  if (is_validating) {
    if (auto checked = server.validate(); !checked.ok()) return fail(checked.error());
    std::printf("configuration '%s' OK\n", config_path.c_str());
    return 0;
  }
  auto signals = event::watch_signals(**loop, {SIGTERM, SIGINT, SIGUSR1}, [&](int signal) {
    if (signal == SIGUSR1) return server.logs().reopen_all();
    server.shut_down(signal == SIGTERM ? std::min<milliseconds>(drain_time, seconds(5))
                                       : milliseconds(0));
  });
  if (!signals.ok()) return fail(signals.error());
  if (auto started = server.start(); !started.ok()) return fail(started.error());
  (*loop)->run();
  LOG(kInfo, "main", "exiting");
  return 0;
}
