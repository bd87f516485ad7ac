// Gives the connection's stream to the HTTP server, with a connection manager behind it.

#include "proxy/network/http_terminal.h"

#include "proxy/http/connection_manager.h"
#include "proxy/listener/downstream_connection.h"

namespace lateen::proxy {
namespace {

class HttpSession final : public Terminal {
 public:
  HttpSession(DownstreamConnection& connection, const std::shared_ptr<const HttpConfig>& config)
      : manager_(connection.worker(), connection.facts(), config) {
    http::ConnectionInfo info;
    info.id = connection.facts().id;
    info.local = connection.facts().local;
    info.remote = connection.facts().remote;
    info.tls = connection.facts().tls;
    server_ =
        http::serve(connection.loop(), std::move(connection.stream()), info, manager_,
                    config->server, [&connection](http::ServerConnection&) { connection.close(); });
  }
  void drain(bool is_gentle) override {
    if (is_gentle) server_->drain_after_next();
    else server_->drain();
  }
  void replace(const FilterChain& chain) override {
    if (!chain.is_http) return;
    const auto* terminal = dynamic_cast<const HttpTerminal*>(chain.filters.back().get());
    if (terminal != nullptr) manager_.set_config(terminal->config_ref());
  }

 private:
  ConnectionManager manager_;
  std::unique_ptr<http::ServerConnection> server_;
};

}  // namespace

void HttpTerminal::handle(DownstreamConnection& connection, NetworkNext) const {
  connection.run(std::make_unique<HttpSession>(connection, config_));
}

}  // namespace lateen::proxy
