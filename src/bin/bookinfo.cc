// The sample applications in one program: `bookinfo
// details|ratings|reviews|productpage|httpbin|helloworld| tcp-echo [--version=V] [--port=N]`.
// Wiring only.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "event/epoll_loop.h"
#include "event/signals.h"
#include "http/serve.h"
#include "samples/bookstore.h"
#include "samples/tcp_echo.h"

namespace lateen {
namespace {

constexpr milliseconds kDrainLimit{5'000};

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

Result<> serve(const samples::Settings& settings) {
  event::block_signals({SIGTERM, SIGINT});
  SystemClock clock;
  auto loop = TRY(event::make_epoll_loop(clock, system_random()));
  auto fetcher = TRY(samples::make_fetcher(*loop));
  auto service = make_service(settings, *fetcher);
  samples::TcpEcho echo(*loop, settings.prefix);
  std::vector<std::unique_ptr<http::Server>> servers;
  for (const std::uint16_t port : settings.ports) {
    Fd listening = TRY(http::listen_on_both_families(port));
    LOG(kInfo, "bookinfo", "serving {} on port {}", settings.version, port);
    if (settings.app == samples::App::kTcpEcho) {
      echo.listen(std::move(listening));
    } else {
      servers.push_back(std::make_unique<http::Server>(*loop, std::move(listening), *service));
    }
  }
  return http::serve_until_told(*loop, servers, kDrainLimit);
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
  const auto served = serve(settings.value());
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
