// Tries: pick a host, send, judge the outcome, maybe try again; and the timers over them. Time
// limits on the answer count from the last byte of the request.

#include <algorithm>

#include "base/strings.h"
#include "proxy/http/config.h"
#include "proxy/http/router.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostReplayedBytes = 1u << 20;

PassageRef passage_of(const StreamInfo& info) {
  auto made = std::make_shared<Passage>();
  made->source = info.connection.remote;
  made->destination = info.connection.local;
  made->state = info.state;
  return made;
}

// The labels that the route, and before it the chosen cluster of a weighted choice, ask of hosts.
const data::JsonObject* subset_of(const StreamInfo& info, const Forward& action) {
  for (const auto& one : action.weighted)
    if (one.name == info.cluster_choice && !one.metadata_match.empty()) return &one.metadata_match;
  return action.metadata_match.empty() ? nullptr : &action.metadata_match;
}

}  // namespace

RouterCall::Try::Try(HttpState& on, UpstreamRef to, HostRef chosen)
    : stream(on),
      upstream(std::move(to)),
      host(std::move(chosen)),
      started(on.exchange.loop.now()) {
  upstream->state().requests.fetch_add(1, std::memory_order_relaxed);
  upstream->stats().add(ClusterStat::kRqTotal);
  upstream->stats().add(ClusterStat::kRqActive);
  host->state->rq_total.add();
  host->state->rq_active.add();
}

void RouterCall::Try::finish(bool is_success) {
  if (!is_in_flight) return;
  is_in_flight = false;
  upstream->state().requests.fetch_sub(1, std::memory_order_relaxed);
  upstream->stats().add(ClusterStat::kRqActive, -1);
  upstream->stats().add(ClusterStat::kRqCompleted, is_success ? 1 : 0);
  host->state->rq_active.add(-1);
}

RouterCall::Try::~Try() {
  if (!is_in_flight) return;
  const bool is_cut = !stream.info.finished;
  if (is_cut) upstream->stats().add(ClusterStat::kRqCancelled);
  finish(!is_cut);
}

RouterCall::RouterCall(HttpState& stream, const Forward& action, UpstreamRef upstream,
                       http::Request request, const Router::Options& options,
                       std::unique_ptr<RequestOverrides> asked, http::Done done)
    : stream_(stream),
      action_(action),
      upstream_(std::move(upstream)),
      request_(std::move(request)),
      options_(options),
      done_(std::move(done)),
      timer_(stream.exchange.loop, [this] { on_timeout(); }),
      try_timer_(stream.exchange.loop, [this] { on_try_timeout(); }),
      idle_timer_(stream.exchange.loop, [this] { on_try_idle(); }),
      duration_timer_(stream.exchange.loop, [this] { on_try_duration(); }),
      backoff_timer_(stream.exchange.loop, [this] { start_try(); }) {
  policy_ = action_.retry ? &*action_.retry : nullptr;
  static const RequestOverrides kNone;
  const RequestOverrides& overrides = asked != nullptr ? *asked : kNone;
  stream_duration_ = overrides.stream_duration;
  if (overrides.has_retry()) {
    own_policy_ = std::make_unique<RetryPolicy>(policy_ != nullptr ? *policy_ : RetryPolicy());
    own_policy_->on |= overrides.retry_on;
    own_policy_->status_codes.insert(own_policy_->status_codes.end(),
                                     overrides.status_codes.begin(), overrides.status_codes.end());
    for (const auto& name : overrides.header_names)
      own_policy_->retriable_headers.push_back(HeaderMatcher::present(name));
    policy_ = own_policy_.get();
  }
  is_hedged_ = overrides.is_hedged.value_or(action_.is_hedged);
  timeout_ = action_.timeout;
  if (action_.max_grpc_timeout && stream_.info.is_grpc) {
    timeout_ = grpc_timeout_of(request_.headers).value_or(milliseconds(0));
    is_client_deadline_ = timeout_.count() > 0;
    if (timeout_ > action_.grpc_timeout_offset) timeout_ -= action_.grpc_timeout_offset;
    const milliseconds most = *action_.max_grpc_timeout;
    if (most.count() > 0 && (timeout_.count() == 0 || timeout_ > most)) {
      timeout_ = most;
      is_client_deadline_ = false;
    }
  }
  if (overrides.timeout) timeout_ = *overrides.timeout;
  if (policy_ != nullptr) per_try_timeout_ = policy_->per_try_timeout;
  if (overrides.per_try_timeout) per_try_timeout_ = *overrides.per_try_timeout;
  // A try that may take as long as everything needs no limit of its own.
  if (timeout_.count() > 0 && per_try_timeout_ >= timeout_) per_try_timeout_ = milliseconds(0);
  if (!request_.upgrade.empty() || request_.method == "CONNECT") {
    timeout_ = milliseconds(0);
    return;
  }
  if (policy_ == nullptr) return;
  most_retries_ = overrides.most_retries.value_or(policy_->attempts);
  if (policy_->request_headers.empty()) return;
  const bool is_wanted =
      std::any_of(policy_->request_headers.begin(), policy_->request_headers.end(),
                  [&](const HeaderMatcher& one) { return one.matches(request_); });
  if (!is_wanted) most_retries_ = 0;
}

RouterCall::~RouterCall() {
  if (counted_in_ != nullptr) counted_in_->retries.fetch_sub(1, std::memory_order_relaxed);
}

void RouterCall::start() {
  hash_ = hash_request(stream_, action_, request_, cookie_to_set_);
  has_body_ = !request_.body.empty();
  if (most_retries_ > 0 && has_body_)
    replay_ = std::make_unique<ReplayBody>(std::move(request_.body), kMostReplayedBytes);
  const milliseconds expected = per_try_timeout_.count() > 0 ? per_try_timeout_ : timeout_;
  if (expected.count() > 0 && !options_.is_envoy_header_suppressed)
    request_.headers.set("x-envoy-expected-rq-timeout-ms", std::to_string(expected.count()));
  if (expected.count() > 0 && stream_.info.is_grpc && action_.max_grpc_timeout)
    request_.headers.set("grpc-timeout", grpc_timeout_text(expected));
  stream_.info.upstream.attempts = 0;
  if (stream_.info.request_complete) arm_timeouts();
  start_try();
}

void RouterCall::on_request_complete() {
  arm_timeouts();
  arm_try_timeouts();
}

void RouterCall::arm_timeouts() {
  if (timeout_.count() > 0 && !stream_.info.finished) timer_.arm(timeout_);
}

void RouterCall::arm_try_timeouts() {
  if (stage_ != Stage::kWaiting) return;
  if (per_try_timeout_.count() > 0) try_timer_.arm(per_try_timeout_);
  if (policy_ != nullptr && policy_->per_try_idle_timeout.count() > 0) {
    stream_.last_response_byte = stream_.exchange.loop.now();
    idle_timer_.arm(policy_->per_try_idle_timeout);
  }
}

PoolKey RouterCall::key_for(const HostConfig& host) const {
  using Protocol = http::ClientOptions::Protocol;
  const ClusterConfig& cluster = upstream_->config();
  PoolKey key = upstream_->key_of(host);
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
      std::string_view name = request_.authority;
      if (!cluster.sni_header.empty())
        if (const auto said = request_.headers.get(cluster.sni_header); said && !said->empty())
          name = *said;
      key.server_name = name.substr(0, name.rfind(':'));
    }
  }
  return key;
}

http::Request RouterCall::request_for_try(const Try& current) {
  http::Request request = head_of(request_);
  if (replay_ != nullptr) request.body = replay_->open();
  else request.body = std::move(request_.body);
  const StreamInfo& info = stream_.info;
  if (info.virtual_host->is_attempt_count_sent)
    request.headers.set("x-envoy-attempt-count", std::to_string(info.upstream.attempts));
  if (action_.is_host_rewritten_to_upstream && !current.host->hostname.empty())
    request.authority = request.headers.arena().copy(current.host->hostname);
  return request;
}

HostRef RouterCall::pick_host() {
  const ClusterConfig& cluster = upstream_->config();
  if (cluster.type == ClusterConfig::Type::kOriginalDst) {
    net::Address to = stream_.info.connection.local;
    if (!cluster.original_dst_header.empty())
      if (const auto header = request_.headers.get(cluster.original_dst_header))
        if (const auto parsed = net::Address::parse(*header); parsed.ok() && !parsed->is_unix())
          to = *parsed;
    if (cluster.original_dst_port) to = net::Address(to.ip(), *cluster.original_dst_port);
    return upstream_->host_for_address(to);
  }
  if (cluster.type == ClusterConfig::Type::kDynamicForward)
    return upstream_->host_for_name(request_.authority, request_.scheme == "https" ? 443 : 80);
  if (stream_.info.wanted_host && tried_.empty()) {
    HostRef wanted = upstream_->usable_host(*stream_.info.wanted_host);
    if (wanted != nullptr || stream_.info.is_wanted_host_strict) return wanted;
  }
  PickContext context;
  context.hash = hash_;
  context.subset = subset_of(stream_.info, action_);
  if (policy_ != nullptr && !tried_.empty()) {
    if (policy_->avoids_previous_hosts) context.avoid = &tried_;
    if (policy_->avoids_previous_priorities) context.tried = &tried_;
    context.avoids_canaries = policy_->avoids_canaries;
    context.avoided_metadata = &policy_->avoided_metadata;
    context.avoid_attempts = policy_->host_selection_attempts;
  }
  return upstream_->pick(context);
}

void RouterCall::start_try() {
  StreamInfo& info = stream_.info;
  gone_.clear();
  // The cluster may have been replaced while we waited: its old pools take no new calls.
  if (info.upstream.attempts > 0)
    if (auto current = info.worker.find_cluster(info.upstream.cluster_name)) {
      upstream_ = std::move(current);
      info.upstream.cluster = upstream_->config_ref();
      stream_.keep_alive = upstream_;
    }
  const HostRef host = pick_host();
  if (host == nullptr) {
    upstream_->stats().add(ClusterStat::kCxNoneHealthy);
    return fail(503, "no healthy upstream", "no_healthy_upstream", Flag::kNoHealthyUpstream);
  }
  const ClusterConfig& cluster = upstream_->config();
  const CircuitBreaker& breaker = action_.is_high_priority ? cluster.high_breaker : cluster.breaker;
  const std::uint64_t active = upstream_->state().requests.load(std::memory_order_relaxed);
  PoolKey key = key_for(*host);
  PassageRef passage;
  if (upstream_->needs_passage(*host)) {
    passage = passage_of(info);
    key.special += '\n' + passage->key();
  }
  const bool is_h1 = key.protocol == http::ClientOptions::Protocol::kHttp1;
  if (active >= breaker.max_requests ||
      (is_h1 && active >= std::uint64_t{breaker.max_connections} + breaker.max_pending)) {
    upstream_->stats().add(ClusterStat::kRqPendingOverflow);
    return fail(503,
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
                "upstream_reset_before_response_started{overflow}", Flag::kUpstreamOverflow);
  }
  tried_.push_back(host);
  ++info.upstream.attempts;
  info.upstream.host = host;
  info.upstream.address = host->address;
  if (host->peer != nullptr && info.upstream.peer == nullptr) info.upstream.peer = host->peer;
  tries_.push_back(std::make_unique<Try>(stream_, upstream_, host));
  Try& current = *tries_.back();
  http::Request request = request_for_try(current);
  info.request = head_of(request);
  stage_ = Stage::kWaiting;
  if (info.request_complete) arm_try_timeouts();
  const milliseconds duration = stream_duration_.value_or(cluster.max_stream_duration);
  if (duration.count() > 0) duration_timer_.arm(duration);
  upstream_->pool(host, key, std::move(passage))
      .call(current.scope, stream_.exchange, std::move(request),
            [this, &current](http::CallResult result) { on_result(current, std::move(result)); });
}

// The try is over; what it has under way is cancelled. Freed later: its frame may be on the stack.
void RouterCall::drop(Try& gone) {
  gone.finish(false);
  const auto at = std::find_if(tries_.begin(), tries_.end(),
                               [&](const auto& one) { return one.get() == &gone; });
  if (at == tries_.end()) return;
  gone_.push_back(std::move(*at));
  tries_.erase(at);
}

void RouterCall::drop_all() {
  while (!tries_.empty()) drop(*tries_.back());
  for (const auto& one : gone_) one->scope.cancel_all();
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

void RouterCall::on_result(Try& from, http::CallResult result) {
  if (!from.is_late) try_timer_.cancel();
  note_upstream(result.stream);
  if (result.error) return on_error(from, *result.error);
  on_response(from, std::move(result));
}

void RouterCall::on_error(Try& from, const http::CallError& error) {
  StreamInfo& info = stream_.info;
  const HostRef host = from.host;
  drop(from);
  if (error.error.code() == Code::kResourceExhausted) {
    upstream_->stats().add(ClusterStat::kRqPendingOverflow);
    return fail(503,
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
                "upstream_reset_before_response_started{overflow}", Flag::kUpstreamOverflow);
  }
  if (error.error.blame() == Blame::kDownstream && error.error.code() == Code::kInvalidArgument)
    return fail(400, error.error.message(), "http1.codec_error", Flag::kDownstreamProtocolError);
  if (may_repeat_silently(error)) {
    ++silent_repeats_;
    stage_ = Stage::kTrying;
    return backoff_timer_.arm(nanoseconds(0));
  }
  upstream_->report_local_failure(*host);
  if (error.is_connect_failure) info.upstream.transport_failure = error.error.message();
  else upstream_->stats().add(ClusterStat::kRqRxReset);
  if (should_retry_error(error) && retry(nullptr)) return;
  if (!tries_.empty()) return;  // A late one may still answer.
  std::string reason = "connection termination";
  Flag flag = Flag::kUpstreamConnectionEnded;
  if (error.is_connect_failure) {
    reason = error.error.code() == Code::kDeadlineExceeded ? "connection timeout"
                                                           : "remote connection failure";
    flag = Flag::kUpstreamConnectFailure;
  } else if (error.error.code() == Code::kInternal && error.error.blame() == Blame::kUpstream) {
    // What it answered is no HTTP.
    reason = "protocol error";
    flag = Flag::kUpstreamProtocolError;
  } else if (error.is_refused_stream ||
             (error.is_reset && request_.version == http::Version::kHttp2)) {
    reason = "remote reset";
    flag = Flag::kUpstreamReset;
  } else if (error.error.code() == Code::kInvalidArgument) {
    reason = "protocol error";
    flag = Flag::kUpstreamProtocolError;
  }
  std::string body = "upstream connect error or disconnect/reset before headers. ";
  if (retries_ > 0) body += "retried and the latest ";
  body += "reset reason: " + reason;
  if (error.is_connect_failure) body += ", transport failure reason: " + error.error.message();
  fail(flag == Flag::kUpstreamProtocolError ? 502 : 503, std::move(body),
       "upstream_reset_before_response_started{" + replace_all(reason, " ", "_") + "}", flag);
}

void RouterCall::on_response(Try& from, http::CallResult result) {
  http::Response& response = *result.response;
  const int status = response.status;
  if (status >= 100 && status < 600)
    upstream_->stats().add(
        static_cast<ClusterStat>(static_cast<int>(ClusterStat::kRq1xx) + status / 100 - 1));
  int judged = status;
  if (const auto grpc = response.headers.get("grpc-status"); grpc && status == 200)
    judged = *grpc == "14" ? 503 : *grpc == "13" || *grpc == "2" ? 500 : 200;
  upstream_->report_result(*from.host, judged);
  if (should_retry_response(response) && retry(&response)) return drop(from);
  if (redirect_internally(response)) return drop_all();
  if (retries_ > 0 && status < 500) upstream_->stats().add(ClusterStat::kRqRetrySuccess);
  StreamInfo& info = stream_.info;
  info.upstream.host = from.host;
  info.upstream.address = from.host->address;
  if (!options_.is_envoy_header_suppressed) {
    const auto spent =
        std::chrono::duration_cast<milliseconds>(stream_.exchange.loop.now() - from.started);
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
  stream_.last_response_byte = stream_.exchange.loop.now();
  // Tries beside this one are no longer wanted. The timers go on: they are over the whole answer.
  while (tries_.size() > 1) drop(tries_.front().get() == &from ? *tries_.back() : *tries_.front());
  for (const auto& one : gone_) one->scope.cancel_all();
  backoff_timer_.cancel();
  if (counted_in_ != nullptr) {
    counted_in_->retries.fetch_sub(1, std::memory_order_relaxed);
    counted_in_.reset();
  }
  answer(std::move(response));
}

void RouterCall::on_timeout() {
  if (stream_.info.finished) return;
  upstream_->stats().add(ClusterStat::kRqTimeout);
  for (const auto& one : tries_) {
    one->host->state->rq_timeout.add();
    if (stage_ != Stage::kAnswered) upstream_->report_result(*one->host, 504);
  }
  if (stage_ == Stage::kAnswered) return cut("response_timeout", Flag::kUpstreamTimeout);
  drop_all();
  fail(504, "upstream request timeout", "response_timeout", Flag::kUpstreamTimeout);
}

void RouterCall::on_try_timeout() {
  if (stage_ != Stage::kWaiting || tries_.empty()) return;
  const std::uint32_t on = policy_ != nullptr ? policy_->on : 0;
  constexpr std::uint32_t kRetriable =
      RetryPolicy::k5xx | RetryPolicy::kGatewayError | RetryPolicy::kReset;
  if (is_hedged_ && (on & kRetriable) != 0 && retries_ < most_retries_) {
    upstream_->stats().add(ClusterStat::kRqPerTryTimeout);
    tries_.back()->is_late = true;
    if (retry(nullptr)) return;
  }
  time_out_try(ClusterStat::kRqPerTryTimeout, "upstream_per_try_timeout");
}

void RouterCall::time_out_try(ClusterStat stat, std::string_view details) {
  upstream_->stats().add(stat);
  for (const auto& one : tries_) {
    one->host->state->rq_timeout.add();
    upstream_->report_result(*one->host, 504);
  }
  drop_all();
  try_timer_.cancel();
  idle_timer_.cancel();
  duration_timer_.cancel();
  const std::uint32_t on = policy_ != nullptr ? policy_->on : 0;
  if ((on & (RetryPolicy::k5xx | RetryPolicy::kGatewayError | RetryPolicy::kReset)) != 0 &&
      retry(nullptr))
    return;
  fail(504, "upstream request timeout", details, Flag::kUpstreamTimeout);
}

void RouterCall::on_try_idle() {
  if (stream_.info.finished || stage_ == Stage::kTrying) return;
  const SteadyTime due = stream_.last_response_byte + policy_->per_try_idle_timeout;
  const SteadyTime now = stream_.exchange.loop.now();
  if (now < due) return idle_timer_.arm(due - now);
  if (stage_ != Stage::kAnswered)
    return time_out_try(ClusterStat::kRqPerTryIdleTimeout, "upstream_per_try_idle_timeout");
  upstream_->stats().add(ClusterStat::kRqPerTryIdleTimeout);
  cut("upstream_per_try_idle_timeout", Flag::kUpstreamTimeout);
}

void RouterCall::on_try_duration() {
  if (stream_.info.finished || stage_ == Stage::kTrying) return;
  if (stage_ != Stage::kAnswered)
    return time_out_try(ClusterStat::kRqMaxDuration, "upstream_max_stream_duration_reached");
  upstream_->stats().add(ClusterStat::kRqMaxDuration);
  cut("upstream_max_stream_duration_reached", Flag::kUpstreamMaxDuration);
}

void RouterCall::cut(std::string_view details, Flag flag) {
  stream_.info.flags.set(flag);
  stream_.info.details = details;
  stream_.cut();
}

void RouterCall::answer(http::Response response) {
  http::Done done = std::move(done_);
  done(std::move(response));
}

void RouterCall::fail(int status, std::string body, std::string_view details, Flag flag) {
  for (event::Timer* timer : {&timer_, &try_timer_, &idle_timer_, &duration_timer_})
    timer->cancel();
  backoff_timer_.cancel();
  stage_ = Stage::kAnswered;
  auto response = local_reply(stream_, status, std::move(body), details, flag);
  // A client hears of its own deadline what it would have said itself, whoever notices first.
  if (is_client_deadline_ && stream_.info.is_grpc && details == "response_timeout")
    response.headers.set("grpc-status", "4");
  if (flag == Flag::kUpstreamOverflow) response.headers.set("x-envoy-overloaded", "true");
  stream_.info.status = response.status;
  apply_response_rules(stream_.info, response.headers);
  answer(std::move(response));
}

}  // namespace lateen::proxy
