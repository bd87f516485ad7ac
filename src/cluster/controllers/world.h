// What all controllers share: the client, the clock, the caches, and writes that the caches show at
// once.
#pragma once

#include <fmt/core.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "kube/client.h"
#include "kube/events.h"
#include "kube/informer.h"

namespace lateen::cluster::controllers {

using data::Json;
using data::JsonArray;
using data::JsonObject;
using kube::Change;
using kube::Informer;
using kube::Key;
using kube::ObjectPtr;
using kube::Requeue;

// Thread-safe.
class World {
 public:
  World(kube::Client& client, const Clock& clock);
  ~World();

  // Starts all caches, and waits for their first lists.
  Result<> start();

  kube::Client& client;
  const Clock& clock;

  Informer pods, services, endpoints, slices, namespaces, nodes, service_accounts, root_ca_maps;
  Informer deployments, replica_sets, stateful_sets, daemon_sets, revisions, jobs, cron_jobs, hpas,
      pdbs;
  Informer replication_controllers, claims;

  std::string now() const { return format_rfc3339(clock.wall()); }

  Result<Json> create(Informer& cache, const Json& object);
  Result<Json> update(Informer& cache, const Json& object);
  // Writes `after`'s status unless it equals `before`'s.
  Result<> update_status(Informer& cache, const Json& before, const Json& after);
  Result<Json> patch(Informer& cache, const Key& key, kube::Patch kind, const Json& body);
  // Of this very object (by uid); fine when it is gone already.
  Result<> remove(Informer& cache, const Json& object, kube::DeleteOptions options = {});

  // Gives `object` the controller owner `owner`, or takes it away.
  Result<> adopt(Informer& cache, const Json& object, const Json& owner);
  Result<> release(Informer& cache, const Json& object, const Json& owner);

 private:
  std::vector<Informer*> all();
};

// One control loop. Constructed before the caches start (it hooks into them), started after they
// synced.
class Controller {
 public:
  virtual ~Controller() = default;
  virtual void start() = 0;
  virtual void stop() = 0;  // joins its threads; idempotent
};

// The usual shape: a queue of keys fed by caches, workers that reconcile a key.
class KeyedController : public Controller {
 public:
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 protected:
  KeyedController(World& world, std::string name, int workers)
      : world_(world),
        loop_(name, workers, [this](const Key& key) { return reconcile(key); }),
        events_(world.client, world.clock, std::move(name)) {}
  virtual Result<Requeue> reconcile(const Key& key) = 0;

  void enqueue(Key key) { loop_.queue().add(std::move(key)); }
  // Every change of `cache`'s objects wakes their own key.
  void follow(Informer& cache);
  // A change of an owned object wakes its owner of this kind (before and after the change).
  void follow_owned(Informer& cache, std::string kind);
  void note(const Json& object, std::string_view reason, std::string_view message) {
    events_.record(object, kube::EventRecorder::Type::kNormal, reason, message);
  }
  void warn(const Json& object, std::string_view reason, std::string_view message) {
    events_.record(object, kube::EventRecorder::Type::kWarning, reason, message);
  }

  World& world_;

 private:
  kube::ReconcileLoop loop_;
  kube::EventRecorder events_;
};

}  // namespace lateen::cluster::controllers
