// Nodes: taints that follow their state, and Ready becomes Unknown when their agent falls silent.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/controllers/makers.h"
#include "cluster/controllers/placement.h"

namespace lateen::cluster::controllers {
namespace {

constexpr seconds kGrace{50};  // without a renewed lease
constexpr milliseconds kLookEvery{10'000};
constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";
constexpr std::string_view kUnreachable = "node.kubernetes.io/unreachable";
constexpr std::string_view kCordoned = "node.kubernetes.io/unschedulable";

bool is_ours(const Json& taint) {
  const auto key = data::get_string(taint, {"key"});
  return key == kNotReady || key == kUnreachable || key == kCordoned;
}

// The taints a node's state calls for, beside those that others put there.
JsonArray taints_for(const Json& node) {
  JsonArray out;
  for (const Json& taint : data::get_array(node, {"spec", "taints"})) {
    if (!is_ours(taint)) out.push_back(taint);
  }
  const auto add = [&](std::string_view key, std::string_view effect) {
    out.push_back(Json{{"key", key}, {"effect", effect}});
  };
  if (data::get_bool(node, {"spec", "unschedulable"})) add(kCordoned, "NoSchedule");
  const Json* ready = kube::condition(node, "Ready");
  const auto status = ready != nullptr ? data::get_string(*ready, {"status"}) : "False";
  if (status == "True") return out;
  const auto key = status == "Unknown" ? kUnreachable : kNotReady;
  add(key, "NoSchedule");
  add(key, "NoExecute");
  return out;
}

// Without the times at which taints were added.
JsonArray plain(const JsonArray& taints) {
  JsonArray out = taints;
  for (Json& taint : out) data::erase(taint, {"timeAdded"});
  return out;
}

class NodeLifecycle final : public KeyedController {
 public:
  explicit NodeLifecycle(World& world) : KeyedController(world, "node-controller", 1) {
    follow(world.nodes);
  }

 private:
  Result<Requeue> reconcile(const Key& key) override {
    ObjectPtr node = world_.nodes.find(key);
    if (node == nullptr || kube::is_deleting(*node)) return Requeue::no();
    if (is_silent(*node)) {
      Json after = *node;
      const bool is_news =
          kube::set_condition(after, "Ready", "Unknown", "NodeStatusUnknown",
                              "Kubelet stopped posting node status.", world_.now());
      if (is_news) {
        TRY(world_.update_status(world_.nodes, *node, after));
        note(*node, "NodeNotReady", fmt::format("Node {} status is now: NodeNotReady", key.name));
        node = world_.nodes.find(key);
      }
    }
    const JsonArray wanted = taints_for(*node);
    const auto& has = data::get_array(*node, {"spec", "taints"});
    const bool lacks_time = std::any_of(has.begin(), has.end(), [](const Json& taint) {
      return data::get_string(taint, {"effect"}) == "NoExecute" &&
             data::find(taint, {"timeAdded"}) == nullptr;
    });
    if (lacks_time || !data::equal(Json(plain(has)), Json(plain(wanted)))) {
      TRY(world_.patch(world_.nodes, key, kube::Patch::kMerge,
                       {{"metadata", {{"resourceVersion", kube::resource_version_of(*node)}}},
                        {"spec", {{"taints", stamped(wanted, has)}}}}));
    }
    TRY(evict(*node));
    return Requeue::after(kLookEvery);
  }

  // Pods that do not tolerate a NoExecute taint go; those that do for a time go after it. The
  // taints that follow the node's own state evict nobody: there is no other node to go to.
  Result<> evict(const Json& node) {
    for (const Json& taint : data::get_array(node, {"spec", "taints"})) {
      if (data::get_string(taint, {"effect"}) != "NoExecute" || is_ours(taint)) continue;
      const auto added = parse_rfc3339(data::get_string(taint, {"timeAdded"}));
      for (const auto& pod : world_.pods.list()) {
        if (data::get_string(*pod, {"spec", "nodeName"}) != kube::name_of(node) ||
            kube::is_deleting(*pod))
          continue;
        if (const auto seconds_left = tolerated_seconds(*pod, taint)) {
          if (*seconds_left < 0) continue;  // for ever
          if (added && *added + seconds(*seconds_left) > world_.clock.wall()) continue;
          if (!added) continue;
        }
        note(*pod, "TaintManagerEviction",
             fmt::format("Marking for deletion Pod {}/{}", kube::namespace_of(*pod),
                         kube::name_of(*pod)));
        TRY(world_.remove(world_.pods, *pod));
      }
    }
    return {};
  }

  // nullopt: not tolerated. Negative: for ever.
  static std::optional<std::int64_t> tolerated_seconds(const Json& pod, const Json& taint) {
    std::optional<std::int64_t> longest;
    for (const Json& toleration : data::get_array(pod, {"spec", "tolerations"})) {
      Json alone = pod;
      data::set(alone, {"spec", "tolerations"}, JsonArray{toleration});
      if (!tolerates(alone, taint)) continue;
      const Json* limit = data::find(toleration, {"tolerationSeconds"});
      if (limit == nullptr || limit->is_null()) return -1;
      longest = std::max(longest.value_or(0), data::as_int(*limit).value_or(0));
    }
    return longest;
  }

  JsonArray stamped(const JsonArray& wanted, const JsonArray& has) {
    JsonArray out;
    for (Json taint : wanted) {
      for (const Json& old : has) {
        if (data::get_string(old, {"key"}) == data::get_string(taint, {"key"}) &&
            data::get_string(old, {"effect"}) == data::get_string(taint, {"effect"})) {
          taint = old;
        }
      }
      const bool is_timed = is_ours(taint) || data::get_string(taint, {"effect"}) == "NoExecute";
      if (is_timed && data::find(taint, {"timeAdded"}) == nullptr) {
        data::set(taint, {"timeAdded"}, Json(world_.now()));
      }
      out.push_back(std::move(taint));
    }
    return out;
  }

  // Its agent keeps a lease; a node that never had one is taken at its word.
  bool is_silent(const Json& node) {
    const auto lease = world_.client.get(kube::resources::leases(),
                                         {"kube-node-lease", std::string(kube::name_of(node))});
    if (!lease) return false;
    const auto renewed = parse_rfc3339(data::get_string(*lease, {"spec", "renewTime"}));
    return renewed && *renewed + kGrace < world_.clock.wall();
  }
};

}  // namespace

std::unique_ptr<Controller> make_node_lifecycle(World& world) {
  return std::make_unique<NodeLifecycle>(world);
}

}  // namespace lateen::cluster::controllers
