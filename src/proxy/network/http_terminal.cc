// Gives the connection's stream to the HTTP server, with a connection manager behind it.

#include "proxy/network/http_terminal.h"

#include "proxy/http/connection_manager.h"
#include "proxy/listener/downstream_connection.h"

namespace lateen::proxy {
namespace {

class HttpSession final : public Terminal {
 public:
  HttpSession(DownstreamConnection& connection, const std::shared_ptr<const HttpConfig>& config)
      : config_(config), manager_(connection.worker(), connection.facts(), config) {
    http::ConnectionInfo info;
    info.id = connection.facts().id;
    info.local = connection.facts().local;
    info.remote = connection.facts().remote;
    info.tls = connection.facts().tls;
    server_ =
        http::serve(connection.loop(), std::move(connection.stream()), info, manager_,
                    config->server, [&connection](http::ServerConnection&) { connection.close(); });
  }
  void drain() override { server_->drain(); }

 private:
  std::shared_ptr<const HttpConfig> config_;
  ConnectionManager manager_;
  std::unique_ptr<http::ServerConnection> server_;
  bool is_drained_ = false;
};

}  // namespace

void HttpTerminal::handle(DownstreamConnection& connection, NetworkNext) const {
  connection.run(std::make_unique<HttpSession>(connection, config_));
}

}  // namespace lateen::proxy
