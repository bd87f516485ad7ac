// What all pods of the node share. Made once by NodeAgent; every part is thread-safe and outlives
// the pods.
#pragma once

#include <string>
#include <vector>

#include "cluster/images/catalog.h"
#include "cluster/images/root.h"
#include "cluster/node/cgroups.h"
#include "cluster/node/container.h"
#include "cluster/node/environment.h"
#include "cluster/node/events.h"
#include "cluster/node/log_pump.h"
#include "cluster/node/network.h"
#include "cluster/node/task_pool.h"
#include "kube/client.h"

namespace lateen::cluster::node {

struct NodeContext {
  kube::Client& client;
  const Clock& clock;
  images::Catalog& catalog;
  images::Roots& roots;
  LogPump& pump;
  TaskPool& tasks;
  Events& events;
  IpPool& ips;
  std::string data_dir;
  Layering layering = Layering::kOverlay;
  bool is_single_user = false;                        // no user but root exists in our namespace
  PodFacts facts;                                     // of the node; pod_ip empty
  Function<std::vector<kube::ObjectPtr>()> services;  // all Services, from an informer
  std::unique_ptr<const Cgroups> cgroups;             // never null once the agent runs
};

}  // namespace lateen::cluster::node
