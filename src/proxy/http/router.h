// The router: the last filter. Picks a host of the route's cluster, sends, retries, answers errors
// as Envoy words them.
#pragma once

#include <memory>
#include <vector>

#include "proxy/http/body.h"
#include "proxy/http/filter.h"
#include "proxy/http/overrides.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {

class Router final : public HttpFilter {
 public:
  struct Options {
    bool is_envoy_header_suppressed = false;
    bool is_child_span_started = false;
    bool is_expected_timeout_respected = false;
  };
  explicit Router(Options options) : options_(options) {}
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  Options options_;
};

// What the router has under way for one request. Owned by the HttpState.
class RouterWork {
 public:
  virtual ~RouterWork() = default;
  // The last byte of the request was read from the client.
  virtual void on_request_complete() {}
};

// One request at the router: its tries, timers and the answer. Tries follow one another; with
// hedging a try that is late goes on beside the next one.
class RouterCall final : public RouterWork, public Recycled<RouterCall> {
 public:
  RouterCall(HttpState& stream, const Forward& action, UpstreamRef upstream, http::Request request,
             const Router::Options& options, std::unique_ptr<RequestOverrides> asked,
             http::Done done);
  ~RouterCall() override;
  void start();
  void on_request_complete() override;

 private:
  enum class Stage : unsigned char { kTrying, kWaiting, kAnswered };

  // One request to one host. Counts itself in and out.
  struct Try {
    Try(HttpState& stream, UpstreamRef upstream, HostRef host);
    ~Try();
    void finish(bool is_success);
    HttpState& stream;
    UpstreamRef upstream;
    HostRef host;
    SteadyTime started;
    bool is_in_flight = true;
    bool is_late = false;  // its time is over; another try runs beside it
    event::Scope scope;    // last: dies first
  };

  void start_try();
  HostRef pick_host();
  http::Request request_for_try(const Try& current);
  PoolKey key_for(const HostConfig& host) const;
  void arm_timeouts();
  void arm_try_timeouts();
  void drop(Try& gone);
  void drop_all();
  void on_result(Try& from, http::CallResult result);
  void on_error(Try& from, const http::CallError& error);
  void on_response(Try& from, http::CallResult result);
  void on_timeout();
  void on_try_timeout();
  void on_try_idle();
  void on_try_duration();
  void time_out_try(ClusterStat stat, std::string_view details);
  void answer(http::Response response);
  void fail(int status, std::string body, std::string_view details, Flag flag);
  // After the response began: ends the stream towards the client.
  void cut(std::string_view details, Flag flag);
  void note_upstream(const net::Stream* stream);

  // router_redirect.cc: true when the request starts again elsewhere.
  bool redirect_internally(const http::Response& response);
  bool is_target_allowed(const InternalRedirect& policy, bool is_from_tls, bool is_to_tls) const;

  // router_retry.cc
  bool should_retry_response(const http::Response& response) const;
  bool should_retry_error(const http::CallError& error) const;
  // Nothing of the request can have had an effect, so that sending it again is safe without asking.
  bool may_repeat_silently(const http::CallError& error) const;
  // False when there is no retry left or allowed. `response`: may say when to come back.
  bool retry(const http::Response* response);
  bool has_retry_budget() const;
  std::optional<milliseconds> reset_interval(const http::Response& response) const;
  milliseconds next_backoff();

  HttpState& stream_;
  const Forward& action_;
  UpstreamRef upstream_;
  http::Request request_;
  Router::Options options_;
  http::Done done_;
  Stage stage_ = Stage::kTrying;
  std::unique_ptr<ReplayBody> replay_;  // when retries are possible
  bool has_body_ = false;
  std::vector<HostRef> tried_;
  std::optional<std::uint64_t> hash_;
  std::string cookie_to_set_;
  std::uint32_t retries_ = 0;
  std::uint32_t most_retries_ = 0;
  std::uint32_t silent_repeats_ = 0;
  std::shared_ptr<ClusterState> counted_in_;  // whose retries under way hold one for us
  const RetryPolicy* policy_ = nullptr;
  std::unique_ptr<RetryPolicy> own_policy_;  // with what the request's headers ask
  milliseconds timeout_{0};
  milliseconds per_try_timeout_{0};
  std::optional<milliseconds> stream_duration_;
  bool is_hedged_ = false;
  bool is_client_deadline_ = false;  // timeout_ is what the client gave itself
  event::Timer timer_;
  event::Timer try_timer_;
  event::Timer idle_timer_;
  event::Timer duration_timer_;
  event::Timer backoff_timer_;
  std::vector<std::unique_ptr<Try>> tries_;  // the newest last
  std::vector<std::unique_ptr<Try>> gone_;   // freed with us: their frames may be on the stack
};

// Hash of the request for consistent balancing; a cookie that is to be made goes to
// `cookie_to_set`.
std::optional<std::uint64_t> hash_request(const HttpState& stream, const Forward& action,
                                          const http::Request& request, std::string& cookie_to_set);

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
