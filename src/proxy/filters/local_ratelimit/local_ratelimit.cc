// envoy.filters.http.local_ratelimit: token buckets of this process, one for all requests and one
// for each descriptor that the route's rate limit actions may produce.

#include <list>
#include <mutex>

#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/local_ratelimit/token_bucket.h"
#include "proxy/filters/ratelimit/descriptors.h"
#include "proxy/http/config.h"
#include "proxy/route/header_ops.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::local_ratelimit::v3;
using BucketRef = std::shared_ptr<TokenBucket>;
using Entries = std::vector<std::pair<std::string, std::string>>;

// A descriptor's bucket; when an entry has no value, one bucket per value that turns up, the least
// recently used going first.
class DescriptorLimit {
 public:
  DescriptorLimit(Entries entries, std::uint32_t most, std::uint32_t per_fill, nanoseconds interval,
                  std::size_t most_values)
      : entries_(std::move(entries)),
        most_(most),
        per_fill_(per_fill),
        interval_(interval),
        most_values_(most_values),
        bucket_(std::make_shared<TokenBucket>(most, per_fill, interval)) {
    for (const auto& [key, value] : entries_) is_open_ |= value.empty();
  }
  double per_second() const { return bucket_->per_second(); }

  // Null when `asked` is another descriptor.
  BucketRef find(const Entries& asked) const {
    if (asked.size() != entries_.size()) return nullptr;
    for (std::size_t i = 0; i < asked.size(); ++i)
      if (asked[i].first != entries_[i].first ||
          (!entries_[i].second.empty() && asked[i].second != entries_[i].second))
        return nullptr;
    return is_open_ ? bucket_of(asked) : bucket_;
  }

 private:
  BucketRef bucket_of(const Entries& asked) const {
    std::string key;
    for (const auto& [name, value] : asked) key += value + '\n';
    const std::lock_guard lock(mutex_);
    if (const auto found = places_.find(key); found != places_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->second;
    }
    if (places_.size() >= most_values_ && !recent_.empty()) {
      places_.erase(recent_.back().first);
      recent_.pop_back();
    }
    recent_.emplace_front(key, std::make_shared<TokenBucket>(most_, per_fill_, interval_));
    places_[key] = recent_.begin();
    return recent_.front().second;
  }
  Entries entries_;
  std::uint32_t most_, per_fill_;
  nanoseconds interval_;
  std::size_t most_values_;
  BucketRef bucket_;
  bool is_open_ = false;
  using Held = std::list<std::pair<std::string, BucketRef>>;
  mutable std::mutex mutex_;
  mutable Held recent_;
  mutable std::map<std::string, Held::iterator> places_;
};

struct Limit final : RouteFilterConfig {
  BucketRef bucket;                                           // null: no limit for all
  std::vector<std::unique_ptr<DescriptorLimit>> descriptors;  // the slowest first
  RateLimitRules rules;
  std::uint32_t stage = 0;
  HostRules host_rules = HostRules::kOverride;
  bool is_bucket_always_used = true;
  int status = 429;
  std::uint32_t enabled_millionths = 0, enforced_millionths = 0;
  HeaderOps response_headers, unenforced_headers;
  bool is_informing = false;  // x-ratelimit-* headers
  bool is_exhausted_told = false;
};

class LocalRateLimit final : public HttpFilter {
 public:
  LocalRateLimit(std::string name, std::shared_ptr<const Limit> limit)
      : name_(std::move(name)), limit_(std::move(limit)) {}

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  struct Verdict {
    bool is_allowed = true;
    BucketRef shown;  // whose numbers the client is told
  };
  static Verdict decide(const Limit& limit, HttpState& stream, const http::Request& request);
  static void inform(http::Headers& headers, const TokenBucket& bucket, SteadyTime now) {
    headers.set("x-ratelimit-limit", std::to_string(bucket.most()));
    headers.set("x-ratelimit-remaining", std::to_string(bucket.left()));
    headers.set("x-ratelimit-reset", std::to_string(bucket.reset_seconds(now)));
  }
  std::string name_;
  std::shared_ptr<const Limit> limit_;
};

LocalRateLimit::Verdict LocalRateLimit::decide(const Limit& limit, HttpState& stream,
                                               const http::Request& request) {
  Verdict made;
  const SteadyTime now = stream.exchange.loop.now();
  bool is_described = false;
  if (!limit.descriptors.empty()) {
    const auto asked =
        describe_request(stream.info, request, limit.rules, limit.stage, limit.host_rules);
    for (const auto& one : limit.descriptors)
      for (const auto& descriptor : asked) {
        const BucketRef bucket = one->find(descriptor.entries);
        if (bucket == nullptr) continue;
        is_described = true;
        made.shown = bucket;
        made.is_allowed = bucket->take(now, descriptor.hits.value_or(1));
        if (!made.is_allowed) return made;
        break;
      }
  }
  if (limit.bucket == nullptr || (is_described && !limit.is_bucket_always_used)) return made;
  const bool is_taken = limit.bucket->take(now);
  if (made.shown == nullptr || !is_taken) made.shown = limit.bucket;
  made.is_allowed = is_taken;
  return made;
}

void LocalRateLimit::handle(HttpState& stream, http::Request request, Next next,
                            http::Done done) const {
  const auto* entry = route_config_for(stream.info, name_);
  if (entry == nullptr) entry = route_config_for(stream.info, "envoy.filters.http.local_ratelimit");
  const auto* limit = entry == nullptr ? nullptr : dynamic_cast<const Limit*>(entry->config.get());
  if (limit == nullptr) limit = limit_.get();
  Random& random = stream.exchange.loop.random();
  if ((limit->bucket == nullptr && limit->descriptors.empty()) ||
      random.below(1'000'000) >= limit->enabled_millionths)
    return next(stream, std::move(request), std::move(done));
  Verdict verdict = decide(*limit, stream, request);
  if (verdict.is_allowed) {
    if (!limit->is_informing || verdict.shown == nullptr)
      return next(stream, std::move(request), std::move(done));
    return next(stream, std::move(request),
                [&stream, bucket = std::move(verdict.shown),
                 done = std::move(done)](Result<http::Response> response) mutable {
                  if (response.ok()) inform(response->headers, *bucket, stream.exchange.loop.now());
                  done(std::move(response));
                });
  }
  if (random.below(1'000'000) >= limit->enforced_millionths) {
    limit->unenforced_headers.apply(request, stream.info);
    return next(stream, std::move(request), std::move(done));
  }
  stream.config->stats->add(HttpStat::kRateLimited);
  auto response = local_reply(stream, limit->status, "local_rate_limited", "local_rate_limited",
                              Flag::kRateLimited);
  if (stream.info.is_grpc && limit->is_exhausted_told) response.headers.set("grpc-status", "8");
  limit->response_headers.apply(response.headers, stream.info);
  if (limit->is_informing && verdict.shown != nullptr)
    inform(response.headers, *verdict.shown, stream.exchange.loop.now());
  done(std::move(response));
}

template <typename Config>
Result<nanoseconds> interval_of(const Config& bucket) {
  const nanoseconds interval = xds::to_nanos(bucket.fill_interval());
  if (interval < milliseconds(50))
    return invalid("local rate limit token bucket fill timer must be >= 50ms", Blame::kConfig);
  return interval;
}

template <typename Config>
std::uint32_t per_fill(const Config& bucket) {
  return bucket.has_tokens_per_fill() ? bucket.tokens_per_fill().value() : 1;
}

Result<> compile_descriptors(const api::LocalRateLimit& from, Limit& made) {
  const std::size_t most_values =
      from.has_max_dynamic_descriptors() ? from.max_dynamic_descriptors().value() : 20;
  for (const auto& one : from.descriptors()) {
    Entries entries;
    for (const auto& entry : one.entries()) entries.emplace_back(entry.key(), entry.value());
    made.descriptors.push_back(std::make_unique<DescriptorLimit>(
        std::move(entries), one.token_bucket().max_tokens(), per_fill(one.token_bucket()),
        TRY(interval_of(one.token_bucket())), most_values));
  }
  std::stable_sort(made.descriptors.begin(), made.descriptors.end(),
                   [](const auto& a, const auto& b) { return a->per_second() < b->per_second(); });
  for (const auto& rule : from.rate_limits())
    made.rules.push_back(TRY(RateLimitRule::compile(rule)));
  return {};
}

Result<std::shared_ptr<const Limit>> compile(const google::protobuf::Any& config) {
  const auto from = TRY(xds::unpack<api::LocalRateLimit>(config));
  auto made = std::make_shared<Limit>();
  if (from.local_rate_limit_per_downstream_connection())
    return invalid("local_rate_limit_per_downstream_connection is not supported", Blame::kConfig);
  if (from.has_local_cluster_rate_limit())
    return invalid("local_cluster_rate_limit is not supported", Blame::kConfig);
  if (from.has_token_bucket()) {
    const auto& bucket = from.token_bucket();
    made->bucket = std::make_shared<TokenBucket>(bucket.max_tokens(), per_fill(bucket),
                                                 TRY(interval_of(bucket)));
  }
  TRY(compile_descriptors(from, *made));
  made->stage = from.stage();
  made->is_bucket_always_used = !from.has_always_consume_default_token_bucket() ||
                                from.always_consume_default_token_bucket().value();
  using HostOption = envoy::extensions::common::ratelimit::v3::VhRateLimitsOptions;
  if (from.vh_rate_limits() == HostOption::INCLUDE) made->host_rules = HostRules::kInclude;
  if (from.vh_rate_limits() == HostOption::IGNORE) made->host_rules = HostRules::kIgnore;
  if (from.has_status() && from.status().code() >= 400) made->status = from.status().code();
  if (from.has_filter_enabled())
    made->enabled_millionths = xds::to_millionths(from.filter_enabled().default_value());
  if (from.has_filter_enforced())
    made->enforced_millionths = xds::to_millionths(from.filter_enforced().default_value());
  made->response_headers = TRY(HeaderOps::compile(from.response_headers_to_add(), {}));
  made->unenforced_headers =
      TRY(HeaderOps::compile(from.request_headers_to_add_when_not_enforced(), {}));
  made->is_informing = from.enable_x_ratelimit_headers() != 0;
  made->is_exhausted_told = from.rate_limited_as_resource_exhausted();
  return std::shared_ptr<const Limit>(std::move(made));
}

}  // namespace

Result<HttpFilterRef> make_local_ratelimit(const google::protobuf::Any& config,
                                           const CompileContext& context) {
  return HttpFilterRef(
      std::make_shared<const LocalRateLimit>(context.filter_name, TRY(compile(config))));
}

Result<RouteConfigRef> make_local_ratelimit_route(const google::protobuf::Any& config,
                                                  const CompileContext&) {
  return RouteConfigRef(TRY(compile(config)));
}

}  // namespace lateen::proxy
