// The sample applications in one program: `bookinfo
// details|ratings|reviews|productpage|httpbin|helloworld| tcp-echo [--version=V] [--port=N]`.
// Wiring only.
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "event/epoll_loop.h"
#include "http/server.h"
#include "samples/bookstore.h"
#include "samples/tcp_echo.h"

namespace lateen {
namespace {

constexpr milliseconds kDrainLimit{5'000};

// Both families where the machine has IPv6, else IPv4.
Result<net::Fd> listen_everywhere(std::uint16_t port) {
  net::ListenOptions options;
  options.is_v6_only = false;
  auto both = net::listen_on(net::Address(net::Ip::v6({}), port), options);
  if (both.ok()) return both;
  return net::listen_on(net::Address(net::Ip(), port));
}

std::unique_ptr<http::Service> make_service(const samples::Settings& settings,
                                            samples::Fetcher& fetcher) {
  switch (settings.app) {
    case samples::App::kDetails: return samples::make_details(settings, fetcher);
    case samples::App::kRatings: return samples::make_ratings(settings);
    case samples::App::kReviews: return samples::make_reviews(settings, fetcher);
    case samples::App::kProductpage: return samples::make_productpage(settings, fetcher);
    case samples::App::kHelloworld: return samples::make_helloworld(settings);
    case samples::App::kHttpbin:
    case samples::App::kTcpEcho: break;
  }
  return samples::make_httpbin();
}

// Readable when SIGTERM or SIGINT came in; both are blocked otherwise.
net::Fd termination_signals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  return net::Fd(signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC));
}

Result<> serve_until_told(const samples::Settings& settings) {
  SystemClock clock;
  auto loop = TRY(event::make_epoll_loop(clock, system_random()));
  const net::Fd signals = termination_signals();
  auto fetcher = TRY(samples::make_fetcher(*loop));
  auto service = make_service(settings, *fetcher);
  samples::TcpEcho echo(*loop, settings.prefix);
  std::vector<std::unique_ptr<http::Server>> servers;
  for (const std::uint16_t port : settings.ports) {
    net::Fd listening = TRY(listen_everywhere(port));
    LOG(kInfo, "bookinfo", "serving {} on port {}", settings.version, port);
    if (settings.app == samples::App::kTcpEcho) {
      echo.listen(std::move(listening));
    } else {
      servers.push_back(std::make_unique<http::Server>(*loop, std::move(listening), *service));
    }
  }
  event::Timer give_up(*loop, [&loop] { loop->stop(); });
  std::size_t busy = servers.size();
  auto watch = loop->watch(signals.get(), [&](event::FdWatch::Ready) {
    LOG(kInfo, "bookinfo", "told to end: finishing what is under way");
    if (servers.empty()) return loop->stop();
    give_up.arm(kDrainLimit);
    for (auto& server : servers) {
      server->drain([&] {
        if (--busy == 0) loop->stop();
      });
    }
  });
  loop->run();
  return {};
}

int run(const std::vector<std::string>& arguments) {
  const samples::Environment environment = [](std::string_view name) -> std::optional<std::string> {
    const char* value = getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
  const auto settings = samples::read_settings(arguments, environment);
  if (!settings.ok()) {
    std::fprintf(stderr, "bookinfo: %s\n", settings.error().message().c_str());
    return 2;
  }
  const auto served = serve_until_told(settings.value());
  if (!served.ok()) {
    LOG(kError, "bookinfo", "{}", served.error().message());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace lateen

int main(int argc, char** argv) {
  return lateen::run(std::vector<std::string>(argv + 1, argv + argc));
}
