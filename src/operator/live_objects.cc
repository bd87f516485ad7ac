// Drift is a change of anything but status and bookkeeping, compared by hash.
#include "operator/live_objects.h"

#include "base/strings.h"
#include "install/applier.h"
#include "install/manifest.h"

namespace lateen::op {
namespace {

void hash_into(std::uint64_t& hash, const Json& value, int depth);

std::uint64_t hash_of(const Json& value, int depth) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  hash_into(hash, value, depth);
  return hash;
}

void mix(std::uint64_t& hash, std::uint64_t more) { hash = (hash ^ more) * 0x100000001b3ULL; }

// Key order does not count: servers and charts write keys in orders of their own.
void hash_into(std::uint64_t& hash, const Json& value, int depth) {
  if (const auto* object = value.if_object(); object != nullptr && depth < data::kMaxJsonDepth) {
    std::uint64_t sum = object->size();
    for (const auto& member : *object) {
      std::uint64_t one = fnv1a64(member.key());
      mix(one, hash_of(member.value(), depth + 1));
      sum += one;
    }
    mix(hash, sum);
  } else if (const auto* array = value.if_array();
             array != nullptr && depth < data::kMaxJsonDepth) {
    for (const Json& item : *array) mix(hash, hash_of(item, depth + 1));
    mix(hash, array->size());
  } else {
    mix(hash, fnv1a64(data::dump_json(value)));
  }
}

std::uint64_t live_hash(Json object) {
  data::erase(object, {"status"});
  for (const std::string_view field :
       {"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"}) {
    data::erase(object, {"metadata", field});
  }
  // Counted by its controller, not by us.
  data::erase(object, {"metadata", "annotations", "deployment.kubernetes.io/revision"});
  return hash_of(object, 0);
}

kube::Key owner_in(const Json& object) {
  return {std::string(kube::label(object, install::kOwnerNamespaceLabel)),
          std::string(kube::label(object, install::kOwnerLabel))};
}

std::vector<kube::Resource> watched_resources() {
  auto resources = install::prunable_resources();
  resources.push_back(kube::resources::crds());
  return resources;
}

}  // namespace

LiveObjects::LiveObjects(kube::Client& client, std::function<void(const kube::Key&)> on_drift)
    : on_drift_(std::move(on_drift)) {
  kube::ListOptions options;
  options.label_selector = std::string(install::kManagedLabel) + "=Reconcile";
  for (const auto& resource : watched_resources()) {
    auto informer = std::make_unique<kube::Informer>(client, resource, "", options);
    informer->on_change([this](const kube::Change& change) { changed(change); });
    informers_[resource.kind] = std::move(informer);
  }
}

LiveObjects::~LiveObjects() { informers_.clear(); }

void LiveObjects::start() {
  for (auto& [kind, informer] : informers_) informer->start();
}

Result<> LiveObjects::wait_synced(milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (auto& [kind, informer] : informers_) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (!informer->wait_synced(std::max(left, milliseconds(1)))) {
      return unavailable("the cluster's objects of kind " + kind +
                         " could not be read yet; may the operator list them?");
    }
  }
  return {};
}

void LiveObjects::changed(const kube::Change& change) {
  const Json& object = change.object();
  const kube::Key owner = owner_in(object);
  if (owner.name.empty()) return;
  if (change.after != nullptr) {
    std::lock_guard lock(mutex_);
    const auto found = applied_.find(install::identity(object));
    const bool is_ours =
        found != applied_.end() && found->second.live_hash == live_hash(*change.after);
    // Readiness is what an IstioOperator's status waits for.
    const bool may_be_ready = change.before != nullptr && install::waits_for(*change.before) !=
                                                              install::waits_for(*change.after);
    if (is_ours && !may_be_ready) return;
  }
  on_drift_(owner);
}

kube::ObjectPtr LiveObjects::find(const Json& like) const {
  const auto informer = informers_.find(std::string(kube::kind_of(like)));
  return informer != informers_.end() ? informer->second->find(kube::key_of(like)) : nullptr;
}

std::vector<Json> LiveObjects::owned_by(const kube::Key& owner) const {
  std::vector<Json> out;
  for (const auto& [kind, informer] : informers_) {
    for (const auto& object : informer->list()) {
      if (owner_in(*object) == owner) out.push_back(*object);
    }
  }
  return out;
}

bool LiveObjects::is_settled(const Json& wanted) const {
  const auto live = find(wanted);
  if (live == nullptr || kube::is_deleting(*live)) return false;
  std::lock_guard lock(mutex_);
  const auto found = applied_.find(install::identity(wanted));
  return found != applied_.end() && found->second.wanted_hash == hash_of(wanted, 0) &&
         found->second.live_hash == live_hash(*live);
}

void LiveObjects::remember(const Json& wanted, const Json& applied) {
  const auto informer = informers_.find(std::string(kube::kind_of(wanted)));
  if (informer != informers_.end()) informer->second->observe(applied);
  std::lock_guard lock(mutex_);
  applied_[install::identity(wanted)] = {hash_of(wanted, 0), live_hash(applied)};
}

void LiveObjects::forget(const Json& object) {
  std::lock_guard lock(mutex_);
  applied_.erase(install::identity(object));
}

}  // namespace lateen::op
