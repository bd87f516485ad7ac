// ReplicaSets: as many pods of a template as asked, and who counts as ready.
#include <algorithm>

#include "cluster/controllers/makers.h"
#include "cluster/controllers/pods.h"
#include "kube/selector.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::int64_t kBurst = 500;  // pods made or removed in one go

class ReplicaSets final : public KeyedController {
 public:
  explicit ReplicaSets(World& world) : KeyedController(world, "replicaset-controller", 2) {
    follow(world.replica_sets);
    follow_owned(world.pods, "ReplicaSet");
    world.pods.on_change([this](const Change& change) {
      if (change.after != nullptr && kube::controller_of(*change.after) == nullptr)
        wake_matching(*change.after);
    });
  }

 private:
  // An orphan may be someone's.
  void wake_matching(const Json& pod) {
    for (const auto& set : world_.replica_sets.list(kube::namespace_of(pod))) {
      const auto selector =
          kube::LabelSelector::from_object(Json(data::get_object(*set, {"spec", "selector"})));
      if (selector && !selector->is_everything() && selector->matches(kube::labels_of(pod))) {
        enqueue(kube::key_of(*set));
      }
    }
  }

  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr set = world_.replica_sets.find(key);
    if (set == nullptr) return Requeue::no();  // the garbage collector removes its pods
    const auto selector =
        TRY(kube::LabelSelector::from_object(Json(data::get_object(*set, {"spec", "selector"}))));
    auto pods = TRY(claim(*set, selector));
    Result<> managed;
    if (!kube::is_deleting(*set)) managed = manage(*set, pods);

    const seconds min_ready(data::get_int(*set, {"spec", "minReadySeconds"}));
    Json after = *set;
    pods.clear();
    for (const auto& pod : world_.pods.owned_by(kube::uid_of(*set))) {
      if (is_active(*pod)) pods.push_back(pod);
    }
    fill_status(after, pods, min_ready, managed);
    TRY(world_.update_status(world_.replica_sets, *set, after));
    TRY(std::move(managed));
    return next_look(pods, min_ready);
  }

  // Owned active pods; orphans that match come in, owned ones that no longer match go out.
  Result<std::vector<ObjectPtr>> claim(const Json& set, const kube::LabelSelector& selector) {
    std::vector<ObjectPtr> out;
    for (const auto& pod : world_.pods.owned_by(kube::uid_of(set))) {
      if (!is_active(*pod)) continue;
      if (selector.matches(kube::labels_of(*pod))) out.push_back(pod);
      else TRY(world_.release(world_.pods, *pod, set));
    }
    if (kube::is_deleting(set) || selector.is_everything()) return out;
    for (const auto& pod : world_.pods.list(kube::namespace_of(set))) {
      if (kube::controller_of(*pod) != nullptr || !is_active(*pod)) continue;
      if (!selector.matches(kube::labels_of(*pod))) continue;
      TRY(world_.adopt(world_.pods, *pod, set));
      out.push_back(pod);
    }
    return out;
  }

  Result<> manage(const Json& set, const std::vector<ObjectPtr>& pods) {
    const auto wanted = data::get_int(set, {"spec", "replicas"}, 1);
    const auto missing = wanted - static_cast<std::int64_t>(pods.size());
    const Json* pod_template = data::find(set, {"spec", "template"});
    if (pod_template == nullptr) return invalid("the ReplicaSet has no spec.template");
    for (std::int64_t i = 0; i < std::min(missing, kBurst); ++i) {
      const std::string prefix = std::string(kube::name_of(set)) + "-";
      auto created = world_.create(world_.pods, pod_from_template(*pod_template, set, prefix));
      if (!created) {
        warn(set, "FailedCreate", "Error creating: " + created.error().message());
        return std::move(created).error();
      }
      note(set, "SuccessfulCreate", fmt::format("Created pod: {}", kube::name_of(*created)));
    }
    if (missing > kBurst) return Error(Code::kAborted, "more pods to create");
    if (missing >= 0) return {};
    const auto victims = by_deletion_order(pods);
    for (std::int64_t i = 0; i < std::min(-missing, kBurst); ++i) {
      const Json& victim = *victims[static_cast<std::size_t>(i)];
      TRY(world_.remove(world_.pods, victim));
      note(set, "SuccessfulDelete", fmt::format("Deleted pod: {}", kube::name_of(victim)));
    }
    return {};
  }

  void fill_status(Json& set, const std::vector<ObjectPtr>& pods, seconds min_ready,
                   const Result<>& managed) {
    std::int64_t ready = 0, available = 0, labeled = 0;
    const auto labels = kube::LabelSelector::from_map(
        data::get_object(set, {"spec", "template", "metadata", "labels"}));
    for (const auto& pod : pods) {
      ready += is_ready(*pod) ? 1 : 0;
      available += is_available(*pod, min_ready, world_.clock.wall()) ? 1 : 0;
      labeled += labels.matches(kube::labels_of(*pod)) ? 1 : 0;
    }
    const auto put = [&](std::string_view field, std::int64_t value) {
      if (value != 0) data::set(set, {"status", field}, value);
      else data::erase(set, {"status", field});
    };
    data::set(set, {"status", "replicas"}, static_cast<std::int64_t>(pods.size()));
    put("fullyLabeledReplicas", labeled);
    put("readyReplicas", ready);
    put("availableReplicas", available);
    put("observedGeneration", data::get_int(set, {"metadata", "generation"}));
    const bool is_failing = !managed.ok() && managed.error().code() != Code::kAborted;
    if (is_failing) {
      kube::set_condition(set, "ReplicaFailure", "True", "FailedCreate", managed.error().message(),
                          world_.now());
    } else if (kube::condition(set, "ReplicaFailure") != nullptr) {
      data::erase(set, {"status", "conditions"});
    }
  }

  Requeue next_look(const std::vector<ObjectPtr>& pods, seconds min_ready) {
    std::optional<nanoseconds> soonest;
    for (const auto& pod : pods) {
      const auto left = until_available(*pod, min_ready, world_.clock.wall());
      if (left && (!soonest || *left < *soonest)) soonest = left;
    }
    if (!soonest) return Requeue::no();
    return Requeue::after(std::chrono::duration_cast<milliseconds>(*soonest) + milliseconds(10));
  }
};

}  // namespace

std::unique_ptr<Controller> make_replica_sets(World& world) {
  return std::make_unique<ReplicaSets>(world);
}

}  // namespace lateen::cluster::controllers
