// Hosts that are balanced among each other by the cluster's policy: one locality, or a whole
// priority. Made for one state of health; rebuilt when that changes. Not thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <queue>
#include <vector>

#include "base/random.h"
#include "proxy/cluster/cluster.h"

namespace lateen::proxy {

class HostGroup {
 public:
  explicit HostGroup(std::uint32_t weight) : weight_(weight) {}
  void add(HostRef host) { hosts_.push_back(std::move(host)); }
  // After the last add(). `now`: for hosts in slow start, whose weight grows with time.
  void prepare(const ClusterConfig& cluster, Random& random, SteadyTime now);
  bool empty() const { return hosts_.empty(); }
  std::uint32_t weight() const { return weight_; }  // of the locality
  // Some host's weight is still growing: prepare again in a while.
  bool is_warming() const { return is_warming_; }
  HostRef pick(const ClusterConfig& cluster, std::optional<std::uint64_t> hash, Random& random);

 private:
  // Earliest deadline first gives weighted round robin without bursts.
  struct Turn {
    double deadline;
    std::uint64_t order;
    std::size_t host;
    bool operator>(const Turn& other) const {
      return deadline != other.deadline ? deadline > other.deadline : order > other.order;
    }
  };
  void weigh(const ClusterConfig& cluster, SteadyTime now);
  void build_ring(const ClusterConfig& cluster);
  void build_table(std::size_t size);
  const HostRef& weighted_random(Random& random) const;
  HostRef least_request(const ClusterConfig& cluster, Random& random) const;

  std::vector<HostRef> hosts_;
  std::vector<std::uint32_t> weights_;  // effective ones
  std::uint32_t weight_;
  std::uint64_t total_weight_ = 0;
  bool is_uniform_ = true;
  bool is_warming_ = false;
  std::size_t next_ = 0;
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns_;
  std::uint64_t order_ = 0;
  std::vector<std::pair<std::uint64_t, std::size_t>> ring_;
  std::vector<std::uint32_t> table_;
};

}  // namespace lateen::proxy
