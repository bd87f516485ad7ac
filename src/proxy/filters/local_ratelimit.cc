// Local rate limit: a token bucket for the process, shared by all workers without a lock.

#include <atomic>

#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/http/config.h"
#include "proxy/route/header_ops.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::local_ratelimit::v3;

// Tokens are worked out from the time of the last fill; whoever comes first after an interval
// fills.
class TokenBucket {
 public:
  TokenBucket(std::uint32_t most, std::uint32_t per_fill, nanoseconds interval)
      : most_(most), per_fill_(per_fill), interval_(interval), tokens_(most) {}

  bool take(SteadyTime now) {
    refill(now.time_since_epoch().count());
    std::int64_t left = tokens_.load(std::memory_order_relaxed);
    while (left > 0)
      if (tokens_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
    return false;
  }
  std::uint32_t most() const { return most_; }
  std::int64_t left() const {
    return std::max<std::int64_t>(0, tokens_.load(std::memory_order_relaxed));
  }

 private:
  void refill(std::int64_t now) {
    std::int64_t last = filled_.load(std::memory_order_relaxed);
    if (last == 0) {
      filled_.compare_exchange_strong(last, now, std::memory_order_relaxed);
      return;
    }
    const std::int64_t fills = (now - last) / interval_.count();
    if (fills <= 0) return;
    if (!filled_.compare_exchange_strong(last, last + fills * interval_.count(),
                                         std::memory_order_relaxed))
      return;
    const std::int64_t add = std::min<std::int64_t>(most_, fills * per_fill_);
    std::int64_t have = tokens_.load(std::memory_order_relaxed);
    while (!tokens_.compare_exchange_weak(have, std::min<std::int64_t>(most_, have + add),
                                          std::memory_order_relaxed)) {
    }
  }
  std::uint32_t most_;
  std::uint32_t per_fill_;
  nanoseconds interval_;
  std::atomic<std::int64_t> tokens_;
  std::atomic<std::int64_t> filled_{0};
};

struct Limit final : RouteFilterConfig {
  std::shared_ptr<TokenBucket> bucket;  // null: no limit
  int status = 429;
  std::uint32_t enabled_millionths = 0, enforced_millionths = 0;
  HeaderOps response_headers;
  bool is_informing = false;  // x-ratelimit-* headers
};

class LocalRateLimit final : public HttpFilter {
 public:
  explicit LocalRateLimit(std::shared_ptr<const Limit> limit) : limit_(std::move(limit)) {}

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, "envoy.filters.http.local_ratelimit");
    const auto* limit =
        entry == nullptr ? nullptr : dynamic_cast<const Limit*>(entry->config.get());
    if (limit == nullptr) limit = limit_.get();
    Random& random = stream.exchange.loop.random();
    if (limit->bucket == nullptr || random.below(1'000'000) >= limit->enabled_millionths ||
        limit->bucket->take(stream.exchange.loop.now()) ||
        random.below(1'000'000) >= limit->enforced_millionths)
      return next(stream, std::move(request), std::move(done));
    stream.config->stats->add(HttpStat::kRateLimited);
    auto response = local_reply(stream, limit->status, "local_rate_limited", "local_rate_limited",
                                Flag::kRateLimited);
    limit->response_headers.apply(response.headers, stream.info);
    if (limit->is_informing) {
      response.headers.set("x-ratelimit-limit", std::to_string(limit->bucket->most()));
      response.headers.set("x-ratelimit-remaining", std::to_string(limit->bucket->left()));
    }
    done(std::move(response));
  }

 private:
  std::shared_ptr<const Limit> limit_;
};

Result<std::shared_ptr<const Limit>> compile(const google::protobuf::Any& config) {
  const auto from = TRY(xds::unpack<api::LocalRateLimit>(config));
  auto made = std::make_shared<Limit>();
  if (from.descriptors_size() > 0)
    return invalid("local rate limit descriptors are not supported; one token bucket is",
                   Blame::kConfig);
  if (from.has_token_bucket()) {
    const auto& bucket = from.token_bucket();
    const nanoseconds interval = xds::to_nanos(bucket.fill_interval());
    if (interval < milliseconds(50))
      return invalid("local rate limit token bucket fill timer must be >= 50ms", Blame::kConfig);
    made->bucket = std::make_shared<TokenBucket>(
        bucket.max_tokens(), bucket.has_tokens_per_fill() ? bucket.tokens_per_fill().value() : 1,
        interval);
  }
  if (from.has_status() && from.status().code() >= 400) made->status = from.status().code();
  if (from.has_filter_enabled())
    made->enabled_millionths = xds::to_millionths(from.filter_enabled().default_value());
  if (from.has_filter_enforced())
    made->enforced_millionths = xds::to_millionths(from.filter_enforced().default_value());
  made->response_headers = TRY(HeaderOps::compile(from.response_headers_to_add(), {}));
  made->is_informing = from.enable_x_ratelimit_headers() != 0;
  return std::shared_ptr<const Limit>(std::move(made));
}

}  // namespace

Result<HttpFilterRef> make_local_ratelimit(const google::protobuf::Any& config,
                                           const CompileContext&) {
  return HttpFilterRef(std::make_shared<const LocalRateLimit>(TRY(compile(config))));
}

Result<RouteConfigRef> make_local_ratelimit_route(const google::protobuf::Any& config,
                                                  const CompileContext&) {
  return RouteConfigRef(TRY(compile(config)));
}

}  // namespace lateen::proxy
