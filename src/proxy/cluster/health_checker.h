// Active health checks of one cluster: probes each host on its own schedule and says through its
// HostState whether it may serve. Main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "proxy/cluster/upstream.h"

namespace lateen::proxy {

class HealthChecker {
 public:
  // `loop` and `surroundings` outlive us. `on_change` runs when a host became healthy or unhealthy.
  HealthChecker(event::Loop& loop, Surroundings& surroundings, ClusterRef cluster,
                std::function<void()> on_change);
  ~HealthChecker();
  // Starts on the hosts that are new, which count as unhealthy until their first good answer, and
  // ends on those that are gone.
  void set_hosts(const EndpointSet& endpoints);

 private:
  class Probe;
  event::Loop& loop_;
  Surroundings& surroundings_;
  ClusterRef cluster_;
  std::function<void()> on_change_;
  std::map<std::string, std::vector<std::unique_ptr<Probe>>> probes_;  // by host
};

}  // namespace lateen::proxy
