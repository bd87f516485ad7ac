// Caches and write-through.
#include "cluster/controllers/world.h"

namespace lateen::cluster::controllers {

namespace r = kube::resources;

constexpr milliseconds kSyncLimit{30'000};

World::World(kube::Client& client, const Clock& clock)
    : client(client),
      clock(clock),
      pods(client, r::pods()),
      services(client, r::services()),
      endpoints(client, r::endpoints()),
      slices(client, r::endpoint_slices()),
      namespaces(client, r::namespaces()),
      nodes(client, r::nodes()),
      service_accounts(client, r::service_accounts()),
      root_ca_maps(client, r::config_maps(), "",
                   {.field_selector = "metadata.name=kube-root-ca.crt"}),
      deployments(client, r::deployments()),
      replica_sets(client, r::replica_sets()),
      stateful_sets(client, r::stateful_sets()),
      daemon_sets(client, r::daemon_sets()),
      revisions(client, r::controller_revisions()),
      jobs(client, r::jobs()),
      cron_jobs(client, r::cron_jobs()),
      hpas(client, r::hpas()),
      pdbs(client, r::pdbs()),
      replication_controllers(client, r::replication_controllers()),
      claims(client, r::persistent_volume_claims()) {}

World::~World() {
  for (Informer* cache : all()) cache->begin_stop();
}

std::vector<Informer*> World::all() {
  return {&pods,
          &services,
          &endpoints,
          &slices,
          &namespaces,
          &nodes,
          &service_accounts,
          &root_ca_maps,
          &deployments,
          &replica_sets,
          &stateful_sets,
          &daemon_sets,
          &revisions,
          &jobs,
          &cron_jobs,
          &hpas,
          &pdbs,
          &replication_controllers,
          &claims};
}

Result<> World::start() {
  for (Informer* cache : all()) {
    // Half of many objects, and no controller reads it; writes without it keep the server's.
    cache->on_read([](Json& object) { data::erase(object, {"metadata", "managedFields"}); });
    cache->start();
  }
  for (Informer* cache : all()) {
    if (cache->wait_synced(kSyncLimit)) continue;
    return unavailable("controllers: the API server did not list " + cache->resource().plural +
                       " within 30 s");
  }
  return {};
}

Result<Json> World::create(Informer& cache, const Json& object) {
  Json stored = TRY(client.create(cache.resource(), object));
  cache.observe(stored);
  return stored;
}

Result<Json> World::update(Informer& cache, const Json& object) {
  Json stored = TRY(client.update(cache.resource(), object));
  cache.observe(stored);
  return stored;
}

Result<> World::update_status(Informer& cache, const Json& before, const Json& after) {
  const Json* old_status = data::find(before, {"status"});
  const Json* new_status = data::find(after, {"status"});
  if (new_status == nullptr) return {};
  if (old_status != nullptr && data::equal(*old_status, *new_status)) return {};
  cache.observe(TRY(client.update_status(cache.resource(), after)));
  return {};
}

Result<Json> World::patch(Informer& cache, const Key& key, kube::Patch kind, const Json& body) {
  Json stored = TRY(client.patch(cache.resource(), key, kind, body));
  cache.observe(stored);
  return stored;
}

Result<> World::remove(Informer& cache, const Json& object, kube::DeleteOptions options) {
  options.uid = std::string(kube::uid_of(object));
  auto done = client.remove(cache.resource(), kube::key_of(object), options);
  if (!done && done.error().code() != Code::kNotFound) return done;
  cache.observe_removal(kube::key_of(object));
  return {};
}

Result<> World::adopt(Informer& cache, const Json& object, const Json& owner) {
  // The cache may not show yet that the owner is going: it must not take back what it just
  // orphaned.
  const auto resource = TRY(client.resource_for(kube::api_version_of(owner), kube::kind_of(owner)));
  const Json live = TRY(client.get(resource, kube::key_of(owner)));
  if (kube::uid_of(live) != kube::uid_of(owner) || kube::is_deleting(live)) {
    return Error(Code::kAborted,
                 kube::key_of(owner).to_string() + " is being deleted and adopts nothing");
  }
  Json patched = object;
  Json& owners = data::ensure_object(patched, {"metadata"})["ownerReferences"];
  if (!owners.is_array()) owners.emplace_array();
  owners.if_array()->push_back(kube::owner_reference(owner));
  TRY(patch(cache, kube::key_of(object), kube::Patch::kMerge,
            {{"metadata", {{"uid", kube::uid_of(object)}, {"ownerReferences", owners}}}}));
  return {};
}

Result<> World::release(Informer& cache, const Json& object, const Json& owner) {
  JsonArray kept;
  for (const Json& reference : data::get_array(object, {"metadata", "ownerReferences"})) {
    if (data::get_string(reference, {"uid"}) != kube::uid_of(owner)) kept.push_back(reference);
  }
  TRY(patch(cache, kube::key_of(object), kube::Patch::kMerge,
            {{"metadata", {{"uid", kube::uid_of(object)}, {"ownerReferences", std::move(kept)}}}}));
  return {};
}

void KeyedController::follow(Informer& cache) {
  cache.on_change([this](const Change& change) { enqueue(kube::key_of(change.object())); });
}

void KeyedController::follow_owned(Informer& cache, std::string kind) {
  cache.on_change([this, kind = std::move(kind)](const Change& change) {
    std::string last;
    for (const ObjectPtr& side : {change.before, change.after}) {
      const Json* owner = side != nullptr ? kube::controller_of(*side) : nullptr;
      if (owner == nullptr || data::get_string(*owner, {"kind"}) != kind) continue;
      const std::string name(data::get_string(*owner, {"name"}));
      if (name != last) enqueue({std::string(kube::namespace_of(*side)), name});
      last = name;
    }
  });
}

}  // namespace lateen::cluster::controllers
