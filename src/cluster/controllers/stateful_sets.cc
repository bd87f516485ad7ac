// StatefulSets: numbered pods with stable names and claims, started and replaced in order.
#include <algorithm>
#include <map>

#include "base/strings.h"
#include "cluster/controllers/makers.h"
#include "cluster/controllers/pods.h"
#include "cluster/controllers/revisions.h"

namespace lateen::cluster::controllers {
namespace {

std::optional<std::int64_t> ordinal_of(const Json& pod, std::string_view set) {
  const auto name = kube::name_of(pod);
  if (!name.starts_with(set) || name.size() < set.size() + 2 || name[set.size()] != '-')
    return std::nullopt;
  return parse_int(name.substr(set.size() + 1));
}

std::string_view revision_label(const Json& pod) {
  return kube::label(pod, "controller-revision-hash");
}

class StatefulSets final : public KeyedController {
 public:
  explicit StatefulSets(World& world) : KeyedController(world, "statefulset-controller", 2) {
    follow(world.stateful_sets);
    follow_owned(world.pods, "StatefulSet");
  }

 private:
  // One look at a set.
  struct View {
    const Json& set;
    Revisions revisions;
    std::string current, update;  // names of revisions
    std::int64_t start = 0, replicas = 1, partition = 0;
    bool is_ordered = true, is_rolling = true;
    seconds min_ready{0};
    std::map<std::int64_t, ObjectPtr> pods;
  };

  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr set = world_.stateful_sets.find(key);
    if (set == nullptr || kube::is_deleting(*set)) return Requeue::no();
    View view = TRY(look(*set));
    auto moved = move(view);
    TRY(write_status(key, view));
    TRY(std::move(moved));
    std::set<std::string> live = {view.current, view.update};
    for (const auto& [ordinal, pod] : view.pods) live.emplace(revision_label(*pod));
    TRY(trim_revisions(world_, *set, view.revisions, live));
    for (const auto& [ordinal, pod] : view.pods) {
      if (const auto left = until_available(*pod, view.min_ready, world_.clock.wall())) {
        return Requeue::after(std::chrono::duration_cast<milliseconds>(*left) + milliseconds(10));
      }
    }
    return Requeue::no();
  }

  Result<View> look(const Json& set) {
    View view{set, TRY(sync_revisions(world_, set))};
    view.update = std::string(kube::name_of(view.revisions.latest));
    view.current = std::string(data::get_string(set, {"status", "currentRevision"}));
    if (view.current.empty()) view.current = view.update;
    view.start = data::get_int(set, {"spec", "ordinals", "start"});
    view.replicas = data::get_int(set, {"spec", "replicas"}, 1);
    view.partition = data::get_int(set, {"spec", "updateStrategy", "rollingUpdate", "partition"});
    view.is_ordered = data::get_string(set, {"spec", "podManagementPolicy"}) != "Parallel";
    view.is_rolling = data::get_string(set, {"spec", "updateStrategy", "type"}) != "OnDelete";
    view.min_ready = seconds(data::get_int(set, {"spec", "minReadySeconds"}));
    for (const auto& pod : world_.pods.owned_by(kube::uid_of(set))) {
      if (const auto ordinal = ordinal_of(*pod, kube::name_of(set))) view.pods[*ordinal] = pod;
    }
    return view;
  }

  bool is_healthy(const View& view, const Json& pod) const {
    return is_active(pod) && is_available(pod, view.min_ready, world_.clock.wall());
  }

  // The next step; ordered sets do one at a time and wait for each other.
  Result<> move(View& view) {
    for (std::int64_t i = view.start; i < view.start + view.replicas; ++i) {
      const auto found = view.pods.find(i);
      if (found == view.pods.end()) {
        TRY(create_pod(view, i));
        if (view.is_ordered) return {};
        continue;
      }
      const Json& pod = *found->second;
      if (is_finished(pod) && !kube::is_deleting(pod)) {
        warn(
            view.set, "RecreatingFailedPod",
            fmt::format("StatefulSet {}/{} is recreating failed Pod {}",
                        kube::namespace_of(view.set), kube::name_of(view.set), kube::name_of(pod)));
        TRY(remove_pod(view, pod));
        if (view.is_ordered) return {};
        continue;
      }
      if (view.is_ordered && !is_healthy(view, pod)) return {};
    }
    for (auto it = view.pods.rbegin(); it != view.pods.rend(); ++it) {
      if (it->first >= view.start && it->first < view.start + view.replicas) continue;
      if (!kube::is_deleting(*it->second)) TRY(remove_pod(view, *it->second));
      if (view.is_ordered) return {};
    }
    return view.is_rolling ? replace_outdated(view) : Result<>();
  }

  // From the highest number down to the partition; an unhealthy new pod stops the rollout.
  Result<> replace_outdated(View& view) {
    for (std::int64_t i = view.start + view.replicas - 1; i >= view.start + view.partition; --i) {
      const auto found = view.pods.find(i);
      if (found == view.pods.end()) return {};
      const Json& pod = *found->second;
      if (revision_label(pod) != view.update && !kube::is_deleting(pod))
        return remove_pod(view, pod);
      if (!is_healthy(view, pod)) return {};
    }
    return {};
  }

  Result<> remove_pod(const View& view, const Json& pod) {
    TRY(world_.remove(world_.pods, pod));
    note(view.set, "SuccessfulDelete",
         fmt::format("delete Pod {} in StatefulSet {} successful", kube::name_of(pod),
                     kube::name_of(view.set)));
    return {};
  }

  Result<> create_pod(View& view, std::int64_t ordinal) {
    const bool is_kept_old =
        view.is_rolling && ordinal - view.start < view.partition && view.current != view.update;
    Json revision = view.revisions.latest;
    for (const auto& older : view.revisions.older) {
      if (is_kept_old && kube::name_of(*older) == view.current) revision = *older;
    }
    const std::string name = fmt::format("{}-{}", kube::name_of(view.set), ordinal);
    Json pod = pod_from_template(template_of(revision), view.set, "", name);
    kube::set_label(pod, "statefulset.kubernetes.io/pod-name", name);
    kube::set_label(pod, "apps.kubernetes.io/pod-index", std::to_string(ordinal));
    kube::set_label(pod, "controller-revision-hash", kube::name_of(revision));
    data::set(pod, {"spec", "hostname"}, Json(name));
    if (const auto service = data::get_string(view.set, {"spec", "serviceName"});
        !service.empty()) {
      data::set(pod, {"spec", "subdomain"}, Json(service));
    }
    TRY(add_claims(view.set, name, pod));
    auto created = world_.create(world_.pods, pod);
    if (!created) {
      warn(view.set, "FailedCreate",
           fmt::format("create Pod {} in StatefulSet {} failed error: {}", name,
                       kube::name_of(view.set), created.error().message()));
      return std::move(created).error();
    }
    note(view.set, "SuccessfulCreate",
         fmt::format("create Pod {} in StatefulSet {} successful", name, kube::name_of(view.set)));
    return {};
  }

  // volumeClaimTemplates: a claim per pod that outlives it.
  Result<> add_claims(const Json& set, const std::string& pod_name, Json& pod) {
    const auto& claims = data::get_array(set, {"spec", "volumeClaimTemplates"});
    JsonArray volumes;
    for (const Json& volume : data::get_array(pod, {"spec", "volumes"})) {
      const bool is_claim = std::any_of(claims.begin(), claims.end(), [&](const Json& claim) {
        return kube::name_of(claim) == data::get_string(volume, {"name"});
      });
      if (!is_claim) volumes.push_back(volume);
    }
    for (const Json& claim_template : claims) {
      const std::string volume(kube::name_of(claim_template));
      const std::string name = volume + "-" + pod_name;
      const std::string ns(kube::namespace_of(set));
      volumes.push_back(Json{{"name", volume}, {"persistentVolumeClaim", {{"claimName", name}}}});
      if (world_.claims.find({ns, name}) != nullptr) continue;
      Json claim = claim_template;
      data::erase(claim, {"status"});
      data::set(claim, {"apiVersion"}, "v1");
      data::set(claim, {"kind"}, "PersistentVolumeClaim");
      data::set(claim, {"metadata", "name"}, Json(name));
      data::set(claim, {"metadata", "namespace"}, Json(ns));
      for (const auto& [key, value] : data::get_object(set, {"spec", "selector", "matchLabels"})) {
        kube::set_label(claim, key, data::as_string(value));
      }
      auto created = world_.create(world_.claims, claim);
      if (!created && created.error().code() != Code::kAlreadyExists)
        return std::move(created).error();
    }
    if (!volumes.empty()) data::set(pod, {"spec", "volumes"}, Json(std::move(volumes)));
    return {};
  }

  Result<> write_status(const Key& key, const View& view) {
    const ObjectPtr before = world_.stateful_sets.find(key);
    if (before == nullptr) return {};
    std::int64_t replicas = 0, ready = 0, available = 0, current = 0, updated = 0;
    for (const auto& pod : world_.pods.owned_by(kube::uid_of(view.set))) {
      if (is_finished(*pod)) continue;
      ++replicas;
      ready += is_ready(*pod) ? 1 : 0;
      available += is_available(*pod, view.min_ready, world_.clock.wall()) ? 1 : 0;
      if (kube::is_deleting(*pod)) continue;
      current += revision_label(*pod) == view.current ? 1 : 0;
      updated += revision_label(*pod) == view.update ? 1 : 0;
    }
    std::string current_revision = view.current;
    if (view.is_rolling && updated == view.replicas && ready == view.replicas &&
        replicas == view.replicas) {
      current_revision = view.update;
      current = updated;
    }
    Json after = *before;
    const auto put = [&](std::string_view field, std::int64_t value) {
      if (value != 0) data::set(after, {"status", field}, value);
      else data::erase(after, {"status", field});
    };
    data::set(after, {"status", "replicas"}, replicas);
    data::set(after, {"status", "availableReplicas"}, available);
    data::set(after, {"status", "collisionCount"},
              data::get_int(*before, {"status", "collisionCount"}));
    put("readyReplicas", ready);
    put("currentReplicas", current);
    put("updatedReplicas", updated);
    put("observedGeneration", data::get_int(view.set, {"metadata", "generation"}));
    data::set(after, {"status", "currentRevision"}, Json(current_revision));
    data::set(after, {"status", "updateRevision"}, Json(view.update));
    return world_.update_status(world_.stateful_sets, *before, after);
  }
};

}  // namespace

std::unique_ptr<Controller> make_stateful_sets(World& world) {
  return std::make_unique<StatefulSets>(world);
}

}  // namespace lateen::cluster::controllers
