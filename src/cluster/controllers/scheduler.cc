// Binds pods to nodes. One worker: each decision sees the ones before it.
#include <mutex>

#include "cluster/controllers/makers.h"
#include "cluster/controllers/placement.h"
#include "cluster/controllers/pods.h"

namespace lateen::cluster::controllers {
namespace {

constexpr milliseconds kRetry{60'000};

class Scheduler final : public KeyedController {
 public:
  explicit Scheduler(World& world) : KeyedController(world, "default-scheduler", 1) {
    world.pods.on_change([this](const Change& change) { on_pod(change); });
    world.nodes.on_change([this](const Change&) { retry_waiting(); });
  }

 private:
  static bool is_ours(const Json& pod) {
    const auto scheduler = data::get_string(pod, {"spec", "schedulerName"}, "default-scheduler");
    return (scheduler.empty() || scheduler == "default-scheduler") &&
           data::get_string(pod, {"spec", "nodeName"}).empty() && is_active(pod) &&
           data::get_array(pod, {"spec", "schedulingGates"}).empty();
  }

  void on_pod(const Change& change) {
    if (change.after != nullptr && is_ours(*change.after)) {
      // Our own note about why it waits must not wake it.
      const bool is_news =
          change.before == nullptr || !is_ours(*change.before) ||
          data::get_int(*change.before, {"metadata", "generation"}) !=
              data::get_int(*change.after, {"metadata", "generation"}) ||
          !data::equal(Json(kube::labels_of(*change.before)), Json(kube::labels_of(*change.after)));
      if (is_news) enqueue(kube::key_of(*change.after));
      return;
    }
    const bool frees_room = change.after == nullptr || is_finished(*change.after);
    // A new pod may be the companion that another one's affinity waits for.
    const bool was_placed = change.after != nullptr &&
                            !data::get_string(*change.after, {"spec", "nodeName"}).empty() &&
                            (change.before == nullptr ||
                             data::get_string(*change.before, {"spec", "nodeName"}).empty());
    if (frees_room || was_placed) retry_waiting();
  }

  void retry_waiting() {
    std::set<Key> waiting;
    {
      const std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
    }
    for (const auto& key : waiting) enqueue(key);
  }

  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr pod = world_.pods.find(key);
    if (pod == nullptr || !is_ours(*pod)) {
      assumed_.erase(key);
      return Requeue::no();
    }
    if (const auto found = assumed_.find(key); found != assumed_.end()) {
      if (found->second.uid == kube::uid_of(*pod)) return Requeue::no();
      assumed_.erase(found);
    }
    const auto nodes = view_nodes();
    std::map<std::string, int> reasons;
    const NodeView* best = nullptr;
    double best_score = 0;
    for (const auto& view : nodes) {
      const auto problems = obstacles(*pod, view, nodes);
      for (const auto& problem : problems) ++reasons[problem];
      if (!problems.empty()) continue;
      const double points = score(*pod, view);
      if (best == nullptr || points > best_score) {
        best = &view;
        best_score = points;
      }
    }
    if (best == nullptr) return wait(*pod, unschedulable_message(nodes.size(), reasons));
    TRY(bind(*pod, std::string(kube::name_of(*best->node))));
    return Requeue::no();
  }

  std::vector<NodeView> view_nodes() {
    std::vector<NodeView> out;
    for (const auto& node : world_.nodes.list()) {
      if (!kube::is_deleting(*node)) out.push_back({node, {}});
    }
    for (const auto& pod : world_.pods.list()) {
      std::string node(data::get_string(*pod, {"spec", "nodeName"}));
      const auto assumed = assumed_.find(kube::key_of(*pod));
      if (assumed != assumed_.end()) {
        if (!node.empty()) assumed_.erase(assumed);
        else node = assumed->second.node;
      }
      if (node.empty()) continue;
      for (auto& view : out) {
        if (kube::name_of(*view.node) == node) view.pods.push_back(pod);
      }
    }
    return out;
  }

  Result<> bind(const Json& pod, const std::string& node) {
    const Key key = kube::key_of(pod);
    const Json binding = {
        {"apiVersion", "v1"},
        {"kind", "Binding"},
        {"metadata", {{"name", key.name}, {"namespace", key.ns}, {"uid", kube::uid_of(pod)}}},
        {"target", {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node}}}};
    TRY(world_.client.create_subresource(kube::resources::pods(), key, "binding", binding));
    assumed_[key] = {node, std::string(kube::uid_of(pod))};
    note(pod, "Scheduled", fmt::format("Successfully assigned {} to {}", key.to_string(), node));
    return {};
  }

  Result<Requeue> wait(const Json& pod, const std::string& why) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.insert(kube::key_of(pod));
    }
    Json after = pod;
    if (kube::set_condition(after, "PodScheduled", "False", "Unschedulable", why, world_.now())) {
      TRY(world_.update_status(world_.pods, pod, after));
    }
    warn(pod, "FailedScheduling", why);
    return Requeue::after(kRetry);
  }

  struct Assumed {
    std::string node, uid;
  };
  std::map<Key, Assumed>
      assumed_;  // bound by us, the cache does not show it yet; worker thread only
  std::mutex mutex_;
  std::set<Key> waiting_;  // did not fit anywhere
};

}  // namespace

std::unique_ptr<Controller> make_scheduler(World& world) {
  return std::make_unique<Scheduler>(world);
}

}  // namespace lateen::cluster::controllers
