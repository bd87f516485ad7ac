// Pods that nobody will end: those of vanished nodes, those deleted before they were placed, and
// finished ones beyond a limit. Events older than an hour.
#include <algorithm>

#include "cluster/controllers/makers.h"
#include "cluster/controllers/pods.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::size_t kMaxFinished =
    12'500;  // kube-controller-manager's --terminated-pod-gc-threshold
constexpr hours kEventLife{1};
constexpr milliseconds kSweepEvery{120'000};
const Key kSweep{"", "\nsweep"};

class PodCleanup final : public KeyedController {
 public:
  explicit PodCleanup(World& world) : KeyedController(world, "pod-garbage-collector", 1) {
    world.pods.on_change([this](const Change& change) {
      if (change.after != nullptr && kube::is_deleting(*change.after))
        enqueue(kube::key_of(*change.after));
    });
    world.nodes.on_change([this](const Change& change) {
      if (change.after == nullptr) enqueue(kSweep);
    });
    enqueue(kSweep);
  }

 private:
  Result<Requeue> reconcile(const Key& key) override {
    if (key == kSweep) {
      TRY(sweep());
      return Requeue::after(kSweepEvery);
    }
    const ObjectPtr pod = world_.pods.find(key);
    if (pod != nullptr && kube::is_deleting(*pod) &&
        data::get_string(*pod, {"spec", "nodeName"}).empty()) {
      TRY(end(*pod));
    }
    return Requeue::no();
  }

  Result<> end(const Json& pod) { return world_.remove(world_.pods, pod, {.grace_seconds = 0}); }

  Result<> sweep() {
    std::vector<ObjectPtr> finished;
    for (const auto& pod : world_.pods.list()) {
      const std::string node(data::get_string(*pod, {"spec", "nodeName"}));
      if (!node.empty() && world_.nodes.find({"", node}) == nullptr) {
        // The cache may lag behind a node that was just made.
        auto live = world_.client.get(kube::resources::nodes(), {"", node});
        if (!live && live.error().code() == Code::kNotFound) TRY(end(*pod));
      } else if (is_finished(*pod)) {
        finished.push_back(pod);
      }
    }
    if (finished.size() > kMaxFinished) {
      std::sort(finished.begin(), finished.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
        return data::get_string(*a, {"metadata", "creationTimestamp"}) <
               data::get_string(*b, {"metadata", "creationTimestamp"});
      });
      finished.resize(finished.size() - kMaxFinished);
      for (const auto& pod : finished) TRY(end(*pod));
    }
    return drop_old_events();
  }

  Result<> drop_old_events() {
    const Json list = TRY(world_.client.list(kube::resources::events(), ""));
    const WallTime limit = world_.clock.wall() - kEventLife;
    for (const Json& event : data::get_array(list, {"items"})) {
      auto at = parse_rfc3339(data::get_string(event, {"lastTimestamp"}));
      if (!at) at = parse_rfc3339(data::get_string(event, {"metadata", "creationTimestamp"}));
      if (!at || *at >= limit) continue;
      auto done = world_.client.remove(kube::resources::events(), kube::key_of(event));
      if (!done && done.error().code() != Code::kNotFound) return done;
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Controller> make_pod_cleanup(World& world) {
  return std::make_unique<PodCleanup>(world);
}

}  // namespace lateen::cluster::controllers
