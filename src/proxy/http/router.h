// The router: the last filter. Picks a host of the route's cluster, sends, retries, answers errors
// as Envoy words them.
#pragma once

#include <memory>
#include <vector>

#include "proxy/http/body.h"
#include "proxy/http/filter.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {

class Router final : public HttpFilter {
 public:
  struct Options {
    bool is_envoy_header_suppressed = false;
    bool is_child_span_started = false;
  };
  explicit Router(Options options) : options_(options) {}
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  Options options_;
};

// One request at the router: its tries, timers and the answer. Owned by the HttpState.
class RouterCall {
 public:
  RouterCall(HttpState& stream, const Forward& action, UpstreamRef upstream, http::Request request,
             const Router::Options& options, http::Done done);
  ~RouterCall();
  void start();

 private:
  enum class Stage : unsigned char { kTrying, kWaiting, kAnswered };

  void start_try();
  http::Request request_for_try();
  PoolKey key_for(const HostConfig& host) const;
  void on_result(http::CallResult result);
  void on_error(const http::CallError& error);
  void on_response(http::CallResult result);
  void on_timeout();
  void on_try_timeout();
  bool should_retry_response(const http::Response& response) const;
  bool should_retry_error(const http::CallError& error) const;
  // False when there is no retry left or allowed.
  bool retry();
  void finish_try(bool is_success);
  void answer(http::Response response);
  void fail(int status, std::string body, std::string_view details, Flag flag);
  void note_upstream(const net::Stream* stream);
  void send_mirrors();
  std::optional<std::uint64_t> hash_of_request();
  milliseconds route_timeout() const;

  HttpState& stream_;
  const Forward& action_;
  UpstreamRef upstream_;
  http::Request request_;
  Router::Options options_;
  http::Done done_;
  Stage stage_ = Stage::kTrying;
  std::unique_ptr<ReplayBody> replay_;  // when retries are possible
  bool has_body_ = false;
  bool is_in_flight_ = false;
  HostRef host_;
  std::vector<HostRef> tried_;
  std::optional<std::uint64_t> hash_;
  std::string cookie_to_set_;
  std::uint32_t retries_ = 0;
  std::uint32_t most_retries_ = 0;
  std::optional<RetryPolicy> policy_;
  SteadyTime try_started_{};
  SteadyTime started_{};
  milliseconds timeout_{0};
  event::Timer timer_;
  event::Timer try_timer_;
  event::Timer backoff_timer_;
  std::unique_ptr<event::Scope> try_scope_;  // last: dies first
};

// Sets path, authority and headers as the route's forwarding action says; on `request` before it
// goes out.
void rewrite_request(const StreamInfo& info, const Forward& action, http::Request& request);
// The answer of a redirect route.
http::Response redirect_response(HttpState& stream, const Redirect& action,
                                 const http::Request& request);
// Response header rules of cluster choice, route, virtual host and table.
void apply_response_rules(const StreamInfo& info, http::Headers& headers);
void apply_request_rules(const StreamInfo& info, http::Request& request);

}  // namespace lateen::proxy
