// Picking a host: one balancer per worker and cluster, rebuilt when endpoints or health change. Not
// thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "proxy/cluster/cluster.h"
#include "proxy/cluster/host_group.h"

namespace lateen::proxy {

struct PickContext {
  std::optional<std::uint64_t> hash;
  const data::JsonObject* subset = nullptr;  // labels that the host must have; null: any host
  // Of retries: what to stay away from, as long as `avoid_attempts` picks find something else.
  const std::vector<HostRef>* avoid = nullptr;  // hosts tried already (previous_hosts)
  const std::vector<HostRef>* tried = nullptr;  // whose priorities are left out
  bool avoids_canaries = false;
  const std::vector<data::JsonObject>* avoided_metadata = nullptr;
  std::uint32_t avoid_attempts = 1;
};

// Spreads the bits of a hash.
std::uint64_t mix_hash(std::uint64_t x);

class LoadBalancer {
 public:
  LoadBalancer(ClusterRef cluster, EndpointsRef endpoints, Random& random);
  ~LoadBalancer();
  // Null when no host may be used. `now`: the loop's time.
  HostRef pick(const PickContext& context, SteadyTime now);

 private:
  struct Level;  // one priority
  class Levels;  // all hosts, or those of one subset
  Levels* levels_for(const data::JsonObject* subset, SteadyTime now);
  Levels* fallback(const SubsetSelector* selector, const data::JsonObject& wanted, SteadyTime now);
  Levels* subset(const data::JsonObject& labels, SteadyTime now);
  bool is_avoided(const HostConfig& host, const PickContext& context) const;

  ClusterRef cluster_;
  EndpointsRef endpoints_;
  Random& random_;
  std::uint32_t built_epoch_ = 0;
  SteadyTime built_at_{};
  std::unique_ptr<Levels> all_;
  std::map<std::string, std::unique_ptr<Levels>, std::less<>> subsets_;  // by labels; made on use
};

}  // namespace lateen::proxy
