// Whether to try again, and when. Retries are for what the route's policy names; what certainly had
// no effect upstream is repeated without asking.

#include <algorithm>

#include "base/strings.h"
#include "proxy/http/config.h"
#include "proxy/http/router.h"

namespace lateen::proxy {
namespace {

constexpr std::uint32_t kMostSilentRepeats = 3;

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE";
}

}  // namespace

bool RouterCall::should_retry_error(const http::CallError& error) const {
  const std::uint32_t on = policy_ != nullptr ? policy_->on : 0;
  if (on & (RetryPolicy::k5xx | RetryPolicy::kGatewayError | RetryPolicy::kReset)) return true;
  if (error.is_connect_failure && (on & RetryPolicy::kConnectFailure)) return true;
  if (error.is_refused_stream && (on & RetryPolicy::kRefusedStream)) return true;
  return error.sent == http::Sent::kNothing && (on & RetryPolicy::kResetBeforeRequest) != 0;
}

// A stream above a GOAWAY's last, or one that was refused, was not processed (RFC 9113 §8.7). A
// kept-alive connection that ends without a byte may have been closed before it saw the request;
// what is idempotent and has no body may go again then (RFC 9112 §9.3.1).
bool RouterCall::may_repeat_silently(const http::CallError& error) const {
  if (silent_repeats_ >= kMostSilentRepeats || error.is_connect_failure) return false;
  if (!request_.upgrade.empty() || request_.method == "CONNECT") return false;
  if (has_body_ && (replay_ == nullptr || !replay_->is_replayable())) return false;
  if (error.is_refused_stream) return true;
  return error.is_reused_connection && !has_body_ && is_idempotent(request_.method);
}

bool RouterCall::should_retry_response(const http::Response& response) const {
  if (policy_ == nullptr) return false;
  const std::uint32_t on = policy_->on;
  const int status = response.status;
  if (response.headers.has("x-envoy-ratelimited"))
    return (on & RetryPolicy::kEnvoyRateLimited) != 0;
  if ((on & RetryPolicy::k5xx) && status >= 500) return true;
  if ((on & RetryPolicy::kGatewayError) && status >= 502 && status <= 504) return true;
  if ((on & RetryPolicy::kRetriable4xx) && status == 409) return true;
  if ((on & RetryPolicy::kRetriableStatusCodes) &&
      std::find(policy_->status_codes.begin(), policy_->status_codes.end(), status) !=
          policy_->status_codes.end())
    return true;
  if (on & RetryPolicy::kRetriableHeaders) {
    http::Request view(stream_.exchange.arena);
    view.headers = response.headers;
    for (const auto& matcher : policy_->retriable_headers)
      if (matcher.matches(view)) return true;
  }
  const auto grpc = response.headers.get("grpc-status");
  if (!grpc) return false;
  if (*grpc == "1") return (on & RetryPolicy::kGrpcCancelled) != 0;
  if (*grpc == "4") return (on & RetryPolicy::kGrpcDeadlineExceeded) != 0;
  if (*grpc == "8") return (on & RetryPolicy::kGrpcResourceExhausted) != 0;
  if (*grpc == "13") return (on & RetryPolicy::kGrpcInternal) != 0;
  return *grpc == "14" && (on & RetryPolicy::kGrpcUnavailable) != 0;
}

// The circuit breaker on retries: a number, or a share of what is under way.
bool RouterCall::has_retry_budget() const {
  const ClusterConfig& cluster = upstream_->config();
  const CircuitBreaker& breaker = action_.is_high_priority ? cluster.high_breaker : cluster.breaker;
  const ClusterState& state = upstream_->state();
  std::uint32_t most = breaker.max_retries;
  if (breaker.retry_budget_percent) {
    const double under_way = state.requests.load(std::memory_order_relaxed);
    most = std::max(breaker.min_retries,
                    static_cast<std::uint32_t>(under_way * *breaker.retry_budget_percent / 100));
  }
  return state.retries.load(std::memory_order_relaxed) < most;
}

bool RouterCall::retry(const http::Response* response) {
  if (retries_ >= most_retries_) {
    if (most_retries_ > 0) {
      stream_.info.flags.set(Flag::kRetryLimit);
      upstream_->stats().add(ClusterStat::kRqRetryLimit);
    }
    return false;
  }
  if (backoff_timer_.is_armed()) return true;  // One is on its way.
  if (has_body_ && (replay_ == nullptr || !replay_->is_replayable())) return false;
  if (counted_in_ == nullptr && !has_retry_budget()) {
    upstream_->stats().add(ClusterStat::kRqRetryOverflow);
    stream_.info.flags.set(Flag::kUpstreamOverflow);
    return false;
  }
  if (counted_in_ == nullptr) {
    counted_in_ = upstream_->config().state;
    counted_in_->retries.fetch_add(1, std::memory_order_relaxed);
  }
  ++retries_;
  upstream_->stats().add(ClusterStat::kRqRetry);
  stage_ = Stage::kTrying;
  const auto asked = response == nullptr ? std::nullopt : reset_interval(*response);
  upstream_->stats().add(asked ? ClusterStat::kRetryBackoffRatelimited
                               : ClusterStat::kRetryBackoffExponential);
  // The tries that are over are freed later: this may run inside the completion of one.
  backoff_timer_.arm(asked ? *asked : next_backoff());
  return true;
}

std::optional<milliseconds> RouterCall::reset_interval(const http::Response& response) const {
  for (const auto& header : policy_->reset_headers) {
    const auto value = response.headers.get(header.name);
    const auto number = value ? parse_uint(trim(*value)) : std::nullopt;
    if (!number || *number > (std::uint64_t{1} << 40)) continue;
    auto wait = seconds(static_cast<std::int64_t>(*number));
    if (header.is_timestamp)
      wait -= std::chrono::duration_cast<seconds>(
          stream_.exchange.loop.clock().wall().time_since_epoch());
    if (wait.count() <= 0 || wait > policy_->max_reset_interval) continue;
    // Up to half as much again, so that those who were told the same do not come together.
    const auto spread = static_cast<std::uint64_t>(milliseconds(wait).count()) / 2;
    return milliseconds(wait) + milliseconds(static_cast<std::int64_t>(
                                    stream_.exchange.loop.random().below(spread + 1)));
  }
  return std::nullopt;
}

// Exponential with full jitter.
milliseconds RouterCall::next_backoff() {
  const std::int64_t ceiling = std::min<std::int64_t>(
      policy_->base_interval.count() * ((std::int64_t{1} << std::min(retries_, 20u)) - 1),
      policy_->max_interval.count());
  if (ceiling <= 0) return milliseconds(0);
  return milliseconds(static_cast<std::int64_t>(
      stream_.exchange.loop.random().below(static_cast<std::uint64_t>(ceiling)) + 1));
}

}  // namespace lateen::proxy
