// The admin pages, in Envoy's formats: istioctl, the agent and Prometheus read them. Main thread.
#pragma once

#include <memory>
#include <string>

#include "http/server.h"
#include "proxy/server/server.h"

namespace lateen::proxy {

class Admin final : public http::Service {
 public:
  static Result<std::unique_ptr<Admin>> make(Server& server, const net::Address& address);
  ~Admin() override;
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;
  const net::Address& address() const { return http_->address(); }

 private:
  explicit Admin(Server& server) : server_(server) {}
  struct Reply {
    int status = 200;
    std::string body;
    std::string type = "text/plain; charset=UTF-8";
  };
  using Query = std::vector<std::pair<std::string, std::string>>;
  Reply answer(std::string_view method, std::string_view path, const Query& query);
  Reply post_action(std::string_view path, const Query& query);
  Reply logging(const Query& query);
  Reply server_info();
  Reply ready();

  Server& server_;
  std::unique_ptr<http::Server> http_;
};

// Page bodies.
std::string config_dump(Server& server,
                        const std::vector<std::pair<std::string, std::string>>& query);
std::string clusters_text(Server& server);
std::string clusters_json(Server& server);
std::string listeners_text(Server& server);
std::string listeners_json(Server& server);
std::string certs_json(Server& server);
// `filter` is a regex on names; empty: all.
std::string stats_text(Server& server, const std::string& filter, bool is_used_only);
std::string stats_json(Server& server, const std::string& filter, bool is_used_only);
std::string stats_prometheus(Server& server, const std::string& filter, bool is_used_only);

}  // namespace lateen::proxy
