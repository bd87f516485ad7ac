// Envoy's policies. Hash tables use effective weights once, at the time they are made: hosts in
// slow start take part in them fully.

#include "proxy/cluster/host_group.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "proxy/cluster/load_balancer.h"

namespace lateen::proxy {
namespace {

constexpr double kSlowStartScale = 1000;

std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  return mix_hash(fnv1a64(text) + seed * 0x9e3779b97f4a7c15ULL);
}

}  // namespace

std::uint64_t mix_hash(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

// A host that is new gets a part of its weight that grows over the slow start window.
void HostGroup::weigh(const ClusterConfig& cluster, SteadyTime now) {
  weights_.clear();
  is_warming_ = false;
  const SlowStart& slow = cluster.slow_start;
  for (const auto& host : hosts_) {
    double share = 1;
    const auto age = std::chrono::duration_cast<milliseconds>(now - host->state->available_since());
    if (slow.window.count() > 0 && age < slow.window) {
      const double part = static_cast<double>(std::max<std::int64_t>(1, age.count())) /
                          static_cast<double>(slow.window.count());
      share = std::max(slow.min_weight_percent / 100, std::pow(part, 1 / slow.aggression));
      is_warming_ = true;
    }
    weights_.push_back(host->weight);
    if (slow.window.count() == 0) continue;
    weights_.back() = static_cast<std::uint32_t>(
        std::max(1.0, std::min(4e6, static_cast<double>(host->weight) * kSlowStartScale * share)));
  }
}

void HostGroup::prepare(const ClusterConfig& cluster, Random& random, SteadyTime now) {
  total_weight_ = 0;
  weigh(cluster, now);
  for (const std::uint32_t weight : weights_) {
    total_weight_ += weight;
    is_uniform_ = is_uniform_ && weight == weights_[0];
  }
  if (hosts_.empty()) return;
  next_ = random.below(hosts_.size());
  using Policy = ClusterConfig::Policy;
  if (cluster.policy == Policy::kRingHash) return build_ring(cluster);
  if (cluster.policy == Policy::kMaglev) return build_table(cluster.table_size);
  if (is_uniform_) return;
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    turns_.push({random.unit() / weights_[i], order_++, i});
}

void HostGroup::build_ring(const ClusterConfig& cluster) {
  const std::uint64_t wanted =
      std::clamp<std::uint64_t>(std::max<std::uint64_t>(cluster.min_ring_size, hosts_.size()), 1,
                                std::min<std::uint64_t>(cluster.max_ring_size, 1u << 20));
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    const std::string key = hosts_[i]->hash_key();
    const auto points = std::max<std::uint64_t>(1, wanted * weights_[i] / total_weight_);
    for (std::uint64_t point = 0; point < points; ++point)
      ring_.emplace_back(hash_of(key, point), i);
  }
  std::sort(ring_.begin(), ring_.end());
}

// Maglev: each host walks its own permutation of the slots and takes the next free one in turn.
void HostGroup::build_table(std::size_t size) {
  struct Walk {
    std::size_t offset, skip, step = 0;
    double target = 0;
  };
  std::vector<Walk> walks;
  const std::uint32_t heaviest = *std::max_element(weights_.begin(), weights_.end());
  for (const auto& host : hosts_) {
    const std::string key = host->hash_key();
    walks.push_back({hash_of(key, 0) % size, size > 1 ? hash_of(key, 1) % (size - 1) + 1 : 1});
  }
  constexpr std::uint32_t kFree = UINT32_MAX;
  table_.assign(size, kFree);
  std::size_t filled = 0;
  for (double turn = 1; filled < size; ++turn) {
    for (std::size_t i = 0; i < hosts_.size() && filled < size; ++i) {
      // A lighter host sits out turns in proportion to its weight.
      if (turn * weights_[i] < walks[i].target) continue;
      walks[i].target += heaviest;
      std::size_t slot;
      do slot = (walks[i].offset + walks[i].skip * walks[i].step++) % size;
      while (table_[slot] != kFree);
      table_[slot] = static_cast<std::uint32_t>(i);
      ++filled;
    }
  }
}

const HostRef& HostGroup::weighted_random(Random& random) const {
  if (is_uniform_) return hosts_[random.below(hosts_.size())];
  std::uint64_t at = random.below(total_weight_);
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (at < weights_[i]) return hosts_[i];
    at -= weights_[i];
  }
  return hosts_.back();
}

HostRef HostGroup::least_request(const ClusterConfig& cluster, Random& random) const {
  const HostRef* best = nullptr;
  std::int64_t best_load = 0;
  for (std::uint32_t i = 0; i < cluster.choice_count; ++i) {
    const HostRef& candidate = weighted_random(random);
    const std::int64_t load = candidate->state->rq_active.value();
    if (best != nullptr && load >= best_load) continue;
    best = &candidate;
    best_load = load;
  }
  return *best;
}

HostRef HostGroup::pick(const ClusterConfig& cluster, std::optional<std::uint64_t> wanted,
                        Random& random) {
  if (hosts_.empty()) return nullptr;
  if (hosts_.size() == 1) return hosts_[0];
  switch (cluster.policy) {
    case ClusterConfig::Policy::kRandom: return weighted_random(random);
    case ClusterConfig::Policy::kLeastRequest: return least_request(cluster, random);
    case ClusterConfig::Policy::kRingHash: {
      const std::uint64_t hash = wanted ? *wanted : random.next();
      auto at = std::lower_bound(ring_.begin(), ring_.end(), std::make_pair(hash, std::size_t{0}));
      if (at == ring_.end()) at = ring_.begin();
      return hosts_[at->second];
    }
    case ClusterConfig::Policy::kMaglev: {
      const std::uint64_t hash = wanted ? *wanted : random.next();
      return hosts_[table_[hash % table_.size()]];
    }
    case ClusterConfig::Policy::kPickFirst: return hosts_[0];
    case ClusterConfig::Policy::kRoundRobin: break;
  }
  if (is_uniform_) {
    next_ = next_ + 1 >= hosts_.size() ? 0 : next_ + 1;
    return hosts_[next_];
  }
  Turn turn = turns_.top();
  turns_.pop();
  turns_.push({turn.deadline + 1.0 / weights_[turn.host], order_++, turn.host});
  return hosts_[turn.host];
}

}  // namespace lateen::proxy
