// The list of controllers, and their common life.
#include "cluster/controllers/controllers.h"

#include <vector>

#include "cluster/controllers/makers.h"

namespace lateen::cluster::controllers {

struct Controllers::State {
  State(kube::Client& client, const Clock& clock, const ControllersOptions& options)
      : world(std::make_unique<World>(client, clock)) {
    loops.push_back(make_namespaces(*world));
    loops.push_back(make_service_accounts(*world, options.root_ca_pem));
    loops.push_back(make_deployments(*world));
    loops.push_back(make_replica_sets(*world));
    loops.push_back(make_stateful_sets(*world));
    loops.push_back(make_daemon_sets(*world));
    loops.push_back(make_jobs(*world));
    loops.push_back(make_cron_jobs(*world));
    loops.push_back(make_endpoints(*world));
    loops.push_back(make_scheduler(*world));
    loops.push_back(make_garbage_collector(*world));
    loops.push_back(make_autoscalers(*world));
    loops.push_back(make_disruption_budgets(*world));
    loops.push_back(make_pod_cleanup(*world));
    loops.push_back(make_node_lifecycle(*world));
    loops.push_back(make_volume_claims(*world));
  }

  // Loops use the caches, the caches call into the loops: first the loops' threads end, then the
  // caches' threads, then the objects.
  ~State() {
    for (auto& loop : loops) loop->stop();
    world.reset();
    loops.clear();
  }

  std::vector<std::unique_ptr<Controller>> loops;
  std::unique_ptr<World> world;
};

Controllers::Controllers(kube::Client& client, const Clock& clock, ControllersOptions options)
    : client_(client), clock_(clock), options_(std::move(options)) {}
Controllers::~Controllers() { stop(); }

Result<> Controllers::start() {
  if (state_ != nullptr) return {};
  auto state = std::make_unique<State>(client_, clock_, options_);
  TRY(state->world->start());
  for (auto& loop : state->loops) loop->start();
  state_ = std::move(state);
  return {};
}

void Controllers::stop() { state_.reset(); }

}  // namespace lateen::cluster::controllers
