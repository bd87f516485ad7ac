// envoy.filters.http.adaptive_concurrency: as many requests at once as keep latency near its best.
// The gradient controller: the limit grows while latency is near the minimum and shrinks beyond;
// the minimum is measured anew now and then, with few requests at once. All workers together.

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.pb.h"
#include "proxy/filters/traffic/traffic.h"
#include "proxy/http/config.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::adaptive_concurrency::v3;

constexpr const char* kCounted = "lateen.adaptive_concurrency";  // filter state: takes a place
constexpr std::size_t kMostSamples = 100'000;

struct GradientSettings {
  double percentile = 0.5, jitter = 0.15, buffer = 0.25;
  std::uint32_t most = 1000, least = 3, min_samples = 50;
  nanoseconds update{0}, min_interval{0};
  std::optional<nanoseconds> fixed_min;
};

class Gradient {
 public:
  explicit Gradient(GradientSettings settings) : settings_(settings), limit_(settings.least) {
    if (settings_.fixed_min) {
      min_latency_ = *settings_.fixed_min;
      is_measuring_ = false;
    }
  }

  bool enter() {
    const std::lock_guard lock(mutex_);
    if (active_ >= limit_) return false;
    ++active_;
    return true;
  }
  // Of a request that entered; `latency`: none when it says nothing.
  void leave(std::optional<nanoseconds> latency, SteadyTime now, Random& random) {
    const std::lock_guard lock(mutex_);
    --active_;
    if (window_begin_ == SteadyTime{}) window_begin_ = now;
    if (latency && samples_.size() < kMostSamples) samples_.push_back(*latency);
    if (is_measuring_) {
      if (samples_.size() >= settings_.min_samples) end_measuring(now, random);
      return;
    }
    if (now >= next_measuring_ && !settings_.fixed_min) return begin_measuring();
    if (now - window_begin_ >= settings_.update) update(now);
  }
  std::uint32_t limit() {
    const std::lock_guard lock(mutex_);
    return limit_;
  }

 private:
  nanoseconds percentile() {
    const auto at =
        static_cast<std::size_t>(settings_.percentile * static_cast<double>(samples_.size() - 1));
    std::nth_element(samples_.begin(), samples_.begin() + static_cast<std::ptrdiff_t>(at),
                     samples_.end());
    return std::max(nanoseconds(1), samples_[at]);
  }
  void begin_measuring() {
    is_measuring_ = true;
    limit_before_ = limit_;
    limit_ = settings_.least;
    samples_.clear();
  }
  void end_measuring(SteadyTime now, Random& random) {
    min_latency_ = percentile();
    is_measuring_ = false;
    limit_ = std::max(limit_before_, settings_.least);
    samples_.clear();
    window_begin_ = now;
    const double spread = settings_.jitter * static_cast<double>(random.below(1000)) / 1000;
    next_measuring_ = now + settings_.min_interval +
                      nanoseconds(static_cast<std::int64_t>(
                          static_cast<double>(settings_.min_interval.count()) * spread));
  }
  void update(SteadyTime now) {
    window_begin_ = now;
    if (samples_.empty()) return;
    const double best = static_cast<double>(min_latency_.count()) * (1 + settings_.buffer);
    const double gradient = std::clamp(best / static_cast<double>(percentile().count()), 0.5, 2.0);
    samples_.clear();
    const double base = limit_ * gradient;
    const double wanted = base + std::sqrt(base);
    limit_ = static_cast<std::uint32_t>(std::clamp(wanted, static_cast<double>(settings_.least),
                                                   static_cast<double>(settings_.most)));
  }

  GradientSettings settings_;
  std::mutex mutex_;
  std::uint32_t active_ = 0, limit_, limit_before_ = 0;
  bool is_measuring_ = true;
  nanoseconds min_latency_{0};
  SteadyTime next_measuring_{}, window_begin_{};
  std::vector<nanoseconds> samples_;
};

class AdaptiveConcurrency final : public HttpFilter {
 public:
  bool is_on = true;
  int status = 503;
  std::unique_ptr<Gradient> gradient;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    if (!is_on) return next(stream, std::move(request), std::move(done));
    if (!gradient->enter())
      return done(
          local_reply(stream, status, "reached concurrency limit", "reached_concurrency_limit"));
    stream.info.state[kCounted] = "1";
    next(stream, std::move(request), std::move(done));
  }

  void on_complete(const StreamInfo& info) const override {
    if (!info.state.contains(kCounted)) return;
    event::Loop& loop = info.worker.loop();
    std::optional<nanoseconds> latency;
    if (info.response_started) latency = *info.response_started - info.started;
    gradient->leave(latency, loop.now(), loop.random());
  }
};

}  // namespace

Result<HttpFilterRef> make_adaptive_concurrency(const google::protobuf::Any& config,
                                                const CompileContext&) {
  const auto from = TRY(xds::unpack<api::AdaptiveConcurrency>(config));
  const auto& controller = from.gradient_controller_config();
  const auto& limits = controller.concurrency_limit_params();
  const auto& least = controller.min_rtt_calc_params();
  GradientSettings settings;
  if (controller.has_sample_aggregate_percentile())
    settings.percentile =
        std::clamp(controller.sample_aggregate_percentile().value() / 100, 0.0, 1.0);
  if (limits.has_max_concurrency_limit())
    settings.most = std::max(1u, limits.max_concurrency_limit().value());
  settings.update = xds::to_nanos(limits.concurrency_update_interval());
  settings.min_interval = xds::to_nanos(least.interval());
  if (least.has_fixed_value()) settings.fixed_min = xds::to_nanos(least.fixed_value());
  if (least.has_request_count()) settings.min_samples = std::max(1u, least.request_count().value());
  if (least.has_jitter()) settings.jitter = least.jitter().value() / 100;
  if (least.has_min_concurrency()) settings.least = std::max(1u, least.min_concurrency().value());
  if (least.has_buffer()) settings.buffer = least.buffer().value() / 100;
  if (settings.update < milliseconds(1) ||
      (!settings.fixed_min && settings.min_interval < milliseconds(1)))
    return invalid("concurrency_update_interval and min_rtt_calc_params.interval are needed",
                   Blame::kConfig);
  auto made = std::make_shared<AdaptiveConcurrency>();
  made->is_on = !from.has_enabled() || !from.enabled().has_default_value() ||
                from.enabled().default_value().value();
  if (from.concurrency_limit_exceeded_status().code() >= 400)
    made->status = static_cast<int>(from.concurrency_limit_exceeded_status().code());
  made->gradient = std::make_unique<Gradient>(settings);
  return HttpFilterRef(std::move(made));
}

}  // namespace lateen::proxy
