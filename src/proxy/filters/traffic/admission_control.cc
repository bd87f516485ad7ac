// envoy.filters.http.admission_control: the fewer requests succeed, the more are refused at once,
// by chance. Counts are kept for all workers together, by the second.

#include <cmath>
#include <deque>
#include <mutex>

#include "base/strings.h"
#include "envoy/extensions/filters/http/admission_control/v3/admission_control.pb.h"
#include "proxy/filters/traffic/traffic.h"
#include "proxy/http/config.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::admission_control::v3;

constexpr std::string_view kDenied = "denied_by_admission_control";
constexpr const char* kAdmitted = "lateen.admission_control";  // filter state: counts at the end

// Requests and successes of the last seconds.
class Window {
 public:
  explicit Window(seconds length) : length_(length) {}

  void add(SteadyTime now, bool is_success) {
    const std::lock_guard lock(mutex_);
    forget(now);
    if (slots_.empty() || now - slots_.back().begin >= seconds(1)) slots_.push_back({now, 0, 0});
    ++slots_.back().all;
    slots_.back().good += is_success ? 1 : 0;
  }
  struct Counts {
    std::uint64_t all = 0, good = 0;
  };
  Counts counts(SteadyTime now) {
    const std::lock_guard lock(mutex_);
    forget(now);
    Counts sum;
    for (const Slot& slot : slots_) {
      sum.all += slot.all;
      sum.good += slot.good;
    }
    return sum;
  }
  seconds length() const { return length_; }

 private:
  struct Slot {
    SteadyTime begin;
    std::uint64_t all, good;
  };
  void forget(SteadyTime now) {
    while (!slots_.empty() && now - slots_.front().begin > length_) slots_.pop_front();
  }
  seconds length_;
  std::mutex mutex_;
  std::deque<Slot> slots_;  // one a second
};

class AdmissionControl final : public HttpFilter {
 public:
  bool is_on = true;
  double aggression = 1, wanted_rate = 0.95, most_probability = 0.8;
  std::uint32_t least_rps = 0;
  std::vector<std::pair<int, int>> http_good = {{100, 500}};  // half open
  std::vector<int> grpc_good = {0, 1, 2, 3, 5, 6, 7, 9, 11, 12, 16};
  std::unique_ptr<Window> window;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    if (!is_on) return next(stream, std::move(request), std::move(done));
    const SteadyTime now = stream.exchange.loop.now();
    const auto counts = window->counts(now);
    const double random =
        static_cast<double>(stream.exchange.loop.random().below(1'000'000)) / 1'000'000;
    if (random < probability(counts)) return done(local_reply(stream, 503, "", kDenied));
    stream.info.state[kAdmitted] = "1";
    next(stream, std::move(request), std::move(done));
  }

  void on_complete(const StreamInfo& info) const override {
    if (!info.state.contains(kAdmitted) || info.status == 0) return;
    window->add(info.worker.loop().now(), is_good(info));
  }

 private:
  double probability(const Window::Counts& counts) const {
    const auto all = static_cast<double>(counts.all), good = static_cast<double>(counts.good);
    if (all / static_cast<double>(window->length().count()) < least_rps) return 0;
    const double excess = (all - good / wanted_rate) / (all + 1);
    if (excess <= 0) return 0;
    return std::min(aggression == 1 ? excess : std::pow(excess, 1 / aggression), most_probability);
  }
  bool is_good(const StreamInfo& info) const {
    if (info.is_grpc) {
      const auto code = info.grpc_status ? parse_int(*info.grpc_status) : std::nullopt;
      return info.status == 200 && code &&
             std::find(grpc_good.begin(), grpc_good.end(), *code) != grpc_good.end();
    }
    for (const auto& [first, end] : http_good)
      if (info.status >= first && info.status < end) return true;
    return false;
  }
};

}  // namespace

Result<HttpFilterRef> make_admission_control(const google::protobuf::Any& config,
                                             const CompileContext&) {
  const auto from = TRY(xds::unpack<api::AdmissionControl>(config));
  auto made = std::make_shared<AdmissionControl>();
  made->is_on = !from.has_enabled() || !from.enabled().has_default_value() ||
                from.enabled().default_value().value();
  if (from.has_aggression()) made->aggression = std::max(1.0, from.aggression().default_value());
  if (from.has_sr_threshold())
    made->wanted_rate = std::clamp(from.sr_threshold().default_value().value() / 100, 0.01, 1.0);
  if (from.has_rps_threshold()) made->least_rps = from.rps_threshold().default_value();
  if (from.has_max_rejection_probability())
    made->most_probability =
        std::clamp(from.max_rejection_probability().default_value().value() / 100, 0.0, 1.0);
  const seconds length = from.has_sampling_window()
                             ? std::chrono::ceil<seconds>(xds::to_nanos(from.sampling_window()))
                             : seconds(30);
  if (length < seconds(1) || length > hours(1))
    return invalid("sampling_window must be in 1s…1h", Blame::kConfig);
  made->window = std::make_unique<Window>(length);
  const auto& criteria = from.success_criteria();
  if (criteria.has_http_criteria()) {
    made->http_good.clear();
    for (const auto& range : criteria.http_criteria().http_success_status())
      made->http_good.emplace_back(static_cast<int>(range.start()), static_cast<int>(range.end()));
  }
  if (criteria.has_grpc_criteria()) {
    made->grpc_good.clear();
    for (const auto code : criteria.grpc_criteria().grpc_success_status())
      made->grpc_good.push_back(static_cast<int>(code));
  }
  return HttpFilterRef(std::move(made));
}

}  // namespace lateen::proxy
