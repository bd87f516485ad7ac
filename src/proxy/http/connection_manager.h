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
  // Called as each request arrives: the place to end a connection whose configuration was replaced.
  void on_request(Function<void()> callback) { on_request_ = std::move(callback); }

 private:
  void start_trace(HttpState& stream, const http::Request& request);
  Worker& worker_;
  const Connection& connection_;
  std::shared_ptr<const HttpConfig> config_;
  Function<void()> on_request_;
  RouteSlot* routes_ = nullptr;  // when they come by name
};

// Edge and identity headers of a request, by the connection manager's rules: x-forwarded-*,
// x-request-id, client certificate, x-envoy-*. An answer when the request is refused.
std::optional<http::Response> mutate_request(HttpState& stream, http::Request& request);
// RFC 3986 dot segments removed, "//" merged as configured. nullopt: malformed.
std::optional<std::string> normalize_path(std::string_view path, bool is_merging_slashes);

}  // namespace lateen::proxy
