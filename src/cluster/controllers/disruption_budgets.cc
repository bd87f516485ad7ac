// PodDisruptionBudgets: how many pods may be evicted now.
#include <algorithm>

#include "cluster/controllers/makers.h"
#include "cluster/controllers/pods.h"
#include "kube/selector.h"

namespace lateen::cluster::controllers {
namespace {

Result<kube::LabelSelector> selector_of(const Json& budget) {
  const Json* selector = data::find(budget, {"spec", "selector"});
  return kube::LabelSelector::from_object(selector != nullptr ? *selector : Json());
}

class DisruptionBudgets final : public KeyedController {
 public:
  explicit DisruptionBudgets(World& world) : KeyedController(world, "disruption-controller", 1) {
    follow(world.pdbs);
    world.pods.on_change([this](const Change& change) {
      const bool is_same = change.before != nullptr && change.after != nullptr &&
                           is_ready(*change.before) == is_ready(*change.after) &&
                           is_active(*change.before) == is_active(*change.after);
      if (!is_same) wake(change.object());
    });
    const auto on_owner = [this](const Change& change) {
      for (const auto& budget : world_.pdbs.list(kube::namespace_of(change.object())))
        enqueue(kube::key_of(*budget));
    };
    world.replica_sets.on_change(on_owner);
    world.stateful_sets.on_change(on_owner);
  }

 private:
  void wake(const Json& pod) {
    for (const auto& budget : world_.pdbs.list(kube::namespace_of(pod))) {
      const auto selector = selector_of(*budget);
      if (selector && selector->matches(kube::labels_of(pod))) enqueue(kube::key_of(*budget));
    }
  }

  // How many pods there should be: what their controllers ask for.
  std::int64_t expected_of(const std::vector<ObjectPtr>& pods, std::string_view ns) {
    std::set<std::string> seen;
    std::int64_t out = 0;
    for (const auto& pod : pods) {
      const Json* owner = kube::controller_of(*pod);
      if (owner == nullptr) continue;
      if (!seen.emplace(data::get_string(*owner, {"uid"})).second) continue;
      const Key key{std::string(ns), std::string(data::get_string(*owner, {"name"}))};
      const auto kind = data::get_string(*owner, {"kind"});
      ObjectPtr controller;
      if (kind == "ReplicaSet") controller = world_.replica_sets.find(key);
      if (kind == "StatefulSet") controller = world_.stateful_sets.find(key);
      if (kind == "ReplicationController") controller = world_.replication_controllers.find(key);
      // During a rollout both sets count; the Deployment's number is the truth.
      const Json* deployment = controller != nullptr ? kube::controller_of(*controller) : nullptr;
      if (deployment != nullptr && data::get_string(*deployment, {"kind"}) == "Deployment") {
        if (!seen.emplace(data::get_string(*deployment, {"uid"})).second) continue;
        controller =
            world_.deployments.find({key.ns, std::string(data::get_string(*deployment, {"name"}))});
      }
      if (controller != nullptr) out += data::get_int(*controller, {"spec", "replicas"}, 1);
    }
    return out;
  }

  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr budget = world_.pdbs.find(key);
    if (budget == nullptr || kube::is_deleting(*budget)) return Requeue::no();
    const auto selector = TRY(selector_of(*budget));
    std::vector<ObjectPtr> pods;
    std::int64_t healthy = 0;
    for (const auto& pod : world_.pods.list(key.ns)) {
      if (!selector.matches(kube::labels_of(*pod)) || is_finished(*pod)) continue;
      pods.push_back(pod);
      healthy += is_ready(*pod) && !kube::is_deleting(*pod) ? 1 : 0;
    }
    std::int64_t expected = static_cast<std::int64_t>(pods.size()), desired = 0;
    if (const Json* most = data::find(*budget, {"spec", "maxUnavailable"})) {
      expected = expected_of(pods, key.ns);
      desired = std::max<std::int64_t>(0, expected - int_or_percent(most, expected, true, 0));
    } else if (const Json* least = data::find(*budget, {"spec", "minAvailable"})) {
      if (least->is_string()) expected = expected_of(pods, key.ns);
      desired = int_or_percent(least, expected, true, 0);
    }
    const std::int64_t allowed = expected > 0 ? std::max<std::int64_t>(0, healthy - desired) : 0;
    Json after = *budget;
    data::set(after, {"status", "observedGeneration"},
              data::get_int(*budget, {"metadata", "generation"}));
    data::set(after, {"status", "expectedPods"}, expected);
    data::set(after, {"status", "desiredHealthy"}, desired);
    data::set(after, {"status", "currentHealthy"}, healthy);
    data::set(after, {"status", "disruptionsAllowed"}, allowed);
    kube::set_condition(after, "DisruptionAllowed", allowed > 0 ? "True" : "False",
                        allowed > 0 ? "SufficientPods" : "InsufficientPods", "", world_.now());
    TRY(world_.update_status(world_.pdbs, *budget, after));
    return Requeue::no();
  }
};

}  // namespace

std::unique_ptr<Controller> make_disruption_budgets(World& world) {
  return std::make_unique<DisruptionBudgets>(world);
}

}  // namespace lateen::cluster::controllers
