// A program of servers.
#include "http/serve.h"

#include <signal.h>

#include "event/signals.h"
#include "net/socket.h"

namespace lateen::http {

Result<Fd> listen_on_both_families(std::uint16_t port) {
  net::ListenOptions options;
  options.is_v6_only = false;
  auto both = net::listen_on(net::Address(net::Ip::v6({}), port), options);
  if (both.ok()) return both;
  return net::listen_on(net::Address(net::Ip(), port));
}

Result<> serve_until_told(event::Loop& loop, std::vector<std::unique_ptr<Server>>& servers,
                          milliseconds give_up) {
  event::Timer timer(loop, [&loop] { loop.stop(); });
  std::size_t busy = servers.size();
  bool is_told = false;
  const auto signals = TRY(event::watch_signals(loop, {SIGTERM, SIGINT}, [&](int) {
    if (is_told || servers.empty()) return loop.stop();
    is_told = true;
    timer.arm(give_up);
    for (auto& server : servers) {
      server->drain([&] {
        if (--busy == 0) loop.stop();
      });
    }
  }));
  loop.run();
  return {};
}

}  // namespace lateen::http
