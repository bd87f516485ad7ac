// Deletes what nobody owns any more. Keeps a graph of owners and dependents over all resources,
// custom ones included, from metadata-only watches; on deletion of an owner its dependents follow,
// before it (foreground), after it (background), or stay behind (orphan).
#include <algorithm>
#include <unordered_map>

#include "base/log.h"
#include "base/strings.h"
#include "cluster/controllers/makers.h"

namespace lateen::cluster::controllers {
namespace {

using kube::Resource;

constexpr std::string_view kForeground = "foregroundDeletion";
constexpr std::string_view kOrphan = "orphan";
const Key kRefresh{"", "\nresources"};  // a newline is in no uid

constexpr milliseconds kSyncPoll{100};
constexpr seconds kSyncLimit{30};

struct Node {
  Resource resource;
  Key key;
  JsonArray owners;
  bool is_deleting = false;
  bool is_foreground = false;
  bool is_orphaning = false;
  std::set<std::string> dependents;  // uids
};

class GarbageCollector final : public Controller {
 public:
  explicit GarbageCollector(World& world)
      : world_(world),
        loop_("garbage-collector", 4, [this](const Key& key) { return reconcile(key); }) {}

  void start() override {
    loop_.start();
    loop_.queue().add(kRefresh);
  }
  void stop() override {
    loop_.stop();
    std::map<Resource, std::unique_ptr<Informer>> watches;
    {
      const std::lock_guard lock(watch_mutex_);
      watches.swap(watches_);
    }
    for (auto& [resource, watch] : watches) watch->begin_stop();
  }

 private:
  void wake(const std::string& uid) { loop_.queue().add({"", uid}); }

  Result<Requeue> reconcile(const Key& key) {
    if (key == kRefresh) return refresh();
    if (!has_synced()) return Requeue::after(kSyncPoll);
    return settle(key.name);
  }

  // Before the first lists are in, an owner may look childless.
  bool has_synced() {
    if (is_synced_) return true;
    const std::lock_guard lock(watch_mutex_);
    const bool is_late = world_.clock.steady() > refreshed_ + kSyncLimit;
    for (const auto& [resource, watch] : watches_) {
      if (watch->has_synced()) continue;
      if (!is_late) return false;
      LOG(kWarn, "garbage-collector", "{} cannot be listed; going on without", resource.plural);
    }
    is_synced_ = true;
    return true;
  }

  // ---- the graph

  // Watches what is served now; CRDs come and go.
  Result<Requeue> refresh() {
    auto served = TRY(world_.client.all_resources());
    std::erase_if(served, [](const Resource& resource) {
      return resource.plural == "events" || resource.plural == "leases" ||
             resource.plural == "componentstatuses";
    });
    const std::lock_guard lock(watch_mutex_);
    std::erase_if(watches_, [&](const auto& entry) {
      return std::find(served.begin(), served.end(), entry.first) == served.end();
    });
    for (const auto& resource : served) {
      if (watches_.contains(resource)) continue;
      auto watch = std::make_unique<Informer>(world_.client, resource);
      watch->on_read([](Json& object) { shrink(object); });
      watch->on_change([this, resource](const Change& change) { on_change(resource, change); });
      watch->apply_inline();
      watch->start();
      watches_.emplace(resource, std::move(watch));
      is_synced_ = false;
    }
    refreshed_ = world_.clock.steady();
    return Requeue::no();
  }

  static void shrink(Json& object) {
    JsonObject metadata;
    for (const std::string_view field : {"name", "namespace", "uid", "resourceVersion",
                                         "deletionTimestamp", "finalizers", "ownerReferences"}) {
      if (const Json* value = data::find(object, {"metadata", field})) metadata[field] = *value;
    }
    object = Json(JsonObject{{"metadata", std::move(metadata)}});
  }

  static std::vector<std::string> uids(const JsonArray& owners) {
    std::vector<std::string> out;
    for (const Json& owner : owners) out.emplace_back(data::get_string(owner, {"uid"}));
    return out;
  }

  void on_change(const Resource& resource, const Change& change) {
    if (resource == kube::resources::crds()) loop_.queue().add(kRefresh);
    if (change.after == nullptr) return forget(std::string(kube::uid_of(*change.before)));
    // The same name with another uid: the old object went unseen.
    if (change.before != nullptr && kube::uid_of(*change.before) != kube::uid_of(*change.after)) {
      forget(std::string(kube::uid_of(*change.before)));
    }
    const Json& object = *change.after;
    const std::string uid(kube::uid_of(object));
    bool wants_look;
    {
      const std::lock_guard lock(graph_mutex_);
      Node& node = graph_[uid];
      for (const auto& owner : uids(node.owners)) unlink(owner, uid);
      node.resource = resource;
      node.key = kube::key_of(object);
      node.owners = data::get_array(object, {"metadata", "ownerReferences"});
      node.is_deleting = kube::is_deleting(object);
      node.is_foreground = has_finalizer(object, kForeground);
      node.is_orphaning = has_finalizer(object, kOrphan);
      for (const auto& owner : uids(node.owners)) dependents_[owner].insert(uid);
      wants_look =
          !node.owners.empty() || (node.is_deleting && (node.is_foreground || node.is_orphaning));
    }
    if (wants_look) wake(uid);
  }

  void forget(const std::string& uid) {
    std::vector<std::string> others;
    {
      const std::lock_guard lock(graph_mutex_);
      const auto found = graph_.find(uid);
      if (found == graph_.end()) return;
      others = uids(found->second.owners);  // a foreground deletion may wait for us
      for (const auto& owner : others) unlink(owner, uid);
      graph_.erase(found);
      if (const auto left = dependents_.find(uid); left != dependents_.end()) {
        others.insert(others.end(), left->second.begin(), left->second.end());
      }
    }
    for (const auto& other : others) wake(other);
  }

  // Lock held.
  void unlink(const std::string& owner, const std::string& uid) {
    const auto found = dependents_.find(owner);
    if (found == dependents_.end()) return;
    found->second.erase(uid);
    if (found->second.empty()) dependents_.erase(found);
  }

  static bool has_finalizer(const Json& object, std::string_view name) {
    const auto& finalizers = data::get_array(object, {"metadata", "finalizers"});
    return std::any_of(finalizers.begin(), finalizers.end(),
                       [&](const Json& entry) { return data::as_string(entry) == name; });
  }

  std::optional<Node> look_up(const std::string& uid) {
    const std::lock_guard lock(graph_mutex_);
    const auto found = graph_.find(uid);
    if (found == graph_.end()) return std::nullopt;
    Node out = found->second;
    if (const auto mine = dependents_.find(uid); mine != dependents_.end())
      out.dependents = mine->second;
    return out;
  }

  // ---- decisions

  Result<Requeue> settle(const std::string& uid) {
    const auto node = look_up(uid);
    if (!node) return Requeue::no();
    if (node->is_deleting && node->is_orphaning) return orphan(uid, *node);
    if (node->is_deleting && node->is_foreground) return delete_dependents_first(uid, *node);
    if (node->is_deleting || node->owners.empty()) return Requeue::no();

    JsonArray solid, waiting;
    for (const Json& owner : node->owners) {
      switch (TRY(state_of(owner, *node))) {
        case Owner::kThere: solid.push_back(owner); break;
        case Owner::kWaiting: waiting.push_back(owner); break;
        case Owner::kGone: break;
      }
    }
    if (!solid.empty()) {
      if (solid.size() == node->owners.size()) return Requeue::no();
      TRY(set_owners(uid, *node, std::move(solid)));
      return Requeue::no();
    }
    // What the graph holds may be old: an object that was orphaned or adopted since must stay.
    auto live = world_.client.get(node->resource, node->key);
    if (!live) return ignore_gone(std::move(live).error());
    if (kube::uid_of(*live) != uid ||
        data::get_array(*live, {"metadata", "ownerReferences"}) != node->owners)
      return Requeue::no();  // its change is on its way here and asks again
    const bool is_foreground = !waiting.empty() && !node->dependents.empty();
    kube::DeleteOptions options;
    options.uid = uid;
    options.propagation = node->is_orphaning                     ? kube::Propagation::kOrphan
                          : is_foreground || node->is_foreground ? kube::Propagation::kForeground
                                                                 : kube::Propagation::kBackground;
    LOG(kDebug, "garbage-collector", "deleting {} {}: its owners are gone", node->resource.plural,
        node->key.to_string());
    return ignore_gone(world_.client.remove(node->resource, node->key, options));
  }

  enum class Owner : unsigned char { kThere, kWaiting, kGone };

  // The graph knows most owners; for others the API server has the last word.
  Result<Owner> state_of(const Json& owner, const Node& dependent) {
    const std::string uid(data::get_string(owner, {"uid"}));
    if (const auto known = look_up(uid)) {
      const bool is_blocked = data::get_bool(owner, {"blockOwnerDeletion"});
      if (!known->is_deleting || !known->is_foreground) return Owner::kThere;
      return is_blocked ? Owner::kWaiting : Owner::kThere;
    }
    auto resource = world_.client.resource_for(data::get_string(owner, {"apiVersion"}),
                                               data::get_string(owner, {"kind"}));
    if (!resource) {
      // An unknown kind cannot be checked: keep the dependent, a refresh looks again.
      if (resource.error().code() == Code::kNotFound) return Owner::kThere;
      return std::move(resource).error();
    }
    const std::string ns = resource->is_namespaced ? dependent.key.ns : "";
    auto live = world_.client.get(*resource, {ns, std::string(data::get_string(owner, {"name"}))});
    if (!live && live.error().code() == Code::kNotFound) return Owner::kGone;
    return kube::uid_of(TRY(std::move(live))) == uid ? Owner::kThere : Owner::kGone;
  }

  // The graph's watches run apart: it may know the owner's end before its youngest dependent, which
  // would then be collected. Orphaning is rare, so the API server is asked for all of them.
  Result<Requeue> orphan(const std::string& uid, const Node& node) {
    std::vector<Resource> watched;
    {
      const std::lock_guard lock(watch_mutex_);
      for (const auto& [resource, watch] : watches_) watched.push_back(resource);
    }
    for (const auto& resource : watched) {
      if (node.resource.is_namespaced && !resource.is_namespaced) continue;
      auto listed = world_.client.list(resource, node.resource.is_namespaced ? node.key.ns : "");
      if (!listed && listed.error().code() == Code::kNotFound) continue;  // its definition went
      const Json all = TRY(std::move(listed));
      for (const Json& child : data::get_array(all, {"items"})) TRY(disown(uid, resource, child));
    }
    return drop_finalizer(node, kOrphan);
  }

  Result<> disown(const std::string& owner_uid, const Resource& resource, const Json& child) {
    const auto& owners = data::get_array(child, {"metadata", "ownerReferences"});
    JsonArray kept;
    for (const Json& owner : owners) {
      if (data::get_string(owner, {"uid"}) != owner_uid) kept.push_back(owner);
    }
    if (kept.size() == owners.size()) return {};
    Node node;
    node.resource = resource;
    node.key = kube::key_of(child);
    return set_owners(std::string(kube::uid_of(child)), node, std::move(kept));
  }

  Result<Requeue> delete_dependents_first(const std::string& uid, const Node& node) {
    bool is_blocked = false;
    for (const auto& dependent : node.dependents) {
      const auto child = look_up(dependent);
      if (!child) continue;
      const bool blocks =
          std::any_of(child->owners.begin(), child->owners.end(), [&](const Json& owner) {
            return data::get_string(owner, {"uid"}) == uid &&
                   data::get_bool(owner, {"blockOwnerDeletion"});
          });
      is_blocked = is_blocked || blocks;
      if (!child->is_deleting) wake(dependent);
    }
    if (is_blocked) return Requeue::no();  // the last one's end wakes us
    return drop_finalizer(node, kForeground);
  }

  Result<> set_owners(const std::string& uid, const Node& node, JsonArray owners) {
    auto done =
        world_.client.patch(node.resource, node.key, kube::Patch::kMerge,
                            {{"metadata", {{"uid", uid}, {"ownerReferences", std::move(owners)}}}});
    if (!done && done.error().code() != Code::kNotFound) return std::move(done).error();
    return {};
  }

  Result<Requeue> drop_finalizer(const Node& node, std::string_view name) {
    auto live = world_.client.get(node.resource, node.key);
    if (!live) return ignore_gone(std::move(live).error());
    JsonArray kept;
    for (const Json& finalizer : data::get_array(*live, {"metadata", "finalizers"})) {
      if (data::as_string(finalizer) != name) kept.push_back(finalizer);
    }
    auto done = world_.client.patch(node.resource, node.key, kube::Patch::kMerge,
                                    {{"metadata",
                                      {{"resourceVersion", kube::resource_version_of(*live)},
                                       {"finalizers", std::move(kept)}}}});
    if (!done) return ignore_gone(std::move(done).error());
    return Requeue::no();
  }

  static Result<Requeue> ignore_gone(Result<> done) {
    if (!done && done.error().code() != Code::kNotFound) return std::move(done).error();
    return Requeue::no();
  }

  World& world_;
  std::mutex graph_mutex_;
  std::unordered_map<std::string, Node> graph_;
  std::unordered_map<std::string, std::set<std::string>>
      dependents_;  // owner uid → uids, also of owners unseen
  std::atomic<bool> is_synced_{false};
  std::mutex watch_mutex_;
  SteadyTime refreshed_{};
  std::map<Resource, std::unique_ptr<Informer>> watches_;
  kube::ReconcileLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make_garbage_collector(World& world) {
  return std::make_unique<GarbageCollector>(world);
}

}  // namespace lateen::cluster::controllers
