// The HTTP connection manager: takes each request of one downstream connection through header
// rules, route selection and the filters. One per connection, on the worker's loop.
#pragma once

#include "proxy/http/config.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {

class ConnectionManager final : public http::Service {
 public:
  // All referenced objects outlive us.
  ConnectionManager(Worker& worker, const Connection& connection,
                    std::shared_ptr<const HttpConfig> config);
  ~ConnectionManager() override;
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;
  // Requests from now on go by `config`; those under way keep theirs.
  void set_config(std::shared_ptr<const HttpConfig> config);

  // Lets the request of `stream` begin again at the first filter; whatever it had under way is
  // over.
  void restart(HttpState& stream, http::Request request);

 private:
  friend struct HttpState;
  void find_routes();
  // Time limits (time_limits.cc): one timer for all requests of the connection, touched only when
  // the next limit comes before what it is set to.
  void watch(HttpState& stream);
  void limit(HttpState& stream);
  void forget(HttpState& stream);
  void arm_by(SteadyTime due);
  void on_timer();
  SteadyTime check(HttpState& stream, SteadyTime now);
  void expire(HttpState& stream, HttpStat stat, std::string_view text, std::string_view details,
              Flag flag);
  void answer(HttpState& stream, Result<http::Response> response);
  void start_trace(HttpState& stream, const http::Request& request);
  Worker& worker_;
  const Connection& connection_;
  std::shared_ptr<const HttpConfig> config_;
  RouteSlot* routes_ = nullptr;  // when they come by name
  HttpState* streams_ = nullptr;
  SteadyTime armed_due_{};
  event::Timer timer_;
};

// Edge and identity headers of a request, by the connection manager's rules: x-forwarded-*,
// x-request-id, client certificate, x-envoy-*. An answer when the request is refused.
std::optional<http::Response> mutate_request(HttpState& stream, http::Request& request);
// RFC 3986 dot segments removed, "//" merged as configured. nullopt: malformed.
std::optional<std::string> normalize_path(std::string_view path, bool is_merging_slashes);

}  // namespace lateen::proxy
