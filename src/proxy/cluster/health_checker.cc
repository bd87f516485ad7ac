// A Probe is one check on one host: wait, ask, judge. Its connection is its own.

#include "proxy/cluster/health_checker.h"

#include <algorithm>

#include "base/log.h"
#include "proxy/cluster/host_connector.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostAnswerBytes = 64 * 1024;

enum class Verdict : unsigned char { kGood, kBad, kLost };  // kBad counts at once, kLost adds up

bool is_in(const std::vector<std::pair<int, int>>& ranges, int status) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) {
    return status >= range.first && status < range.second;
  });
}

// grpc.health.v1.HealthCheckRequest in a gRPC frame.
std::string grpc_question(const std::string& service) {
  std::string message;
  if (!service.empty()) message = std::string("\x0a") + static_cast<char>(service.size()) + service;
  std::string frame(4, '\0');
  return frame + static_cast<char>(message.size()) + message;
}

// HealthCheckResponse.status is SERVING (1).
bool is_serving(const std::string& frame) {
  return frame.size() >= 7 && frame[0] == 0 && frame[5] == 0x08 && frame[6] == 0x01;
}

}  // namespace

class HealthChecker::Probe {
 public:
  Probe(HealthChecker& checker, HostRef host, const HealthCheck& check)
      : checker_(checker),
        host_(std::move(host)),
        check_(check),
        timer_(checker.loop_, [this] { ask(); }),
        limit_(checker.loop_, [this] { finish(Verdict::kLost, "timeout"); }) {
    const auto jitter = static_cast<std::uint64_t>(check_.initial_jitter.count());
    timer_.arm(milliseconds(
        jitter == 0 ? 0 : static_cast<std::int64_t>(checker_.loop_.random().below(jitter))));
  }

 private:
  std::unique_ptr<HostConnector> connector(std::vector<std::string> alpn) {
    return std::make_unique<HostConnector>(checker_.loop_, checker_.surroundings_,
                                           checker_.cluster_, host_, std::move(alpn), std::string(),
                                           nullptr);
  }

  void ask() {
    checker_.cluster_->state->stats->add(ClusterStat::kHealthAttempt);
    limit_.arm(check_.timeout);
    if (check_.kind == HealthCheck::Kind::kTcp) ask_tcp();
    else ask_http();
  }

  void ask_http() {
    const bool is_h2 = check_.is_http2 || check_.kind == HealthCheck::Kind::kGrpc;
    if (pool_ == nullptr) {
      http::ClientOptions options;
      options.protocol =
          is_h2 ? http::ClientOptions::Protocol::kHttp2 : http::ClientOptions::Protocol::kHttp1;
      options.connect_timeout = check_.timeout;
      options.max_connections = 1;
      const bool is_tls =
          checker_.cluster_->transport_sockets[host_->transport_socket].tls != nullptr;
      std::vector<std::string> alpn;
      if (is_tls) alpn = {is_h2 ? "h2" : "http/1.1"};
      pool_ = http::make_client_pool(checker_.loop_, connector(std::move(alpn)), options);
    }
    exchange_ = std::make_unique<http::Exchange>(checker_.loop_, info_);
    Arena& arena = exchange_->arena;
    http::Request request(arena);
    request.version = is_h2 ? http::Version::kHttp2 : http::Version::kHttp11;
    request.scheme = "http";
    request.authority = check_.host.empty() ? std::string_view(checker_.cluster_->name)
                                            : std::string_view(check_.host);
    if (check_.kind == HealthCheck::Kind::kGrpc) {
      request.method = "POST";
      request.path = "/grpc.health.v1.Health/Check";
      request.headers.add("content-type", "application/grpc");
      request.headers.add("te", "trailers");
      request.body = http::Body::of(grpc_question(check_.service));
    } else {
      request.method = check_.method;
      request.path = check_.path;
    }
    request.headers.add("user-agent", "Envoy/HC");
    for (const auto& [name, value] : check_.headers) request.headers.add(name, value);
    call_ = std::make_unique<event::Scope>();
    pool_->call(*call_, *exchange_, std::move(request),
                [this](http::CallResult result) { on_answer(std::move(result)); });
  }

  void on_answer(http::CallResult result) {
    if (result.error) {
      checker_.cluster_->state->stats->add(ClusterStat::kHealthNetworkFailure);
      return finish(Verdict::kLost, result.error->error.message());
    }
    status_ = result.response->status;
    http::read_all(*call_, checker_.loop_, std::move(result.response->body), kMostAnswerBytes,
                   [this](Result<Buffer> body) { on_body(std::move(body)); });
  }

  void on_body(Result<Buffer> body) {
    if (!body.ok()) return finish(Verdict::kLost, body.error().message());
    if (check_.kind == HealthCheck::Kind::kGrpc)
      return is_serving(body->to_string()) ? finish(Verdict::kGood, {})
                                           : finish(Verdict::kBad, "it does not say SERVING");
    const std::string told = "status " + std::to_string(status_);
    if (is_in(check_.expected, status_)) return finish(Verdict::kGood, {});
    finish(is_in(check_.retriable, status_) ? Verdict::kLost : Verdict::kBad, told);
  }

  void ask_tcp() {
    call_ = std::make_unique<event::Scope>();
    connector({})->connect(
        *call_, check_.timeout, [this](Result<std::unique_ptr<net::Stream>> stream) {
          if (!stream.ok()) {
            checker_.cluster_->state->stats->add(ClusterStat::kHealthNetworkFailure);
            return finish(Verdict::kLost, stream.error().message());
          }
          if (check_.receive.empty() && check_.send.empty()) return finish(Verdict::kGood, {});
          stream_ = *std::move(stream);
          Buffer out(check_.send);
          stream_->write(out);
          if (check_.receive.empty()) return finish(Verdict::kGood, {});
          stream_->on_ready([this](bool, bool) { on_tcp_bytes(); });
          on_tcp_bytes();
        });
  }

  void on_tcp_bytes() {
    if (stream_ == nullptr) return;
    bool is_over = false;
    while (!is_over && received_.size() < kMostAnswerBytes) {
      Buffer read;
      const net::Io io = stream_->read(read, 4096);
      received_ += read.to_string();
      if (io.state == net::IoState::kAgain) break;
      is_over = io.state != net::IoState::kOk;
    }
    std::size_t at = 0;
    for (const auto& part : check_.receive) {
      const auto found = received_.find(part, at);
      if (found == std::string::npos) {
        if (is_over || received_.size() >= kMostAnswerBytes)
          finish(Verdict::kLost, "the expected bytes did not come");
        return;
      }
      at = found + part.size();
    }
    finish(Verdict::kGood, {});
  }

  void finish(Verdict verdict, const std::string& why) {
    limit_.cancel();
    // Frames of the call and the stream may be on the stack.
    checker_.loop_.defer([call = std::shared_ptr<event::Scope>(std::move(call_)),
                          exchange = std::shared_ptr<http::Exchange>(std::move(exchange_)),
                          stream = std::shared_ptr<net::Stream>(std::move(stream_))] {});
    received_.clear();
    if (verdict == Verdict::kLost || !check_.is_connection_reused)
      checker_.loop_.defer([pool = std::shared_ptr<http::ClientPool>(std::move(pool_))] {});
    auto& stats = *checker_.cluster_->state->stats;
    stats.add(verdict == Verdict::kGood ? ClusterStat::kHealthSuccess
                                        : ClusterStat::kHealthFailure);
    const bool was_failed = host_->state->is_check_failed.load();
    bool is_failed = was_failed;
    if (verdict == Verdict::kGood) {
      failures_ = 0;
      // The first answer of all decides alone.
      if (++successes_ >= check_.healthy_threshold || is_first_) is_failed = false;
    } else {
      successes_ = 0;
      if (++failures_ >= check_.unhealthy_threshold || verdict == Verdict::kBad || is_first_)
        is_failed = true;
    }
    is_first_ = false;
    if (is_failed != was_failed) {
      host_->state->is_check_failed = is_failed;
      if (!is_failed) host_->state->available_at = checker_.loop_.now().time_since_epoch().count();
      LOG(kInfo, "health", "cluster {}: {} is {}{}{}", checker_.cluster_->name,
          host_->address.to_string(), is_failed ? "unhealthy" : "healthy", why.empty() ? "" : ": ",
          why);
      checker_.on_change_();
    }
    timer_.arm(wait(is_failed, is_failed != was_failed));
  }

  milliseconds wait(bool is_failed, bool is_edge) const {
    milliseconds span = check_.interval;
    const bool has_traffic = checker_.cluster_->state->stats->value(ClusterStat::kRqTotal) > 0;
    if (!has_traffic && !is_failed) span = check_.no_traffic_interval;
    if (is_failed && check_.unhealthy_interval.count() > 0) span = check_.unhealthy_interval;
    const milliseconds edge =
        is_failed ? check_.unhealthy_edge_interval : check_.healthy_edge_interval;
    if (is_edge && edge.count() > 0) span = edge;
    const auto jitter = static_cast<std::uint64_t>(check_.interval_jitter.count());
    if (jitter > 0)
      span += milliseconds(static_cast<std::int64_t>(checker_.loop_.random().below(jitter)));
    return std::max(milliseconds(1), span);
  }

  HealthChecker& checker_;
  HostRef host_;
  const HealthCheck& check_;
  std::uint32_t successes_ = 0, failures_ = 0;
  bool is_first_ = true;
  int status_ = 0;
  std::string received_;
  http::ConnectionInfo info_;
  std::unique_ptr<http::Exchange> exchange_;
  std::unique_ptr<net::Stream> stream_;
  event::Timer timer_;
  event::Timer limit_;
  std::unique_ptr<http::ClientPool> pool_;
  std::unique_ptr<event::Scope> call_;  // last: dies first
};

HealthChecker::HealthChecker(event::Loop& loop, Surroundings& surroundings, ClusterRef cluster,
                             std::function<void()> on_change)
    : loop_(loop),
      surroundings_(surroundings),
      cluster_(std::move(cluster)),
      on_change_(std::move(on_change)) {}

HealthChecker::~HealthChecker() = default;

void HealthChecker::set_hosts(const EndpointSet& endpoints) {
  std::map<std::string, HostRef> wanted;
  for (const auto& priority : endpoints.priorities)
    for (const auto& group : priority)
      for (const auto& host : group.hosts)
        wanted.emplace(host->address.to_string() + host->special_key(), host);
  std::erase_if(probes_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  for (const auto& [key, host] : wanted) {
    auto& probes = probes_[key];
    if (!probes.empty()) continue;
    host->state->is_check_failed = true;
    for (const auto& check : cluster_->health_checks)
      probes.push_back(std::make_unique<Probe>(*this, host, check));
  }
}

}  // namespace lateen::proxy
