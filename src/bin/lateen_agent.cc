// `lateen agent`, also started as pilot-agent: proxy, istio-iptables, istio-clean-iptables, wait,
// request.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "agent/redirect.h"
#include "base/log.h"
#include "base/strings.h"
#include "bin/commands.h"
#include "event/epoll_loop.h"
#include "event/signals.h"
#include "http/blocking_client.h"
#include "net/socket.h"

extern char** environ;

namespace {

using namespace std::chrono_literals;
using lateen::Result;

int fail(const lateen::Error& error) {
  LOG(kError, "agent", "{}", error.message());
  return 1;
}

lateen::agent::Environment environment() {
  lateen::agent::Environment out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (const auto pair = lateen::split_once(*entry, "=")) out.emplace(pair->first, pair->second);
  }
  return out;
}

bool is_single_user() {
  const char* single = getenv("LATEEN_SINGLE_UID");
  return single != nullptr && std::string_view(single) == "1";
}

int run_proxy(const std::vector<std::string>& args) {
  // For us and for the proxy that we start: there is no user of our own to know us by.
  if (is_single_user())
    setenv("LATEEN_SOCKET_MARK", std::to_string(lateen::agent::kProxyMark).c_str(), 1);
  lateen::event::block_signals({SIGTERM, SIGINT});

  auto options = lateen::agent::parse_options(args, environment());
  if (!options) return fail(options.error());
  lateen::SystemClock clock;
  auto loop = lateen::event::make_epoll_loop(clock, lateen::system_random());
  if (!loop) return fail(loop.error());
  int status = 0;
  lateen::agent::Agent agent(**loop, *std::move(options));
  const auto signals =
      lateen::event::watch_signals(**loop, {SIGTERM, SIGINT}, [&](int) { agent.terminate(); });
  if (!signals) return fail(signals.error());
  auto started = agent.start([&](int code) {
    status = code;
    (*loop)->stop();
  });
  if (!started) return fail(started.error());
  (*loop)->run();
  return status;
}

int run_redirect(const std::vector<std::string>& args, bool is_cleanup) {
  auto options = lateen::agent::parse_redirect_options(args);
  if (!options) return fail(options.error());
  options->is_cleanup = is_cleanup;
  options->is_marked = is_single_user();
  const char* dns = getenv("ISTIO_META_DNS_CAPTURE");
  if (dns != nullptr && std::string_view(dns) == "true") options->has_dns_capture = true;
  auto done = lateen::agent::apply_redirect(*options);
  return done ? 0 : fail(done.error());
}

// `pilot-agent wait`: until the proxy is ready (holdApplicationUntilProxyStarts).
int run_wait(const std::vector<std::string>& args) {
  std::string url = "http://localhost:15021/healthz/ready";
  auto limit = 60s;
  for (std::size_t i = 0; i + 1 < args.size(); ++i) {
    if (args[i] == "--url") url = args[i + 1];
    if (args[i] == "--timeoutSeconds")
      limit = std::chrono::seconds(lateen::parse_int(args[i + 1]).value_or(60));
  }
  lateen::http::BlockingClient client;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::string last = "no answer";
  while (std::chrono::steady_clock::now() < deadline) {
    lateen::http::PlainRequest request;
    request.url = url;
    request.timeout = 1000ms;
    const auto response = client.call(request);
    if (response && response->status == 200) return 0;
    last = response ? response->body : response.error().message();
    std::this_thread::sleep_for(20ms);
  }
  std::fprintf(stderr, "the proxy is not ready after %lld s: %s\n",
               static_cast<long long>(limit.count()), last.c_str());
  return 1;
}

// `pilot-agent request [--debug-port N] METHOD PATH`: a call to the proxy's admin or the agent's
// own port.
int run_request(const std::vector<std::string>& args) {
  std::string port = "15000";
  std::vector<std::string> words;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i].starts_with("--debug-port=")) port = args[i].substr(13);
    else if (args[i] == "--debug-port" && i + 1 < args.size()) port = args[++i];
    else words.push_back(args[i]);
  }
  if (words.size() < 2) {
    std::fprintf(stderr, "usage: pilot-agent request [--debug-port PORT] METHOD PATH\n");
    return 2;
  }
  lateen::http::BlockingClient client;
  lateen::http::PlainRequest request;
  request.method = words[0];
  request.url = "http://127.0.0.1:" + port + (words[1].starts_with('/') ? "" : "/") + words[1];
  const auto response = client.call(request);
  if (!response) return fail(response.error());
  std::fwrite(response->body.data(), 1, response->body.size(), stdout);
  if (response->status / 100 == 2) return 0;
  std::fprintf(stderr, "request failed with status %d\n", response->status);
  return 1;
}

}  // namespace

int run_agent(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  const std::string verb = args.empty() ? "" : args.front();
  if (!args.empty()) args.erase(args.begin());
  if (verb == "proxy") return run_proxy(args);
  if (verb == "istio-iptables") return run_redirect(args, false);
  if (verb == "istio-clean-iptables") return run_redirect(args, true);
  if (verb == "wait") return run_wait(args);
  if (verb == "request") return run_request(args);
  std::fprintf(stderr,
               "usage: pilot-agent proxy sidecar|router | istio-iptables | istio-clean-iptables | "
               "wait | request\n");
  return 2;
}
