// Tries, one after the other: pick a host, send, judge the outcome, maybe try again.

#include <algorithm>

#include "base/strings.h"
#include "proxy/http/config.h"
#include "proxy/http/router.h"
#include "proxy/trace/span.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostReplayedBytes = 1u << 20;

// gRPC's "grpc-timeout": digits and a unit.
std::optional<milliseconds> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto amount = parse_uint(text.substr(0, text.size() - 1));
  if (!amount) return std::nullopt;
  const auto value = static_cast<std::int64_t>(*amount);
  switch (text.back()) {
    case 'H': return hours(value);
    case 'M': return minutes(value);
    case 'S': return seconds(value);
    case 'm': return milliseconds(value);
    case 'u': return milliseconds((value + 999) / 1000);
    case 'n': return milliseconds((value + 999'999) / 1'000'000);
    default: return std::nullopt;
  }
}

}  // namespace

RouterCall::RouterCall(HttpState& stream, const Forward& action, UpstreamRef upstream,
                       http::Request request, const Router::Options& options, http::Done done)
    : stream_(stream),
      action_(action),
      upstream_(std::move(upstream)),
      request_(std::move(request)),
      options_(options),
      done_(std::move(done)),
      timer_(stream.exchange.loop, [this] { on_timeout(); }),
      try_timer_(stream.exchange.loop, [this] { on_try_timeout(); }),
      backoff_timer_(stream.exchange.loop, [this] { start_try(); }) {}

RouterCall::~RouterCall() {
  if (is_in_flight_) {
    const bool is_cut = !stream_.info.finished;
    if (is_cut) upstream_->stats().add(ClusterStat::kRqCancelled);
    finish_try(!is_cut);
  }
}

milliseconds RouterCall::route_timeout() const {
  milliseconds limit = action_.timeout;
  if (action_.max_grpc_timeout && stream_.info.is_grpc) {
    const auto asked = request_.headers.get("grpc-timeout");
    const auto parsed = asked ? parse_grpc_timeout(*asked) : std::nullopt;
    limit = parsed.value_or(milliseconds(0));
    if (action_.max_grpc_timeout->count() > 0 &&
        (limit.count() == 0 || limit > *action_.max_grpc_timeout))
      limit = *action_.max_grpc_timeout;
  }
  return limit;
}

void RouterCall::start() {
  StreamInfo& info = stream_.info;
  started_ = stream_.exchange.loop.now();
  timeout_ = route_timeout();
  if (!request_.upgrade.empty() || request_.method == "CONNECT") timeout_ = milliseconds(0);
  policy_ = action_.retry;
  if (policy_ && request_.upgrade.empty()) most_retries_ = policy_->attempts;
  hash_ = hash_of_request();
  has_body_ = !request_.body.empty();
  if (most_retries_ > 0 && has_body_)
    replay_ = std::make_unique<ReplayBody>(std::move(request_.body), kMostReplayedBytes);
  if (timeout_.count() > 0) {
    timer_.arm(timeout_);
    if (!options_.is_envoy_header_suppressed)
      request_.headers.set("x-envoy-expected-rq-timeout-ms", std::to_string(timeout_.count()));
  }
  info.upstream.attempts = 0;
  start_try();
}

std::optional<std::uint64_t> RouterCall::hash_of_request() {
  std::optional<std::uint64_t> hash;
  const auto add = [&](std::string_view text) {
    hash = (hash ? (*hash << 1 | *hash >> 63) : 0) ^ fnv1a64(text);
  };
  for (const auto& policy : action_.hashes) {
    switch (policy.kind) {
      case HashPolicy::Kind::kHeader:
        if (const auto value = header_of(request_, policy.name)) add(*value);
        break;
      case HashPolicy::Kind::kSourceIp:
        if (stream_.info.remote) add(stream_.info.remote->ip().to_string());
        break;
      case HashPolicy::Kind::kQuery:
        if (const auto mark = request_.path.find('?'); mark != std::string_view::npos)
          for (const auto& [name, value] : parse_query(request_.path.substr(mark + 1)))
            if (name == policy.name) add(value);
        break;
      case HashPolicy::Kind::kFilterState:
        if (const auto found = stream_.info.state.find(policy.name);
            found != stream_.info.state.end())
          add(found->second);
        break;
      case HashPolicy::Kind::kCookie: {
        std::string_view found;
        const std::string cookies(request_.headers.joined("cookie"));
        for (const auto part : split(cookies, ';'))
          if (const auto pair = split_once(trim(part), "="); pair && pair->first == policy.name)
            found = pair->second;
        if (!found.empty()) {
          add(found);
        } else if (policy.cookie_ttl) {
          const std::string value = stream_.exchange.loop.random().uuid();
          add(value);
          cookie_to_set_ = policy.name + "=" + value +
                           (policy.cookie_ttl->count() > 0
                                ? "; Max-Age=" + std::to_string(policy.cookie_ttl->count())
                                : "") +
                           (policy.cookie_path.empty() ? "" : "; Path=" + policy.cookie_path) +
                           "; HttpOnly";
        }
        break;
      }
    }
    if (policy.is_terminal && hash) break;
  }
  return hash;
}

PoolKey RouterCall::key_for(const HostConfig& host) const {
  using Protocol = http::ClientOptions::Protocol;
  const ClusterConfig& cluster = upstream_->config();
  PoolKey key;
  key.address = host.address;
  key.transport_socket = host.transport_socket;
  const bool is_h2_request = request_.version == http::Version::kHttp2;
  switch (cluster.http) {
    case ClusterConfig::Http::kHttp1: key.protocol = Protocol::kHttp1; break;
    case ClusterConfig::Http::kHttp2: key.protocol = Protocol::kHttp2; break;
    case ClusterConfig::Http::kAuto: key.protocol = Protocol::kByAlpn; break;
    case ClusterConfig::Http::kDownstream:
      key.protocol = is_h2_request ? Protocol::kHttp2 : Protocol::kHttp1;
      break;
  }
  const TransportSocket& socket = cluster.transport_sockets[host.transport_socket];
  if (socket.tls != nullptr) {
    if (!stream_.info.alpn_override.empty()) key.alpn = stream_.info.alpn_override;
    else if (socket.tls->spec().options.alpn.empty()) {
      if (key.protocol == Protocol::kHttp2) key.alpn = {"h2"};
      if (key.protocol == Protocol::kByAlpn) key.alpn = {"h2", "http/1.1"};
    }
    if (cluster.is_sni_from_request) {
      const auto colon = request_.authority.rfind(':');
      key.server_name = request_.authority.substr(0, colon);
    }
  }
  return key;
}

http::Request RouterCall::request_for_try() {
  http::Request request = head_of(request_);
  if (replay_ != nullptr) request.body = replay_->open();
  else request.body = std::move(request_.body);
  const StreamInfo& info = stream_.info;
  if (info.virtual_host->is_attempt_count_sent)
    request.headers.set("x-envoy-attempt-count", std::to_string(info.upstream.attempts));
  if (action_.is_host_rewritten_to_upstream && !host_->hostname.empty())
    request.authority = request.headers.arena().copy(host_->hostname);
  return request;
}

void RouterCall::start_try() {
  StreamInfo& info = stream_.info;
  // The cluster may have been replaced while we waited: its old pools take no new calls.
  if (retries_ > 0)
    if (auto current = info.worker.find_cluster(info.upstream.cluster_name)) {
      upstream_ = std::move(current);
      info.upstream.cluster = upstream_->config_ref();
      stream_.keep_alive = upstream_;
    }
  ClusterState& state = upstream_->state();
  const ClusterConfig& cluster = upstream_->config();
  if (cluster.type == ClusterConfig::Type::kOriginalDst) {
    net::Address to = info.connection.local;
    if (cluster.is_original_dst_header_used)
      if (const auto header = request_.headers.get("x-envoy-original-dst-host"))
        if (const auto parsed = net::Address::parse(*header); parsed.ok()) to = *parsed;
    if (cluster.original_dst_port) to = net::Address(to.ip(), *cluster.original_dst_port);
    host_ = upstream_->host_for_address(to);
  } else {
    PickContext context;
    context.hash = hash_;
    if (policy_ && policy_->avoids_previous_hosts && !tried_.empty()) {
      context.avoid = &tried_;
      context.avoid_attempts = policy_->host_selection_attempts;
    }
    host_ = upstream_->pick(context);
  }
  if (host_ == nullptr) {
    upstream_->stats().add(ClusterStat::kCxNoneHealthy);
    return fail(503, "no healthy upstream", "no_healthy_upstream", Flag::kNoHealthyUpstream);
  }
  const CircuitBreaker& breaker = action_.is_high_priority ? cluster.high_breaker : cluster.breaker;
  const std::uint64_t active = state.requests.load(std::memory_order_relaxed);
  const PoolKey key = key_for(*host_);
  const bool is_h1 = key.protocol == http::ClientOptions::Protocol::kHttp1;
  if (active >= breaker.max_requests ||
      (is_h1 && active >= std::uint64_t{breaker.max_connections} + breaker.max_pending)) {
    upstream_->stats().add(ClusterStat::kRqPendingOverflow);
    return fail(503,
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
                "upstream_reset_before_response_started{overflow}", Flag::kUpstreamOverflow);
  }
  tried_.push_back(host_);
  ++info.upstream.attempts;
  info.upstream.host = host_;
  info.upstream.address = host_->address;
  if (host_->peer != nullptr && info.upstream.peer == nullptr) info.upstream.peer = host_->peer;
  is_in_flight_ = true;
  state.requests.fetch_add(1, std::memory_order_relaxed);
  upstream_->stats().add(ClusterStat::kRqTotal);
  upstream_->stats().add(ClusterStat::kRqActive);
  host_->state->rq_total.add();
  host_->state->rq_active.add();
  try_started_ = stream_.exchange.loop.now();
  http::Request request = request_for_try();
  info.request = head_of(request);
  stage_ = Stage::kWaiting;
  if (policy_ && policy_->per_try_timeout.count() > 0) try_timer_.arm(policy_->per_try_timeout);
  try_scope_ = std::make_unique<event::Scope>();
  upstream_->pool(host_, key)
      .call(*try_scope_, stream_.exchange, std::move(request),
            [this](http::CallResult result) { on_result(std::move(result)); });
}

void RouterCall::finish_try(bool is_success) {
  if (!is_in_flight_) return;
  is_in_flight_ = false;
  upstream_->state().requests.fetch_sub(1, std::memory_order_relaxed);
  upstream_->stats().add(ClusterStat::kRqActive, -1);
  upstream_->stats().add(ClusterStat::kRqCompleted, is_success ? 1 : 0);
  host_->state->rq_active.add(-1);
}

void RouterCall::note_upstream(const net::Stream* stream) {
  if (stream == nullptr) return;
  UpstreamInfo& upstream = stream_.info.upstream;
  upstream.local = stream->local_address();
  const net::TlsInfo* tls = stream->tls();
  upstream.has_tls = tls != nullptr;
  if (tls == nullptr) return;
  upstream.tls_version = tls->version;
  upstream.peer_uri_sans = tls->peer_uri_sans;
}

void RouterCall::on_result(http::CallResult result) {
  try_timer_.cancel();
  note_upstream(result.stream);
  if (result.error) return on_error(*result.error);
  on_response(std::move(result));
}

bool RouterCall::should_retry_error(const http::CallError& error) const {
  const std::uint32_t on = policy_ ? policy_->on : 0;
  if (on & (RetryPolicy::k5xx | RetryPolicy::kGatewayError | RetryPolicy::kReset)) return true;
  if (error.is_connect_failure && (on & RetryPolicy::kConnectFailure)) return true;
  if (error.is_refused_stream && (on & RetryPolicy::kRefusedStream)) return true;
  return error.sent == http::Sent::kNothing && (on & RetryPolicy::kResetBeforeRequest) != 0;
}

bool RouterCall::should_retry_response(const http::Response& response) const {
  const std::uint32_t on = policy_ ? policy_->on : 0;
  const int status = response.status;
  if ((on & RetryPolicy::k5xx) && status >= 500) return true;
  if ((on & RetryPolicy::kGatewayError) && status >= 502 && status <= 504) return true;
  if ((on & RetryPolicy::kRetriable4xx) && status == 409) return true;
  if (on & RetryPolicy::kRetriableStatusCodes)
    if (std::find(policy_->status_codes.begin(), policy_->status_codes.end(), status) !=
        policy_->status_codes.end())
      return true;
  if (on & RetryPolicy::kRetriableHeaders) {
    http::Request view(stream_.exchange.arena);
    view.headers = response.headers;
    for (const auto& matcher : policy_->retriable_headers)
      if (matcher.matches(view)) return true;
  }
  if (const auto grpc = response.headers.get("grpc-status")) {
    if (*grpc == "1") return (on & RetryPolicy::kGrpcCancelled) != 0;
    if (*grpc == "4") return (on & RetryPolicy::kGrpcDeadlineExceeded) != 0;
    if (*grpc == "8") return (on & RetryPolicy::kGrpcResourceExhausted) != 0;
    if (*grpc == "13") return (on & RetryPolicy::kGrpcInternal) != 0;
    if (*grpc == "14") return (on & RetryPolicy::kGrpcUnavailable) != 0;
  }
  return false;
}

bool RouterCall::retry() {
  if (retries_ >= most_retries_) {
    if (most_retries_ > 0) {
      stream_.info.flags.set(Flag::kRetryLimit);
      upstream_->stats().add(ClusterStat::kRqRetryLimit);
    }
    return false;
  }
  if (replay_ != nullptr && !replay_->is_replayable()) return false;
  ClusterState& state = upstream_->state();
  if (state.retries.load(std::memory_order_relaxed) >= upstream_->config().breaker.max_retries) {
    upstream_->stats().add(ClusterStat::kRqRetryOverflow);
    stream_.info.flags.set(Flag::kUpstreamOverflow);
    return false;
  }
  ++retries_;
  upstream_->stats().add(ClusterStat::kRqRetry);
  finish_try(false);
  stage_ = Stage::kTrying;
  const std::int64_t ceiling = std::min<std::int64_t>(
      policy_->base_interval.count() * ((std::int64_t{1} << std::min(retries_, 20u)) - 1),
      policy_->max_interval.count());
  const auto wait =
      ceiling <= 0 ? 0
                   : stream_.exchange.loop.random().below(static_cast<std::uint64_t>(ceiling)) + 1;
  // The scope goes with the next try: this may run inside its completion.
  backoff_timer_.arm(milliseconds(wait));
  return true;
}

void RouterCall::on_error(const http::CallError& error) {
  StreamInfo& info = stream_.info;
  if (error.error.code() == Code::kResourceExhausted) {
    upstream_->stats().add(ClusterStat::kRqPendingOverflow);
    finish_try(false);
    return fail(503,
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
                "upstream_reset_before_response_started{overflow}", Flag::kUpstreamOverflow);
  }
  upstream_->report_local_failure(*host_);
  if (error.is_connect_failure) info.upstream.transport_failure = error.error.message();
  else upstream_->stats().add(ClusterStat::kRqRxReset);
  if (should_retry_error(error) && retry()) return;
  finish_try(false);
  std::string reason = "connection termination";
  Flag flag = Flag::kUpstreamConnectionEnded;
  if (error.is_connect_failure) {
    reason = error.error.code() == Code::kDeadlineExceeded ? "connection timeout"
                                                           : "remote connection failure";
    flag = Flag::kUpstreamConnectFailure;
  } else if (error.is_refused_stream ||
             (error.is_reset && request_.version == http::Version::kHttp2)) {
    reason = "remote reset";
    flag = Flag::kUpstreamReset;
  } else if (error.error.code() == Code::kInvalidArgument) {
    reason = "protocol error";
    flag = Flag::kUpstreamProtocolError;
  }
  std::string body = "upstream connect error or disconnect/reset before headers. ";
  if (retries_ > 0)
    body = "upstream connect error or disconnect/reset before headers. retried and the latest ";
  body += "reset reason: " + reason;
  if (error.is_connect_failure) body += ", transport failure reason: " + error.error.message();
  fail(flag == Flag::kUpstreamProtocolError ? 502 : 503, std::move(body),
       "upstream_reset_before_response_started{" + replace_all(reason, " ", "_") + "}", flag);
}

void RouterCall::on_response(http::CallResult result) {
  http::Response& response = *result.response;
  const int status = response.status;
  if (status >= 100 && status < 600)
    upstream_->stats().add(
        static_cast<ClusterStat>(static_cast<int>(ClusterStat::kRq1xx) + status / 100 - 1));
  int judged = status;
  if (const auto grpc = response.headers.get("grpc-status"); grpc && status == 200)
    judged = *grpc == "14" ? 503 : *grpc == "13" || *grpc == "2" ? 500 : 200;
  upstream_->report_result(*host_, judged);
  if (should_retry_response(response) && retry()) return;
  if (retries_ > 0 && status < 500) upstream_->stats().add(ClusterStat::kRqRetrySuccess);
  StreamInfo& info = stream_.info;
  if (!options_.is_envoy_header_suppressed) {
    const auto spent =
        std::chrono::duration_cast<milliseconds>(stream_.exchange.loop.now() - try_started_);
    response.headers.set("x-envoy-upstream-service-time", std::to_string(spent.count()));
  }
  if (info.virtual_host->is_attempt_count_returned)
    response.headers.set("x-envoy-attempt-count", std::to_string(info.upstream.attempts));
  if (!cookie_to_set_.empty()) response.headers.add("set-cookie", cookie_to_set_);
  info.details = "via_upstream";
  info.response_headers = response.headers;
  info.status = status;
  apply_response_rules(info, response.headers);
  stage_ = Stage::kAnswered;
  timer_.cancel();
  answer(std::move(response));
}

void RouterCall::on_timeout() {
  if (stage_ == Stage::kAnswered) return;
  backoff_timer_.cancel();
  try_timer_.cancel();
  try_scope_.reset();
  upstream_->stats().add(ClusterStat::kRqTimeout);
  if (host_ != nullptr) {
    host_->state->rq_timeout.add();
    upstream_->report_result(*host_, 504);
  }
  finish_try(false);
  fail(504, "upstream request timeout", "response_timeout", Flag::kUpstreamTimeout);
}

void RouterCall::on_try_timeout() {
  if (stage_ != Stage::kWaiting) return;
  try_scope_.reset();
  upstream_->stats().add(ClusterStat::kRqPerTryTimeout);
  host_->state->rq_timeout.add();
  upstream_->report_result(*host_, 504);
  const std::uint32_t on = policy_ ? policy_->on : 0;
  if ((on & (RetryPolicy::k5xx | RetryPolicy::kGatewayError | RetryPolicy::kReset)) != 0 && retry())
    return;
  finish_try(false);
  fail(504, "upstream request timeout", "upstream_per_try_timeout", Flag::kUpstreamTimeout);
}

void RouterCall::answer(http::Response response) {
  http::Done done = std::move(done_);
  done(std::move(response));
}

void RouterCall::fail(int status, std::string body, std::string_view details, Flag flag) {
  timer_.cancel();
  try_timer_.cancel();
  stage_ = Stage::kAnswered;
  auto response = local_reply(stream_, status, std::move(body), details, flag);
  if (flag == Flag::kUpstreamOverflow) response.headers.set("x-envoy-overloaded", "true");
  stream_.info.status = response.status;
  apply_response_rules(stream_.info, response.headers);
  answer(std::move(response));
}

}  // namespace lateen::proxy
