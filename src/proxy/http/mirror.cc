// A mirrored request lives on its own: it must not end with the exchange that caused it, nor
// outlive its time limit.

#include "proxy/http/mirror.h"

#include "proxy/worker/worker.h"

namespace lateen::proxy {
namespace {

constexpr milliseconds kMirrorLimit{15'000};

// Owns itself; gone when the answer is read, failed or late.
class MirrorCall {
 public:
  MirrorCall(event::Loop& loop, UpstreamRef upstream)
      : loop_(loop),
        upstream_(std::move(upstream)),
        exchange_(loop, info_),
        timer_(loop, [this] { finish(); }) {}

  void start(const HostRef& host, const PoolKey& key, const http::Request& original,
             const std::string& body, const std::string& authority) {
    http::Request request(exchange_.arena);
    Arena& arena = exchange_.arena;
    request.method = arena.copy(original.method);
    request.scheme = arena.copy(original.scheme);
    request.authority = arena.copy(authority);
    request.path = arena.copy(original.path);
    request.version = original.version;
    for (const auto& field : original.headers) request.headers.add(field.name, field.value);
    if (!body.empty()) request.body = http::Body::of(body);
    timer_.arm(kMirrorLimit);
    upstream_->stats().add(ClusterStat::kRqTotal);
    upstream_->pool(host, key).call(
        scope_, exchange_, std::move(request), [this](http::CallResult result) {
          if (!result.response) return finish();
          upstream_->stats().add(
              static_cast<ClusterStat>(static_cast<int>(ClusterStat::kRq1xx) +
                                       std::clamp(result.response->status / 100, 1, 5) - 1));
          constexpr std::size_t kMostRead = 64u << 20;
          http::read_all(scope_, loop_, std::move(result.response->body), kMostRead,
                         [this](Result<Buffer>) { finish(); });
        });
  }

 private:
  void finish() {
    if (std::exchange(is_done_, true)) return;
    timer_.cancel();
    loop_.defer([this] { delete this; });
  }

  event::Loop& loop_;
  UpstreamRef upstream_;
  bool is_done_ = false;
  http::ConnectionInfo info_;
  http::Exchange exchange_;
  event::Timer timer_;
  event::Scope scope_;
};

}  // namespace

void send_mirrors(HttpState& stream, const Forward& action, const http::Request& request,
                  const std::string& body) {
  Worker& worker = stream.info.worker;
  for (const auto& mirror : action.mirrors) {
    if (worker.loop().random().below(1'000'000) >= mirror.millionths) continue;
    std::string_view cluster = mirror.cluster;
    if (cluster.empty()) cluster = header_of(request, mirror.cluster_header).value_or("");
    UpstreamRef upstream = worker.find_cluster(cluster);
    if (upstream == nullptr) continue;
    const HostRef host = upstream->pick({});
    if (host == nullptr) continue;
    PoolKey key;
    key.address = host->address;
    key.transport_socket = host->transport_socket;
    if (upstream->config().http == ClusterConfig::Http::kHttp2)
      key.protocol = http::ClientOptions::Protocol::kHttp2;
    std::string authority(request.authority);
    if (!mirror.host_rewrite.empty()) {
      authority = mirror.host_rewrite;
    } else if (mirror.is_host_suffix_wanted) {
      const auto colon = authority.rfind(':');
      authority.insert(colon == std::string::npos ? authority.size() : colon, "-shadow");
    }
    auto* call = new MirrorCall(worker.loop(), std::move(upstream));
    call->start(host, key, request, body, authority);
  }
}

}  // namespace lateen::proxy
