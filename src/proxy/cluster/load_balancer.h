// Picking a host: one balancer per worker and cluster, rebuilt when endpoints or health change. Not
// thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/random.h"
#include "proxy/cluster/cluster.h"

namespace lateen::proxy {

struct PickContext {
  std::optional<std::uint64_t> hash;
  const std::vector<HostRef>* avoid = nullptr;  // hosts tried already (previous_hosts)
  std::uint32_t avoid_attempts = 1;
};

class LoadBalancer {
 public:
  LoadBalancer(ClusterRef cluster, EndpointsRef endpoints, Random& random);
  ~LoadBalancer();
  // Null when no host may be used.
  HostRef pick(const PickContext& context);

 private:
  struct Group;  // hosts that are balanced among each other
  struct Level;  // one priority
  void build();
  HostRef pick_once(const PickContext& context);

  ClusterRef cluster_;
  EndpointsRef endpoints_;
  Random& random_;
  std::uint32_t built_epoch_ = 0;
  std::vector<std::unique_ptr<Level>> levels_;
  std::vector<std::uint32_t> level_loads_;  // percent, sums to 100 when any host is usable
};

}  // namespace lateen::proxy
