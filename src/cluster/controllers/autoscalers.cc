// HorizontalPodAutoscalers: keeps a target between its bounds, and follows CPU and memory where
// metrics are served.
#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>

#include "cluster/controllers/makers.h"
#include "cluster/controllers/placement.h"
#include "cluster/controllers/pods.h"
#include "kube/quantity.h"
#include "kube/selector.h"

namespace lateen::cluster::controllers {
namespace {

constexpr milliseconds kLookEvery{15'000};
constexpr double kTolerance = 0.1;
constexpr seconds kStabilization{300};

struct Target {
  kube::Resource resource;
  Key key;
  Json scale;
};

// What one metric of spec.metrics asks for.
struct Proposal {
  std::int64_t replicas = 0;
  Json current;  // its entry of status.currentMetrics
};

class Autoscalers final : public KeyedController {
 public:
  explicit Autoscalers(World& world) : KeyedController(world, "horizontal-pod-autoscaler", 1) {
    world.hpas.on_change([this](const Change& change) {
      // Our own status writes must not wake us: metrics are read on a beat.
      const bool is_own = change.before != nullptr && change.after != nullptr &&
                          data::get_int(*change.before, {"metadata", "generation"}) ==
                              data::get_int(*change.after, {"metadata", "generation"});
      if (!is_own) enqueue(kube::key_of(change.object()));
    });
  }

 private:
  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr hpa = world_.hpas.find(key);
    if (hpa == nullptr || kube::is_deleting(*hpa)) {
      history_.erase(key);
      return Requeue::no();
    }
    Json after = *hpa;
    data::set(after, {"status", "observedGeneration"},
              data::get_int(*hpa, {"metadata", "generation"}));
    auto target = read_target(*hpa);
    if (!target) {
      warn(*hpa, "FailedGetScale", target.error().message());
      set(after, "AbleToScale", "False", "FailedGetScale",
          "the HPA controller was unable to get the target's current scale: " +
              target.error().message());
      TRY(world_.update_status(world_.hpas, *hpa, after));
      return Requeue::after(kLookEvery);
    }
    set(after, "AbleToScale", "True", "SucceededGetScale",
        "the HPA controller was able to get the target's current scale");
    const auto current = data::get_int(target->scale, {"spec", "replicas"});
    std::string reason;
    const auto desired = decide(*hpa, after, *target, current, reason);
    data::set(after, {"status", "currentReplicas"}, current);
    data::set(after, {"status", "desiredReplicas"}, desired);
    if (desired != current) TRY(rescale(*hpa, after, *target, desired, reason));
    TRY(world_.update_status(world_.hpas, *hpa, after));
    return Requeue::after(kLookEvery);
  }

  void set(Json& hpa, std::string_view type, std::string_view status, std::string_view reason,
           std::string_view message) {
    kube::set_condition(hpa, type, status, reason, message, world_.now());
  }

  Result<Target> read_target(const Json& hpa) {
    const Json* reference = data::find(hpa, {"spec", "scaleTargetRef"});
    if (reference == nullptr) return invalid("spec.scaleTargetRef is missing");
    Target out;
    out.resource =
        TRY(world_.client.resource_for(data::get_string(*reference, {"apiVersion"}, "v1"),
                                       data::get_string(*reference, {"kind"})));
    out.key = {std::string(kube::namespace_of(hpa)),
               std::string(data::get_string(*reference, {"name"}))};
    out.scale = TRY(world_.client.get(out.resource, out.key, "scale"));
    return out;
  }

  Result<> rescale(const Json& hpa, Json& after, const Target& target, std::int64_t desired,
                   const std::string& reason) {
    auto done = world_.client.patch(target.resource, target.key, kube::Patch::kMerge,
                                    {{"spec", {{"replicas", desired}}}}, {.subresource = "scale"});
    if (!done) {
      warn(hpa, "FailedRescale",
           fmt::format("New size: {}; reason: {}; error: {}", desired, reason,
                       done.error().message()));
      set(after, "AbleToScale", "False", "FailedUpdateScale",
          "the HPA controller was unable to update the target scale: " + done.error().message());
      return {};
    }
    note(hpa, "SuccessfulRescale", fmt::format("New size: {}; reason: {}", desired, reason));
    set(after, "AbleToScale", "True", "SucceededRescale",
        fmt::format("the HPA controller was able to update the target scale to {}", desired));
    data::set(after, {"status", "lastScaleTime"}, Json(world_.now()));
    return {};
  }

  std::int64_t decide(const Json& hpa, Json& after, const Target& target, std::int64_t current,
                      std::string& reason) {
    const auto least = data::get_int(hpa, {"spec", "minReplicas"}, 1);
    const auto most = data::get_int(hpa, {"spec", "maxReplicas"}, least);
    if (current == 0 && least != 0) {
      set(after, "ScalingActive", "False", "ScalingDisabled",
          "scaling is disabled since the replica count of the target is zero");
      return 0;
    }
    if (current > most) {
      reason = "Current number of replicas above Spec.MaxReplicas";
      return most;
    }
    if (current < least) {
      reason = "Current number of replicas below Spec.MinReplicas";
      return least;
    }
    return follow_metrics(hpa, after, target, current, least, most, reason);
  }

  std::int64_t follow_metrics(const Json& hpa, Json& after, const Target& target,
                              std::int64_t current, std::int64_t least, std::int64_t most,
                              std::string& reason) {
    std::int64_t wanted = 0;
    JsonArray measured;
    for (const Json& metric : data::get_array(hpa, {"spec", "metrics"})) {
      auto proposal = propose(hpa, metric, target, current);
      if (!proposal) {
        const std::string name(data::get_string(metric, {"resource", "name"}, "?"));
        const std::string why =
            fmt::format("failed to get {} utilization: {}", name, proposal.error().message());
        warn(hpa, "FailedGetResourceMetric", why);
        set(after, "ScalingActive", "False", "FailedGetResourceMetric",
            "the HPA was unable to compute the replica count: " + why);
        return current;
      }
      reason = fmt::format("{} resource utilization (percentage of request) {} target",
                           data::get_string(metric, {"resource", "name"}),
                           proposal->replicas > current ? "above" : "below");
      wanted = std::max(wanted, proposal->replicas);
      measured.push_back(std::move(proposal->current));
    }
    if (measured.empty()) return current;
    data::set(after, {"status", "currentMetrics"}, Json(std::move(measured)));
    set(after, "ScalingActive", "True", "ValidMetricFound",
        "the HPA was able to successfully calculate a replica count from resource utilization");
    wanted = stabilize(kube::key_of(hpa), wanted);
    const auto bounded = std::clamp(wanted, least, most);
    const bool is_limited = bounded != wanted;
    set(after, "ScalingLimited", is_limited ? "True" : "False",
        !is_limited     ? "DesiredWithinRange"
        : wanted > most ? "TooManyReplicas"
                        : "TooFewReplicas",
        !is_limited     ? "the desired count is within the acceptable range"
        : wanted > most ? "the desired replica count is more than the maximum replica count"
                        : "the desired replica count is less than the minimum replica count");
    return bounded;
  }

  // Shrinks to the highest wish of the last five minutes only.
  std::int64_t stabilize(const Key& key, std::int64_t wanted) {
    auto& wishes = history_[key];
    const auto now = world_.clock.steady();
    wishes.push_back({now, wanted});
    while (wishes.front().first + kStabilization < now) wishes.pop_front();
    for (const auto& [at, wish] : wishes) wanted = std::max(wanted, wish);
    return wanted;
  }

  Result<Proposal> propose(const Json& hpa, const Json& metric, const Target& target,
                           std::int64_t current) {
    if (data::get_string(metric, {"type"}) != "Resource") {
      return Error(Code::kUnimplemented,
                   fmt::format("metric type {} needs a metrics adapter, which is not installed",
                               data::get_string(metric, {"type"})));
    }
    const std::string name(data::get_string(metric, {"resource", "name"}));
    const auto selector =
        TRY(kube::LabelSelector::parse(data::get_string(target.scale, {"status", "selector"})));
    const Json usage = TRY(read_usage(kube::namespace_of(hpa), selector.to_string(), name));

    std::int64_t used = 0, asked = 0, counted = 0;
    for (const Json& entry : data::get_array(usage, {"items"})) {
      const auto pod = world_.pods.find(kube::key_of(entry));
      if (pod == nullptr || !is_active(*pod) || !is_ready(*pod)) continue;
      for (const Json& container : data::get_array(entry, {"containers"})) {
        auto amount = kube::Quantity::parse(data::get_string(container, {"usage", name}, "0"));
        if (amount) used += amount->milli_value();
      }
      const auto requests = requests_of(*pod);
      const auto request = requests.find(name);
      if (request != requests.end()) asked += request->second.milli_value();
      ++counted;
    }
    if (counted == 0) return unavailable("no metrics returned for the target's pods");
    Proposal out;
    double ratio = 1;
    const Json* utilization = data::find(metric, {"resource", "target", "averageUtilization"});
    Json shown = {{"averageValue", fmt::format("{}m", used / counted)}};
    if (utilization != nullptr) {
      if (asked == 0)
        return invalid("missing request for " + name + " in the containers of the target's pods");
      const auto percent = used * 100 / asked;
      data::set(shown, {"averageUtilization"}, percent);
      ratio = static_cast<double>(percent) / static_cast<double>(std::max<std::int64_t>(
                                                 1, data::as_int(*utilization).value_or(100)));
    } else {
      const auto goal = TRY(
          kube::Quantity::parse(data::get_string(metric, {"resource", "target", "averageValue"})));
      ratio = static_cast<double>(used) / static_cast<double>(counted) /
              static_cast<double>(std::max<std::int64_t>(1, goal.milli_value()));
    }
    out.replicas = std::abs(ratio - 1) <= kTolerance
                       ? current
                       : static_cast<std::int64_t>(std::ceil(ratio * static_cast<double>(counted)));
    out.current = {{"type", "Resource"},
                   {"resource", {{"name", name}, {"current", std::move(shown)}}}};
    return out;
  }

  Result<Json> read_usage(std::string_view ns, const std::string& selector,
                          const std::string& name) {
    static const kube::Resource kPodMetrics{"metrics.k8s.io", "v1beta1", "pods", "PodMetrics",
                                            true};
    auto found = world_.client.list(kPodMetrics, ns, {.label_selector = selector});
    if (found) return found;
    return std::move(found).error().at("unable to get metrics for resource " + name +
                                       ": unable to fetch metrics from resource metrics API");
  }

  std::map<Key, std::deque<std::pair<SteadyTime, std::int64_t>>> history_;  // worker thread only
};

}  // namespace

std::unique_ptr<Controller> make_autoscalers(World& world) {
  return std::make_unique<Autoscalers>(world);
}

}  // namespace lateen::cluster::controllers
