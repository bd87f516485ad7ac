// Wires the parts. The sockets are there before the proxy starts, so its first connect succeeds.
#include "agent/agent.h"

#include "agent/ads_relay.h"
#include "agent/identity.h"
#include "agent/proxy_process.h"
#include "agent/sds_service.h"
#include "agent/status_server.h"
#include "base/log.h"
#include "linux/files.h"

namespace lateen::agent {

struct Agent::State {
  State(event::Loop& l, Options o) : loop(l), options(std::move(o)) {}

  event::Loop& loop;
  const Options options;
  Function<void(int)> ended;
  bool is_terminating = false;

  std::unique_ptr<net::Resolver> resolver;
  std::unique_ptr<Upstream> discovery;
  std::unique_ptr<Upstream> own_ca;  // only when it is not the discovery address
  std::unique_ptr<Identity> identity;
  std::unique_ptr<SdsService> sds;
  std::unique_ptr<AdsRelay> relay;
  event::Timer lists_timer{loop, [this] { watch_lists(); }};
  grpc::Service sds_methods;
  grpc::Service ads_methods;
  std::unique_ptr<StatusServer> status;
  std::unique_ptr<ProxyProcess> proxy;
  // Last: their streams refer to the services above.
  std::unique_ptr<http::Server> sds_server;
  std::unique_ptr<http::Server> ads_server;

  Result<std::unique_ptr<http::Server>> serve_unix(const std::string& path,
                                                   grpc::Service& service) {
    const auto slash = path.rfind('/');
    TRY(os::make_directories(path.substr(0, slash)));
    net::ListenOptions listen;
    listen.unix_mode = 0660;
    Fd fd = TRY(net::listen_on(net::Address::unix_path(path), listen));
    http::ServerOptions options;
    options.codec = http::Codec::kHttp2;
    options.idle_timeout = milliseconds(0);
    return std::make_unique<http::Server>(loop, std::move(fd), service, options);
  }

  // Mounted ConfigMaps change by themselves, within a minute.
  void watch_lists() {
    sds->check_lists();
    lists_timer.arm(seconds(30));
  }

  void finish(int status_code) {
    if (ended) std::exchange(ended, nullptr)(status_code);
  }
};

Agent::Agent(event::Loop& loop, Options options)
    : state_(std::make_unique<State>(loop, std::move(options))) {}
Agent::~Agent() = default;

Result<> Agent::start(Function<void(int status)> ended) {
  State& s = *state_;
  s.ended = std::move(ended);
  s.resolver = TRY(net::make_resolver(s.loop));
  s.discovery = std::make_unique<Upstream>(s.loop, *s.resolver, s.options.discovery_address,
                                           s.options.root_certificate_file);
  if (s.options.ca_address != s.options.discovery_address) {
    s.own_ca = std::make_unique<Upstream>(s.loop, *s.resolver, s.options.ca_address,
                                          s.options.root_certificate_file);
  }
  Upstream& ca = s.own_ca != nullptr ? *s.own_ca : *s.discovery;
  s.identity =
      std::make_unique<Identity>(s.loop, s.options, ca, [&s] { s.sds->credentials_changed(); });
  s.sds = std::make_unique<SdsService>(*s.identity, s.options.crl_file);
  s.watch_lists();
  s.relay = std::make_unique<AdsRelay>(s.loop, s.options, *s.discovery);
  s.sds->register_on(s.sds_methods);
  s.relay->register_on(s.ads_methods);
  s.sds_server = TRY(s.serve_unix(s.options.sds_socket, s.sds_methods).at("the SDS socket"));
  s.ads_server =
      TRY(s.serve_unix(s.options.config_path + "/XDS", s.ads_methods).at("the XDS socket"));
  s.status = TRY(StatusServer::start(s.loop, s.options,
                                     {[this] { terminate(); }, [&s] { s.proxy->drain(); },
                                      [&s] { return s.proxy ? s.proxy->starts() : -1; }}));
  s.identity->start();
  s.proxy = std::make_unique<ProxyProcess>(s.loop, s.options, [&s] {
    LOG(kError, "agent", "the proxy keeps dying; the container ends so that kubelet restarts it");
    s.finish(1);
  });
  TRY(s.proxy->start());
  LOG(kInfo, "agent", "{} with config from {}", s.options.node_id(), s.options.discovery_address);
  return {};
}

void Agent::terminate() {
  State& s = *state_;
  if (std::exchange(s.is_terminating, true)) return;
  s.status->set_draining();
  s.proxy->drain_and_stop([&s] { s.finish(0); });
}

}  // namespace lateen::agent
