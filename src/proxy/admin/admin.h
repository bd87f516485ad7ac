// The admin pages, in Envoy's formats: istioctl, the agent and Prometheus read them. Main thread.
#pragma once

#include <memory>
#include <string>

#include "http/server.h"
#include "proxy/match/string_matcher.h"
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
  Reply failures(const Query& query);
  Reply stats(std::string_view path, const Query& query);
  Reply runtime();
  Reply memory();

  Server& server_;
  std::vector<StringMatcher> allowed_;  // paths; empty: all
  std::unique_ptr<http::Server> http_;
};

// Page bodies.
struct DumpQuery {
  std::string resource;    // one repeated field, or one dump
  std::string mask;        // field mask
  std::string name_regex;  // of the resources' names
  bool has_endpoints = false;
};
// NotFound: no such resource. InvalidArgument: the query is wrong.
Result<std::string> config_dump(Server& server, const DumpQuery& query);
std::string init_dump(Server& server);
std::string clusters_text(Server& server);
std::string clusters_json(Server& server);
std::string listeners_text(Server& server);
std::string listeners_json(Server& server);
std::string certs_json(Server& server);
struct StatsQuery {
  std::string filter;  // a regex on names; empty: all
  bool is_used_only = false;
  bool has_counters = true, has_gauges = true, has_histograms = true;
};
std::string stats_text(Server& server, const StatsQuery& query);
std::string stats_json(Server& server, const StatsQuery& query);
std::string stats_prometheus(Server& server, const StatsQuery& query);
// From now on counters show what comes.
void reset_counters(Server& server);
// Sets levels as /logging asks: false when a name or level is not known.
bool apply_log_levels(const std::vector<std::pair<std::string, std::string>>& query);
std::string log_levels_text();

}  // namespace lateen::proxy
