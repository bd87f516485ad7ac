// Every controller there is: one function each. The list in controllers.cc calls them.
#pragma once

#include <memory>
#include <string>

#include "cluster/controllers/world.h"

namespace lateen::cluster::controllers {

std::unique_ptr<Controller> make_namespaces(World& world);
std::unique_ptr<Controller> make_service_accounts(World& world, std::string root_ca_pem);
std::unique_ptr<Controller> make_deployments(World& world);
std::unique_ptr<Controller> make_replica_sets(World& world);
std::unique_ptr<Controller> make_stateful_sets(World& world);
std::unique_ptr<Controller> make_daemon_sets(World& world);
std::unique_ptr<Controller> make_jobs(World& world);
std::unique_ptr<Controller> make_cron_jobs(World& world);
std::unique_ptr<Controller> make_endpoints(World& world);
std::unique_ptr<Controller> make_scheduler(World& world);
std::unique_ptr<Controller> make_garbage_collector(World& world);
std::unique_ptr<Controller> make_autoscalers(World& world);
std::unique_ptr<Controller> make_disruption_budgets(World& world);
std::unique_ptr<Controller> make_pod_cleanup(World& world);
std::unique_ptr<Controller> make_node_lifecycle(World& world);
std::unique_ptr<Controller> make_volume_claims(World& world);

}  // namespace lateen::cluster::controllers
