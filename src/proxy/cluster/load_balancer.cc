// Priorities by health with Envoy's over-provisioning, localities by weight, then the policy among
// the hosts.

#include "proxy/cluster/load_balancer.h"

#include <algorithm>
#include <numeric>
#include <queue>

#include "base/strings.h"

namespace lateen::proxy {

namespace {
std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}
std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  return mix(fnv1a64(text) + seed * 0x9e3779b97f4a7c15ULL);
}
}  // namespace

// Earliest deadline first gives weighted round robin without bursts.
struct LoadBalancer::Group {
  std::vector<HostRef> hosts;
  std::uint32_t weight = 1;  // of the locality
  std::uint64_t total_weight = 0;
  bool is_uniform = true;
  std::size_t next = 0;
  struct Turn {
    double deadline;
    std::uint64_t order;
    std::size_t host;
    bool operator>(const Turn& other) const {
      return deadline != other.deadline ? deadline > other.deadline : order > other.order;
    }
  };
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
  std::uint64_t order = 0;
  std::vector<std::pair<std::uint64_t, std::size_t>> ring;
  std::vector<std::uint32_t> table;

  void prepare(const ClusterConfig& cluster, Random& random);
  void build_ring(const ClusterConfig& cluster);
  void build_table(std::size_t size);
  const HostRef& weighted_random(Random& random) const;
  HostRef pick(const ClusterConfig& cluster, const PickContext& context, Random& random);
};

struct LoadBalancer::Level {
  std::vector<Group> groups;
  double groups_total = 0;
  std::vector<double> current;  // smooth weighted choice among localities
};

void LoadBalancer::Group::prepare(const ClusterConfig& cluster, Random& random) {
  total_weight = 0;
  for (const auto& host : hosts) {
    total_weight += host->weight;
    is_uniform = is_uniform && host->weight == hosts[0]->weight;
  }
  if (hosts.empty()) return;
  next = random.below(hosts.size());
  using Policy = ClusterConfig::Policy;
  if (cluster.policy == Policy::kRingHash) build_ring(cluster);
  else if (cluster.policy == Policy::kMaglev) build_table(cluster.table_size);
  else if (!is_uniform) {
    for (std::size_t i = 0; i < hosts.size(); ++i)
      turns.push({random.unit() / hosts[i]->weight, order++, i});
  }
}

void LoadBalancer::Group::build_ring(const ClusterConfig& cluster) {
  const std::uint64_t wanted =
      std::clamp<std::uint64_t>(std::max<std::uint64_t>(cluster.min_ring_size, hosts.size()), 1,
                                std::min<std::uint64_t>(cluster.max_ring_size, 1u << 20));
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const std::string key = hosts[i]->hostname.empty()
                                ? hosts[i]->address.to_string()
                                : hosts[i]->hostname + hosts[i]->address.to_string();
    const auto points = std::max<std::uint64_t>(1, wanted * hosts[i]->weight / total_weight);
    for (std::uint64_t point = 0; point < points; ++point)
      ring.emplace_back(hash_of(key, point), i);
  }
  std::sort(ring.begin(), ring.end());
}

void LoadBalancer::Group::build_table(std::size_t size) {
  struct Walk {
    std::size_t offset, skip, step = 0;
    double target = 0;
  };
  std::vector<Walk> walks;
  std::uint32_t heaviest = 1;
  for (const auto& host : hosts) {
    const std::string key = host->address.to_string();
    walks.push_back({hash_of(key, 0) % size, size > 1 ? hash_of(key, 1) % (size - 1) + 1 : 1});
    heaviest = std::max(heaviest, host->weight);
  }
  constexpr std::uint32_t kFree = UINT32_MAX;
  table.assign(size, kFree);
  std::size_t filled = 0;
  for (double turn = 1; filled < size; ++turn) {
    for (std::size_t i = 0; i < hosts.size() && filled < size; ++i) {
      // A lighter host sits out turns in proportion to its weight.
      if (turn * hosts[i]->weight < walks[i].target) continue;
      walks[i].target += heaviest;
      std::size_t slot;
      do slot = (walks[i].offset + walks[i].skip * walks[i].step++) % size;
      while (table[slot] != kFree);
      table[slot] = static_cast<std::uint32_t>(i);
      ++filled;
    }
  }
}

const HostRef& LoadBalancer::Group::weighted_random(Random& random) const {
  if (is_uniform) return hosts[random.below(hosts.size())];
  std::uint64_t at = random.below(total_weight);
  for (const auto& host : hosts) {
    if (at < host->weight) return host;
    at -= host->weight;
  }
  return hosts.back();
}

HostRef LoadBalancer::Group::pick(const ClusterConfig& cluster, const PickContext& context,
                                  Random& random) {
  if (hosts.empty()) return nullptr;
  if (hosts.size() == 1) return hosts[0];
  switch (cluster.policy) {
    case ClusterConfig::Policy::kRandom: return weighted_random(random);
    case ClusterConfig::Policy::kLeastRequest: {
      HostRef best;
      double best_load = 0;
      for (std::uint32_t i = 0; i < cluster.choice_count; ++i) {
        const HostRef& candidate = weighted_random(random);
        const double load = static_cast<double>(candidate->state->rq_active.value());
        if (best == nullptr || load < best_load) {
          best = candidate;
          best_load = load;
        }
      }
      return best;
    }
    case ClusterConfig::Policy::kRingHash: {
      const std::uint64_t hash = context.hash ? *context.hash : random.next();
      auto at = std::lower_bound(ring.begin(), ring.end(), std::make_pair(hash, std::size_t{0}));
      if (at == ring.end()) at = ring.begin();
      return hosts[at->second];
    }
    case ClusterConfig::Policy::kMaglev: {
      const std::uint64_t hash = context.hash ? *context.hash : random.next();
      return hosts[table[hash % table.size()]];
    }
    case ClusterConfig::Policy::kRoundRobin: break;
  }
  if (is_uniform) {
    next = next + 1 >= hosts.size() ? 0 : next + 1;
    return hosts[next];
  }
  Turn turn = turns.top();
  turns.pop();
  const HostRef host = hosts[turn.host];
  turns.push({turn.deadline + 1.0 / host->weight, order++, turn.host});
  return host;
}

LoadBalancer::LoadBalancer(ClusterRef cluster, EndpointsRef endpoints, Random& random)
    : cluster_(std::move(cluster)), endpoints_(std::move(endpoints)), random_(random) {}

LoadBalancer::~LoadBalancer() = default;

void LoadBalancer::build() {
  built_epoch_ = cluster_->state->health_epoch.load(std::memory_order_acquire);
  levels_.clear();
  std::vector<std::uint32_t> health;  // percent of each level that can take load
  for (const auto& priority : endpoints_->priorities) {
    auto level = std::make_unique<Level>();
    std::size_t total = 0, usable = 0;
    for (const auto& locality : priority) {
      total += locality.hosts.size();
      for (const auto& host : locality.hosts) usable += host->is_available() ? 1 : 0;
    }
    const bool is_panicking =
        total > 0 && cluster_->panic_percent > 0 &&
        static_cast<double>(usable) * 100 / static_cast<double>(total) < cluster_->panic_percent;
    // A locality with fewer healthy hosts takes proportionally less.
    for (const auto& locality : priority) {
      if (level->groups.empty() || cluster_->is_locality_weighted) level->groups.emplace_back();
      Group& group = level->groups.back();
      group.weight = locality.weight;
      for (const auto& host : locality.hosts)
        if (is_panicking || host->is_available()) group.hosts.push_back(host);
      if (cluster_->is_locality_weighted && group.hosts.empty()) level->groups.pop_back();
    }
    for (auto& group : level->groups) {
      group.prepare(*cluster_, random_);
      level->groups_total += group.weight;
    }
    level->current.assign(level->groups.size(), 0);
    if (is_panicking) cluster_->state->stats->add(ClusterStat::kLbHealthyPanic);
    health.push_back(total == 0 ? 0
                                : static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                      100, (is_panicking && usable == 0 ? total : usable) *
                                               endpoints_->overprovisioning_percent / total)));
    levels_.push_back(std::move(level));
  }
  const std::uint32_t sum = std::accumulate(health.begin(), health.end(), 0u);
  level_loads_.assign(levels_.size(), 0);
  if (sum == 0) return;
  std::uint32_t left = 100;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const std::uint32_t normalized = std::min(100u, health[i] * 100 / std::min(100u, sum));
    level_loads_[i] = std::min(left, normalized);
    left -= level_loads_[i];
  }
  for (auto& load : level_loads_)
    if (load > 0) {
      load += left;  // Rounding goes to the first.
      break;
    }
}

HostRef LoadBalancer::pick_once(const PickContext& context) {
  std::uint64_t at = context.hash ? *context.hash % 100 : random_.below(100);
  Level* level = nullptr;
  for (std::size_t i = 0; i < levels_.size() && level == nullptr; ++i) {
    if (at < level_loads_[i]) level = levels_[i].get();
    else at -= level_loads_[i];
  }
  if (level == nullptr || level->groups.empty()) return nullptr;
  if (level->groups.size() == 1) return level->groups[0].pick(*cluster_, context, random_);
  std::size_t best = 0;
  if (context.hash) {
    std::uint64_t slot =
        mix(*context.hash) %
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(level->groups_total));
    for (std::size_t i = 0; i < level->groups.size(); ++i) {
      best = i;
      if (slot < level->groups[i].weight) break;
      slot -= level->groups[i].weight;
    }
  } else {
    for (std::size_t i = 0; i < level->groups.size(); ++i) {
      level->current[i] += level->groups[i].weight;
      if (level->current[i] > level->current[best]) best = i;
    }
    level->current[best] -= level->groups_total;
  }
  return level->groups[best].pick(*cluster_, context, random_);
}

HostRef LoadBalancer::pick(const PickContext& context) {
  if (built_epoch_ != cluster_->state->health_epoch.load(std::memory_order_acquire)) build();
  HostRef host = pick_once(context);
  if (host == nullptr || context.avoid == nullptr) return host;
  PickContext again = context;
  for (std::uint32_t i = 0; i < context.avoid_attempts; ++i) {
    const bool is_tried =
        std::any_of(context.avoid->begin(), context.avoid->end(),
                    [&](const HostRef& one) { return one->address == host->address; });
    if (!is_tried) break;
    again.hash = context.hash ? std::optional(mix(*again.hash + 1)) : std::nullopt;
    if (HostRef other = pick_once(again)) host = std::move(other);
  }
  return host;
}

}  // namespace lateen::proxy
