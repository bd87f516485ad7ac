// DaemonSets: one pod on every node that takes it.
#include <algorithm>
#include <map>

#include "cluster/controllers/makers.h"
#include "cluster/controllers/placement.h"
#include "cluster/controllers/pods.h"
#include "cluster/controllers/revisions.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::string_view kHash = "controller-revision-hash";

// Taints that daemons always live with.
constexpr std::pair<std::string_view, std::string_view> kTolerated[] = {
    {"node.kubernetes.io/not-ready", "NoExecute"},
    {"node.kubernetes.io/unreachable", "NoExecute"},
    {"node.kubernetes.io/disk-pressure", "NoSchedule"},
    {"node.kubernetes.io/memory-pressure", "NoSchedule"},
    {"node.kubernetes.io/pid-pressure", "NoSchedule"},
    {"node.kubernetes.io/unschedulable", "NoSchedule"},
    {"node.kubernetes.io/not-ready", "NoSchedule"},
    {"node.kubernetes.io/network-unavailable", "NoSchedule"},
};

// The node a daemon's pod is for: where it runs, or where its affinity sends it.
std::string node_of(const Json& pod) {
  if (const auto node = data::get_string(pod, {"spec", "nodeName"}); !node.empty())
    return std::string(node);
  for (const Json& term : data::get_array(
           pod, {"spec", "affinity", "nodeAffinity",
                 "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"})) {
    for (const Json& field : data::get_array(term, {"matchFields"})) {
      const auto& values = data::get_array(field, {"values"});
      if (data::get_string(field, {"key"}) == "metadata.name" && values.size() == 1) {
        return std::string(data::as_string(values[0]));
      }
    }
  }
  return {};
}

class DaemonSets final : public KeyedController {
 public:
  explicit DaemonSets(World& world) : KeyedController(world, "daemonset-controller", 2) {
    follow(world.daemon_sets);
    follow_owned(world.pods, "DaemonSet");
    world.nodes.on_change([this](const Change& change) {
      if (change.before != nullptr && change.after != nullptr &&
          is_same_place(*change.before, *change.after))
        return;
      for (const auto& set : world_.daemon_sets.list()) enqueue(kube::key_of(*set));
    });
  }

 private:
  static bool is_same_place(const Json& a, const Json& b) {
    return data::equal(Json(kube::labels_of(a)), Json(kube::labels_of(b))) &&
           data::equal(Json(data::get_object(a, {"spec"})), Json(data::get_object(b, {"spec"})));
  }

  // Pods by node, for the nodes that want one and for the others.
  struct View {
    const Json& set;
    Revisions revisions;
    Json model;  // a pod of the current template
    std::vector<std::string> wanted;
    std::map<std::string, std::vector<ObjectPtr>> pods;
    seconds min_ready{0};

    bool wants(const std::string& node) const {
      return std::find(wanted.begin(), wanted.end(), node) != wanted.end();
    }
  };

  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr set = world_.daemon_sets.find(key);
    if (set == nullptr || kube::is_deleting(*set)) return Requeue::no();
    View view{*set, TRY(sync_revisions(world_, *set)), Json(), {}, {}, seconds(0)};
    view.min_ready = seconds(data::get_int(*set, {"spec", "minReadySeconds"}));
    view.model = model_pod(*set, view.revisions.latest);
    for (const auto& node : world_.nodes.list()) {
      if (!kube::is_deleting(*node) && is_wanted_on(view.model, *node))
        view.wanted.emplace_back(kube::name_of(*node));
    }
    for (const auto& pod : world_.pods.owned_by(kube::uid_of(*set)))
      view.pods[node_of(*pod)].push_back(pod);

    auto placed = place(view);
    if (placed) placed = replace_outdated(view);
    const auto left = TRY(write_status(key, view));
    TRY(std::move(placed));
    std::set<std::string> live;
    for (const auto& [node, pods] : view.pods) {
      for (const auto& pod : pods)
        live.insert(fmt::format("{}-{}", kube::name_of(*set), kube::label(*pod, kHash)));
    }
    TRY(trim_revisions(world_, *set, view.revisions, live));
    if (!left) return Requeue::no();
    return Requeue::after(std::chrono::duration_cast<milliseconds>(*left) + milliseconds(10));
  }

  static Json model_pod(const Json& set, const Json& revision) {
    const Json* pod_template = data::find(set, {"spec", "template"});
    Json pod = pod_from_template(pod_template != nullptr ? *pod_template : Json(), set,
                                 std::string(kube::name_of(set)) + "-");
    kube::set_label(pod, kHash, revision_hash(revision));
    kube::set_label(pod, "pod-template-generation",
                    std::to_string(data::get_int(set, {"metadata", "generation"})));
    JsonArray tolerations = data::get_array(pod, {"spec", "tolerations"});
    for (const auto& [key, effect] : kTolerated) {
      tolerations.push_back(Json{{"key", key}, {"operator", "Exists"}, {"effect", effect}});
    }
    data::set(pod, {"spec", "tolerations"}, Json(std::move(tolerations)));
    return pod;
  }

  static bool is_wanted_on(const Json& model, const Json& node) {
    if (!matches_node(model, node)) return false;
    for (const Json& taint : data::get_array(node, {"spec", "taints"})) {
      if (data::get_string(taint, {"effect"}) != "PreferNoSchedule" && !tolerates(model, taint))
        return false;
    }
    return true;
  }

  Result<> place(const View& view) {
    for (const auto& [node, pods] : view.pods) {
      const bool is_wanted = view.wants(node);
      bool has_one = false;
      for (const auto& pod : pods) {
        if (kube::is_deleting(*pod)) continue;
        if (is_wanted && !has_one && !is_finished(*pod)) {
          has_one = true;
          continue;
        }
        if (is_finished(*pod)) {
          warn(view.set, "FailedDaemonPod",
               fmt::format("Found failed daemon pod {}/{} on node {}, will try to kill it",
                           kube::namespace_of(*pod), kube::name_of(*pod), node));
        }
        TRY(world_.remove(world_.pods, *pod));
        note(view.set, "SuccessfulDelete", fmt::format("Deleted pod: {}", kube::name_of(*pod)));
      }
    }
    for (const auto& node : view.wanted) {
      const auto found = view.pods.find(node);
      // One that is ending still holds its ports: wait for it.
      if (found != view.pods.end() && !found->second.empty()) continue;
      Json pod = view.model;
      pin(pod, node);
      auto created = world_.create(world_.pods, pod);
      if (!created) {
        warn(view.set, "FailedCreate", "Error creating: " + created.error().message());
        return std::move(created).error();
      }
      note(view.set, "SuccessfulCreate", fmt::format("Created pod: {}", kube::name_of(*created)));
    }
    return {};
  }

  // The scheduler places daemons too; their affinity leaves it one choice.
  static void pin(Json& pod, const std::string& node) {
    const Json by_name =
        JsonArray{Json{{"key", "metadata.name"}, {"operator", "In"}, {"values", JsonArray{node}}}};
    Json& required = data::ensure_object(
        pod,
        {"spec", "affinity", "nodeAffinity"})["requiredDuringSchedulingIgnoredDuringExecution"];
    Json* terms = data::find(required, {"nodeSelectorTerms"});
    if (terms == nullptr || !terms->is_array() || terms->if_array()->empty()) {
      required = Json{{"nodeSelectorTerms", JsonArray{Json{{"matchFields", by_name}}}}};
      return;
    }
    for (Json& term : *terms->if_array()) data::set(term, {"matchFields"}, by_name);
  }

  Result<> replace_outdated(const View& view) {
    if (data::get_string(view.set, {"spec", "updateStrategy", "type"}) == "OnDelete") return {};
    const auto wanted = static_cast<std::int64_t>(view.wanted.size());
    std::int64_t budget = int_or_percent(
        data::find(view.set, {"spec", "updateStrategy", "rollingUpdate", "maxUnavailable"}), wanted,
        true, 1);
    budget = std::max<std::int64_t>(budget, 1);
    std::vector<ObjectPtr> running;
    for (const auto& node : view.wanted) {
      const auto found = view.pods.find(node);
      bool has_available = false;
      for (const auto& pod : found != view.pods.end() ? found->second : std::vector<ObjectPtr>()) {
        if (!is_active(*pod)) continue;
        const bool is_up = is_available(*pod, view.min_ready, world_.clock.wall());
        has_available = has_available || is_up;
        if (kube::label(*pod, kHash) == revision_hash(view.revisions.latest)) continue;
        // What does not work anyway is replaced at once.
        if (is_up) running.push_back(pod);
        else TRY(world_.remove(world_.pods, *pod));
      }
      if (!has_available) --budget;
    }
    for (const auto& pod : running) {
      if (budget-- <= 0) break;
      TRY(world_.remove(world_.pods, *pod));
      note(view.set, "SuccessfulDelete", fmt::format("Deleted pod: {}", kube::name_of(*pod)));
    }
    return {};
  }

  Result<std::optional<nanoseconds>> write_status(const Key& key, const View& view) {
    const ObjectPtr before = world_.daemon_sets.find(key);
    if (before == nullptr) return std::optional<nanoseconds>();
    std::int64_t scheduled = 0, misplaced = 0, ready = 0, available = 0, updated = 0;
    std::optional<nanoseconds> left;
    std::map<std::string, std::vector<ObjectPtr>> by_node;
    for (const auto& pod : world_.pods.owned_by(kube::uid_of(view.set))) {
      if (is_active(*pod)) by_node[node_of(*pod)].push_back(pod);
    }
    for (const auto& [node, pods] : by_node) {
      if (!view.wants(node)) {
        ++misplaced;
        continue;
      }
      ++scheduled;
      const Json& pod = *pods.front();
      ready += is_ready(pod) ? 1 : 0;
      available += is_available(pod, view.min_ready, world_.clock.wall()) ? 1 : 0;
      updated += kube::label(pod, kHash) == revision_hash(view.revisions.latest) ? 1 : 0;
      if (const auto until = until_available(pod, view.min_ready, world_.clock.wall()))
        left = until;
    }
    const auto wanted = static_cast<std::int64_t>(view.wanted.size());
    Json after = *before;
    const auto put = [&](std::string_view field, std::int64_t value) {
      if (value != 0) data::set(after, {"status", field}, value);
      else data::erase(after, {"status", field});
    };
    data::set(after, {"status", "currentNumberScheduled"}, scheduled);
    data::set(after, {"status", "desiredNumberScheduled"}, wanted);
    data::set(after, {"status", "numberMisscheduled"}, misplaced);
    data::set(after, {"status", "numberReady"}, ready);
    put("numberAvailable", available);
    put("numberUnavailable", wanted - available);
    put("updatedNumberScheduled", updated);
    put("observedGeneration", data::get_int(view.set, {"metadata", "generation"}));
    TRY(world_.update_status(world_.daemon_sets, *before, after));
    return left;
  }
};

}  // namespace

std::unique_ptr<Controller> make_daemon_sets(World& world) {
  return std::make_unique<DaemonSets>(world);
}

}  // namespace lateen::cluster::controllers
