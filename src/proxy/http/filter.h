// The shape of an HTTP filter: one const object, one method. Response handling wraps `done`.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/recycled.h"
#include "http/message.h"
#include "proxy/route/route.h"
#include "proxy/stream/stream_info.h"

namespace lateen::proxy {

class Worker;
struct HttpConfig;
class ConnectionManager;
class RouterWork;

// One request under way in the proxy; owned by its exchange.
struct HttpState final : http::ExchangeState, Recycled<HttpState> {
  HttpState(Worker& worker, const Connection& connection, http::Exchange& exchange,
            std::shared_ptr<const HttpConfig> config);
  ~HttpState() override;  // logs, counts and reports the finished stream

  // Ends the exchange, whose response has begun: the client sees a reset.
  void cut();

  http::Exchange& exchange;
  std::shared_ptr<const HttpConfig> config;
  StreamInfo info;
  bool is_response_done = false;
  std::uint32_t redirects = 0;  // internal ones so far
  std::size_t reached = 0;      // the deepest filter that saw the request

  // Time limits; the connection manager keeps them.
  ConnectionManager* manager = nullptr;
  HttpState* previous = nullptr;  // of the same connection
  HttpState* next = nullptr;
  http::Done done;  // the codec's
  milliseconds idle_timeout{0};
  SteadyTime last_activity{};       // a chunk moved, either way
  SteadyTime last_response_byte{};  // from the upstream
  SteadyTime request_due = SteadyTime::max();
  SteadyTime duration_due = SteadyTime::max();

  std::shared_ptr<void> keep_alive;    // the upstream whose bytes flow
  std::unique_ptr<RouterWork> router;  // last: goes first
};

// Removes the fields with these `names`, each of which starts with "x-envoy-": most requests have
// no such field, so one pass over them is enough to know.
void strip_envoy_headers(http::Headers& headers, std::span<const std::string_view> names);

// The rest of the filter chain. Valid as long as the exchange.
class Next {
 public:
  Next(const HttpConfig& config, std::size_t index) : config_(&config), index_(index) {}
  void operator()(HttpState& stream, http::Request request, http::Done done) const;

 private:
  const HttpConfig* config_;
  std::size_t index_;
};

class HttpFilter {
 public:
  virtual ~HttpFilter() = default;
  // Either passes the request on through `next` or answers through `done`, now or later.
  virtual void handle(HttpState& stream, http::Request request, Next next,
                      http::Done done) const = 0;
  // Whether `answer` is of use.
  virtual bool sees_answers() const { return false; }
  // The response side alone: of an answer that a filter before this one gave, so that `handle`
  // never ran. Passes it on through `done`.
  virtual void answer(HttpState&, http::Response response, http::Done done) const {
    done(std::move(response));
  }
  // After the last byte, or after the client went away.
  virtual void on_complete(const StreamInfo&) const {}
};

// Answers from the proxy itself, as Envoy words them.
http::Response local_reply(HttpState& stream, int status, std::string body,
                           std::string_view details, std::optional<Flag> flag = std::nullopt);
// The route's settings for `filter`, or null.
const RouteFilterEntry* route_config_for(const StreamInfo& info, std::string_view filter);
// Finds virtual host and route for `request` and notes them in `info`.
void select_route(HttpState& stream, const http::Request& request);

}  // namespace lateen::proxy
