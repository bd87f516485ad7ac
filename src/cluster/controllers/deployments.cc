// Deployments: one ReplicaSet per pod template, and the moves between them.
#include <algorithm>

#include "base/strings.h"
#include "cluster/controllers/makers.h"
#include "cluster/controllers/pods.h"
#include "cluster/controllers/rollout.h"
#include "kube/selector.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::string_view kRevision = "deployment.kubernetes.io/revision";
constexpr std::string_view kDesired = "deployment.kubernetes.io/desired-replicas";
constexpr std::string_view kMaximum = "deployment.kubernetes.io/max-replicas";
constexpr std::int64_t kNoDeadline = 2147483647;

std::int64_t wanted_of(const Json& set) { return data::get_int(set, {"spec", "replicas"}, 1); }
std::int64_t status_of(const Json& set, std::string_view field) {
  return data::get_int(set, {"status", field});
}
SetSize size_of(const Json& set) { return {wanted_of(set), status_of(set, "availableReplicas")}; }

// The sets of one Deployment: the current template's (or null) and the others, oldest first.
struct Sets {
  ObjectPtr current;
  std::vector<ObjectPtr> old;

  std::int64_t sum(std::string_view field) const {
    std::int64_t out = current != nullptr ? status_of(*current, field) : 0;
    for (const auto& set : old) out += status_of(*set, field);
    return out;
  }
  std::int64_t wanted() const {
    std::int64_t out = current != nullptr ? wanted_of(*current) : 0;
    for (const auto& set : old) out += wanted_of(*set);
    return out;
  }
};

class Deployments final : public KeyedController {
 public:
  explicit Deployments(World& world) : KeyedController(world, "deployment-controller", 2) {
    follow(world.deployments);
    follow_owned(world.replica_sets, "Deployment");
    // Recreate waits for the old pods to go.
    world.pods.on_change([this](const Change& change) {
      if (change.after == nullptr || is_finished(*change.after))
        wake_deployment_of(change.object());
    });
  }

 private:
  void wake_deployment_of(const Json& pod) {
    const Json* owner = kube::controller_of(pod);
    if (owner == nullptr || data::get_string(*owner, {"kind"}) != "ReplicaSet") return;
    const std::string ns(kube::namespace_of(pod));
    const auto set =
        world_.replica_sets.find({ns, std::string(data::get_string(*owner, {"name"}))});
    const Json* deployment = set != nullptr ? kube::controller_of(*set) : nullptr;
    if (deployment != nullptr) enqueue({ns, std::string(data::get_string(*deployment, {"name"}))});
  }

  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr found = world_.deployments.find(key);
    if (found == nullptr) return Requeue::no();
    Json deployment = *found;
    const auto selector = TRY(
        kube::LabelSelector::from_object(Json(data::get_object(deployment, {"spec", "selector"}))));
    if (selector.is_everything()) return Requeue::no();
    Sets sets = TRY(find_sets(deployment, selector));
    if (kube::is_deleting(deployment)) return write_status(*found, std::move(deployment), sets);

    const bool is_paused = data::get_bool(deployment, {"spec", "paused"});
    mark_pause(deployment, is_paused);
    if (is_paused) {
      TRY(scale_paused(deployment, sets));
      return write_status(*found, std::move(deployment), sets);
    }
    if (data::get_string(deployment, {"spec", "strategy", "type"}) == "Recreate")
      TRY(recreate(deployment, sets));
    else TRY(roll(deployment, sets));
    TRY(drop_history(deployment, sets));
    return write_status(*found, std::move(deployment), sets);
  }

  Result<Sets> find_sets(const Json& deployment, const kube::LabelSelector& selector) {
    for (const auto& set : world_.replica_sets.list(kube::namespace_of(deployment))) {
      if (kube::controller_of(*set) == nullptr && !kube::is_deleting(*set) &&
          !kube::is_deleting(deployment) && selector.matches(kube::labels_of(*set))) {
        TRY(world_.adopt(world_.replica_sets, *set, deployment));
      }
    }
    auto owned = world_.replica_sets.owned_by(kube::uid_of(deployment));
    std::sort(owned.begin(), owned.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
      const auto rank = [](const Json& set) {
        return std::make_pair(data::get_string(set, {"metadata", "creationTimestamp"}),
                              kube::name_of(set));
      };
      return rank(*a) < rank(*b);
    });
    Sets out;
    const Json* wanted = data::find(deployment, {"spec", "template"});
    for (auto& set : owned) {
      const Json* has = data::find(*set, {"spec", "template"});
      const bool is_current = out.current == nullptr && wanted != nullptr && has != nullptr &&
                              !kube::is_deleting(*set) && is_same_template(*wanted, *has);
      if (is_current) out.current = std::move(set);
      else out.old.push_back(std::move(set));
    }
    return out;
  }

  // ---- the two strategies

  Result<> roll(Json& deployment, Sets& sets) {
    const RolloutLimits limits = limits_of(deployment);
    const std::int64_t wanted = sets.current != nullptr ? wanted_of(*sets.current) : 0;
    const std::int64_t size = next_new_size(limits, wanted, sets.wanted());
    TRY(ensure_current(deployment, sets, size));
    if (size != wanted_of(*sets.current)) {
      TRY(scale(deployment, sets.current, size));
      return {};
    }
    std::vector<SetSize> old_sizes;
    for (const auto& set : sets.old) old_sizes.push_back(size_of(*set));
    const auto next = next_old_sizes(limits, size_of(*sets.current), old_sizes);
    for (std::size_t i = 0; i < next.size(); ++i) {
      if (next[i] != old_sizes[i].wanted) TRY(scale(deployment, sets.old[i], next[i]));
    }
    return {};
  }

  Result<> recreate(Json& deployment, Sets& sets) {
    for (auto& set : sets.old) {
      if (wanted_of(*set) > 0) TRY(scale(deployment, set, 0));
    }
    for (const auto& set : sets.old) {
      for (const auto& pod : world_.pods.owned_by(kube::uid_of(*set))) {
        if (!is_finished(*pod)) return {};  // its end wakes us
      }
    }
    const std::int64_t size = data::get_int(deployment, {"spec", "replicas"}, 1);
    TRY(ensure_current(deployment, sets, size));
    if (wanted_of(*sets.current) != size) TRY(scale(deployment, sets.current, size));
    return {};
  }

  // Paused: no new template is rolled out, but the size is kept.
  Result<> scale_paused(const Json& deployment, Sets& sets) {
    std::vector<ObjectPtr*> active;
    if (sets.current != nullptr && wanted_of(*sets.current) > 0) active.push_back(&sets.current);
    for (auto& set : sets.old) {
      if (wanted_of(*set) > 0) active.push_back(&set);
    }
    if (active.empty() && sets.current != nullptr) active.push_back(&sets.current);
    const std::int64_t size = data::get_int(deployment, {"spec", "replicas"}, 1);
    if (active.size() == 1 && wanted_of(**active[0]) != size)
      return scale(deployment, *active[0], size);
    return {};
  }

  // ---- ReplicaSets

  static JsonObject copied_annotations(const Json& deployment) {
    JsonObject out;
    for (const auto& [key, value] : kube::annotations_of(deployment)) {
      const bool is_own = key == "kubectl.kubernetes.io/last-applied-configuration" ||
                          key == kRevision || key == "deployment.kubernetes.io/revision-history" ||
                          key == kDesired || key == kMaximum ||
                          key == "deprecated.deployment.rollback.to";
      if (!is_own) out[key] = value;
    }
    return out;
  }

  static void add_size_annotations(JsonObject& annotations, const Json& deployment) {
    const RolloutLimits limits = limits_of(deployment);
    annotations[kDesired] = std::to_string(limits.replicas);
    annotations[kMaximum] = std::to_string(limits.replicas + limits.max_surge);
  }

  Result<> ensure_current(Json& deployment, Sets& sets, std::int64_t size) {
    std::int64_t revision = 0;
    for (const auto& set : sets.old) revision = std::max(revision, revision_of(*set));
    ++revision;
    if (sets.current == nullptr) {
      TRY(create_set(deployment, sets, size, revision));
    } else {
      JsonObject annotations = copied_annotations(deployment);
      add_size_annotations(annotations, deployment);
      const std::int64_t before = revision_of(*sets.current);
      if (before < revision) {
        annotations[kRevision] = std::to_string(revision);
        if (before > 0) {
          std::string history(
              kube::annotation(*sets.current, "deployment.kubernetes.io/revision-history"));
          history += (history.empty() ? "" : ",") + std::to_string(before);
          annotations["deployment.kubernetes.io/revision-history"] = history;
        }
      } else {
        revision = before;
      }
      TRY(annotate_set(sets.current, annotations));
      if (kube::condition(deployment, "Progressing") == nullptr && has_deadline(deployment)) {
        set_deployment_condition(
            deployment, "Progressing", "True", "FoundNewReplicaSet",
            fmt::format("Found new replica set \"{}\"", kube::name_of(*sets.current)),
            world_.now());
      }
    }
    if (revision_of(deployment) != revision) {
      const Json stored = TRY(
          world_.patch(world_.deployments, kube::key_of(deployment), kube::Patch::kMerge,
                       {{"metadata", {{"annotations", {{kRevision, std::to_string(revision)}}}}}}));
      // The status is written on top of this version.
      if (const Json* metadata = data::find(stored, {"metadata"}))
        data::set(deployment, {"metadata"}, *metadata);
    }
    return {};
  }

  Result<> annotate_set(ObjectPtr& set, const JsonObject& annotations) {
    JsonObject changed;
    for (const auto& [key, value] : annotations) {
      if (kube::annotation(*set, key) != data::as_string(value)) changed[key] = value;
    }
    if (changed.empty()) return {};
    set = std::make_shared<const Json>(
        TRY(world_.patch(world_.replica_sets, kube::key_of(*set), kube::Patch::kMerge,
                         {{"metadata", {{"annotations", std::move(changed)}}}})));
    return {};
  }

  Result<> create_set(Json& deployment, Sets& sets, std::int64_t size, std::int64_t revision) {
    const Json* pod_template = data::find(deployment, {"spec", "template"});
    if (pod_template == nullptr) return invalid("the Deployment has no spec.template");
    const std::int64_t collisions = data::get_int(deployment, {"status", "collisionCount"});
    const std::string hash = template_hash(*pod_template, collisions);
    JsonObject annotations = copied_annotations(deployment);
    add_size_annotations(annotations, deployment);
    annotations[kRevision] = std::to_string(revision);
    Json set = {{"apiVersion", "apps/v1"},
                {"kind", "ReplicaSet"},
                {"metadata",
                 {{"name", fmt::format("{}-{}", kube::name_of(deployment), hash)},
                  {"namespace", kube::namespace_of(deployment)},
                  {"labels", data::get_object(*pod_template, {"metadata", "labels"})},
                  {"annotations", std::move(annotations)},
                  {"ownerReferences", JsonArray{kube::owner_reference(deployment)}}}},
                {"spec",
                 {{"replicas", size},
                  {"minReadySeconds", data::get_int(deployment, {"spec", "minReadySeconds"})},
                  {"selector", data::get_object(deployment, {"spec", "selector"})},
                  {"template", *pod_template}}}};
    kube::set_label(set, "pod-template-hash", hash);
    data::set(set, {"spec", "selector", "matchLabels", "pod-template-hash"}, Json(hash));
    data::set(set, {"spec", "template", "metadata", "labels", "pod-template-hash"}, Json(hash));

    auto created = world_.create(world_.replica_sets, set);
    if (!created && created.error().code() == Code::kAlreadyExists) {
      return settle_collision(deployment, sets, *pod_template, kube::key_of(set), collisions);
    }
    if (!created) {
      const std::string message = fmt::format("Failed to create new replica set \"{}\": {}",
                                              kube::name_of(set), created.error().message());
      warn(deployment, "ReplicaSetCreateError", message);
      return std::move(created).error();
    }
    sets.current = std::make_shared<const Json>(std::move(*created));
    if (size > 0) note_scaling(deployment, *sets.current, 0, size);
    if (has_deadline(deployment)) {
      set_deployment_condition(
          deployment, "Progressing", "True", "NewReplicaSetCreated",
          fmt::format("Created new replica set \"{}\"", kube::name_of(*sets.current)), world_.now(),
          true);
    }
    return {};
  }

  // The name is taken: by our own set that the cache does not show yet, or by a hash collision.
  Result<> settle_collision(Json& deployment, Sets& sets, const Json& pod_template, const Key& key,
                            std::int64_t collisions) {
    const Json taken = TRY(world_.client.get(kube::resources::replica_sets(), key));
    const Json* owner = kube::controller_of(taken);
    const Json* has = data::find(taken, {"spec", "template"});
    if (owner != nullptr && data::get_string(*owner, {"uid"}) == kube::uid_of(deployment) &&
        has != nullptr && is_same_template(*has, pod_template)) {
      world_.replica_sets.observe(taken);
      sets.current = std::make_shared<const Json>(taken);
      return {};
    }
    data::set(deployment, {"status", "collisionCount"}, collisions + 1);
    TRY(world_.update_status(world_.deployments, *world_.deployments.find(kube::key_of(deployment)),
                             deployment));
    return Error(Code::kAborted, "hash collision on " + key.to_string());
  }

  void note_scaling(const Json& deployment, const Json& set, std::int64_t from, std::int64_t to) {
    note(deployment, "ScalingReplicaSet",
         fmt::format("Scaled {} replica set {} from {} to {}", to > from ? "up" : "down",
                     kube::name_of(set), from, to));
  }

  Result<> scale(const Json& deployment, ObjectPtr& set, std::int64_t size) {
    const std::int64_t before = wanted_of(*set);
    JsonObject annotations;
    add_size_annotations(annotations, deployment);
    set = std::make_shared<const Json>(
        TRY(world_.patch(world_.replica_sets, kube::key_of(*set), kube::Patch::kMerge,
                         {{"metadata", {{"annotations", std::move(annotations)}}},
                          {"spec", {{"replicas", size}}}})));
    note_scaling(deployment, *set, before, size);
    return {};
  }

  // Old, empty sets beyond spec.revisionHistoryLimit go once the rollout is done.
  Result<> drop_history(const Json& deployment, const Sets& sets) {
    if (sets.current == nullptr || !is_complete(deployment, sets)) return {};
    const auto limit = data::get_int(deployment, {"spec", "revisionHistoryLimit"}, 10);
    std::vector<ObjectPtr> empty;
    for (const auto& set : sets.old) {
      const bool is_empty =
          wanted_of(*set) == 0 && status_of(*set, "replicas") == 0 && !kube::is_deleting(*set) &&
          data::get_int(*set, {"metadata", "generation"}) <= status_of(*set, "observedGeneration");
      if (is_empty) empty.push_back(set);
    }
    std::sort(empty.begin(), empty.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
      return revision_of(*a) < revision_of(*b);
    });
    const auto excess = static_cast<std::int64_t>(empty.size()) - limit;
    for (std::int64_t i = 0; i < excess; ++i) {
      TRY(world_.remove(world_.replica_sets, *empty[static_cast<std::size_t>(i)]));
    }
    return {};
  }

  // ---- status

  static bool has_deadline(const Json& deployment) {
    return data::get_int(deployment, {"spec", "progressDeadlineSeconds"}, kNoDeadline) !=
           kNoDeadline;
  }

  static bool is_complete(const Json& deployment, const Sets& sets) {
    const std::int64_t replicas = data::get_int(deployment, {"spec", "replicas"}, 1);
    return sets.current != nullptr && status_of(*sets.current, "replicas") == replicas &&
           sets.sum("replicas") == replicas && sets.sum("availableReplicas") == replicas;
  }

  void mark_pause(Json& deployment, bool is_paused) {
    if (!has_deadline(deployment)) return;
    const Json* progressing = kube::condition(deployment, "Progressing");
    const auto reason =
        progressing != nullptr ? data::get_string(*progressing, {"reason"}) : std::string_view();
    if (reason == "ProgressDeadlineExceeded") return;
    if (is_paused && reason != "DeploymentPaused") {
      set_deployment_condition(deployment, "Progressing", "Unknown", "DeploymentPaused",
                               "Deployment is paused", world_.now());
    } else if (!is_paused && reason == "DeploymentPaused") {
      set_deployment_condition(deployment, "Progressing", "Unknown", "DeploymentResumed",
                               "Deployment is resumed", world_.now());
    }
  }

  Result<Requeue> write_status(const Json& before, Json deployment, const Sets& sets) {
    const RolloutLimits limits = limits_of(deployment);
    const std::int64_t available = sets.sum("availableReplicas");
    const auto put = [&](std::string_view field, std::int64_t value) {
      // Go leaves zeros out.
      if (value != 0) data::set(deployment, {"status", field}, value);
      else data::erase(deployment, {"status", field});
    };
    put("observedGeneration", data::get_int(deployment, {"metadata", "generation"}));
    put("replicas", sets.sum("replicas"));
    put("updatedReplicas", sets.current != nullptr ? status_of(*sets.current, "replicas") : 0);
    put("readyReplicas", sets.sum("readyReplicas"));
    put("availableReplicas", available);
    put("unavailableReplicas", std::max<std::int64_t>(0, sets.wanted() - available));
    if (available >= limits.replicas - limits.max_unavailable) {
      set_deployment_condition(deployment, "Available", "True", "MinimumReplicasAvailable",
                               "Deployment has minimum availability.", world_.now());
    } else {
      set_deployment_condition(deployment, "Available", "False", "MinimumReplicasUnavailable",
                               "Deployment does not have minimum availability.", world_.now());
    }
    copy_failure(deployment, sets);
    const Requeue again = mark_progress(before, deployment, sets);
    TRY(world_.update_status(world_.deployments, before, deployment));
    return again;
  }

  void copy_failure(Json& deployment, const Sets& sets) {
    const Json* failure = nullptr;
    if (sets.current != nullptr) failure = kube::condition(*sets.current, "ReplicaFailure");
    if (failure != nullptr) {
      set_deployment_condition(deployment, "ReplicaFailure", data::get_string(*failure, {"status"}),
                               data::get_string(*failure, {"reason"}),
                               data::get_string(*failure, {"message"}), world_.now());
      return;
    }
    Json* list = data::find(deployment, {"status", "conditions"});
    if (list == nullptr || !list->is_array()) return;
    auto& conditions = *list->if_array();
    for (auto it = conditions.begin(); it != conditions.end(); ++it) {
      if (data::get_string(*it, {"type"}) != "ReplicaFailure") continue;
      conditions.erase(it);
      return;
    }
  }

  // The Progressing condition, and when its deadline wants another look.
  Requeue mark_progress(const Json& before, Json& deployment, const Sets& sets) {
    if (!has_deadline(deployment) || sets.current == nullptr ||
        data::get_bool(deployment, {"spec", "paused"})) {
      return Requeue::no();
    }
    const Json* condition = kube::condition(deployment, "Progressing");
    const std::string reason(condition != nullptr ? data::get_string(*condition, {"reason"})
                                                  : std::string_view());
    const std::string set(kube::name_of(*sets.current));
    if (is_complete(deployment, sets)) {
      set_deployment_condition(deployment, "Progressing", "True", "NewReplicaSetAvailable",
                               fmt::format("ReplicaSet \"{}\" has successfully progressed.", set),
                               world_.now());
      return Requeue::no();
    }
    const bool was_complete = reason == "NewReplicaSetAvailable" &&
                              sets.sum("replicas") == status_of(*sets.current, "replicas");
    if (was_complete) return Requeue::no();
    const auto grew = [&](std::string_view field) {
      return data::get_int(deployment, {"status", field}) >
             data::get_int(before, {"status", field});
    };
    const auto old_replicas = [](const Json& of) {
      return data::get_int(of, {"status", "replicas"}) -
             data::get_int(of, {"status", "updatedReplicas"});
    };
    if (grew("updatedReplicas") || grew("readyReplicas") || grew("availableReplicas") ||
        old_replicas(deployment) < old_replicas(before)) {
      set_deployment_condition(deployment, "Progressing", "True", "ReplicaSetUpdated",
                               fmt::format("ReplicaSet \"{}\" is progressing.", set), world_.now(),
                               true);
    }
    condition = kube::condition(deployment, "Progressing");
    if (condition == nullptr ||
        data::get_string(*condition, {"reason"}) == "ProgressDeadlineExceeded") {
      return Requeue::no();
    }
    const auto since = parse_rfc3339(data::get_string(*condition, {"lastUpdateTime"}));
    const seconds deadline(data::get_int(deployment, {"spec", "progressDeadlineSeconds"}, 600));
    const auto left = (since ? *since : world_.clock.wall()) + deadline - world_.clock.wall();
    if (left > nanoseconds(0)) {
      return Requeue::after(std::chrono::duration_cast<milliseconds>(left) + milliseconds(1'000));
    }
    set_deployment_condition(deployment, "Progressing", "False", "ProgressDeadlineExceeded",
                             fmt::format("ReplicaSet \"{}\" has timed out progressing.", set),
                             world_.now());
    return Requeue::no();
  }
};

}  // namespace

std::unique_ptr<Controller> make_deployments(World& world) {
  return std::make_unique<Deployments>(world);
}

}  // namespace lateen::cluster::controllers
