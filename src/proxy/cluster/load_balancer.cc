// Subsets by the labels of hosts; priorities by health with Envoy's over-provisioning; localities
// by weight; then the policy among the hosts of a group.

#include "proxy/cluster/load_balancer.h"

#include <algorithm>
#include <numeric>

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostSubsets = 1024;
constexpr milliseconds kWarmingInterval{100};  // how often growing weights are looked at

const data::JsonObject* labels_of(const HostConfig& host) {
  const auto* labels = host.metadata.if_contains("envoy.lb");
  return labels == nullptr ? nullptr : labels->if_object();
}

bool has_labels(const HostConfig& host, const data::JsonObject& wanted) {
  if (wanted.empty()) return true;
  const auto* labels = labels_of(host);
  if (labels == nullptr) return false;
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& entry) {
    const auto* value = labels->if_contains(entry.key());
    return value != nullptr && data::equal(*value, entry.value());
  });
}

bool is_canary(const HostConfig& host) {
  const auto* labels = labels_of(host);
  const auto* value = labels == nullptr ? nullptr : labels->if_contains("canary");
  return value != nullptr && value->is_bool() && value->as_bool();
}

}  // namespace

struct LoadBalancer::Level {
  std::vector<HostGroup> groups;  // one, or one for each locality
  double groups_total = 0;
  std::vector<double> current;  // smooth weighted choice among localities
};

class LoadBalancer::Levels {
 public:
  // Of the hosts that have `labels`.
  Levels(const ClusterConfig& cluster, const EndpointSet& endpoints, const data::JsonObject& labels,
         Random& random, SteadyTime now);
  HostRef pick(const ClusterConfig& cluster, const PickContext& context, Random& random);
  bool empty() const { return host_count_ == 0; }
  bool is_warming() const { return is_warming_; }

 private:
  Level* choose_level(const PickContext& context, Random& random);
  static HostGroup& choose_group(Level& level, const PickContext& context);

  std::vector<std::unique_ptr<Level>> levels_;
  std::vector<std::uint32_t> loads_;  // percent, sums to 100 when any host is usable
  std::size_t host_count_ = 0;
  bool is_warming_ = false;
};

LoadBalancer::Levels::Levels(const ClusterConfig& cluster, const EndpointSet& endpoints,
                             const data::JsonObject& labels, Random& random, SteadyTime now) {
  std::vector<std::uint32_t> health;  // percent of each level that can take load
  for (const auto& priority : endpoints.priorities) {
    auto level = std::make_unique<Level>();
    std::size_t total = 0, usable = 0, healthy = 0;
    for (const auto& locality : priority)
      for (const auto& host : locality.hosts) {
        if (!has_labels(*host, labels)) continue;
        ++total;
        usable += host->is_available() ? 1 : 0;
        healthy += host->is_available() && !host->is_degraded() ? 1 : 0;
      }
    host_count_ += total;
    const bool is_panicking =
        total > 0 && cluster.panic_percent > 0 &&
        static_cast<double>(usable) * 100 / static_cast<double>(total) < cluster.panic_percent;
    const bool is_closed = is_panicking && cluster.is_traffic_failed_on_panic;
    // Degraded hosts serve only while there is no healthy one.
    const auto may_serve = [&](const HostConfig& host) {
      if (is_closed || !has_labels(host, labels)) return false;
      if (is_panicking) return true;
      return host.is_available() && (healthy == 0 || !host.is_degraded());
    };
    // A locality with fewer healthy hosts takes proportionally less.
    for (const auto& locality : priority) {
      if (level->groups.empty() || cluster.is_locality_weighted)
        level->groups.emplace_back(locality.weight);
      HostGroup& group = level->groups.back();
      for (const auto& host : locality.hosts)
        if (may_serve(*host)) group.add(host);
      if (cluster.is_locality_weighted && group.empty()) level->groups.pop_back();
    }
    for (auto& group : level->groups) {
      group.prepare(cluster, random, now);
      is_warming_ = is_warming_ || group.is_warming();
      level->groups_total += group.weight();
    }
    level->current.assign(level->groups.size(), 0);
    if (is_panicking) cluster.state->stats->add(ClusterStat::kLbHealthyPanic);
    const std::size_t able = is_closed ? 0 : is_panicking && usable == 0 ? total : usable;
    health.push_back(total == 0 ? 0
                                : static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                      100, able * endpoints.overprovisioning_percent / total)));
    levels_.push_back(std::move(level));
  }
  const std::uint32_t sum = std::accumulate(health.begin(), health.end(), 0u);
  loads_.assign(levels_.size(), 0);
  if (sum == 0) return;
  std::uint32_t left = 100;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const std::uint32_t normalized = std::min(100u, health[i] * 100 / std::min(100u, sum));
    loads_[i] = std::min(left, normalized);
    left -= loads_[i];
  }
  for (auto& load : loads_)
    if (load > 0) {
      load += left;  // Rounding goes to the first.
      break;
    }
}

LoadBalancer::Level* LoadBalancer::Levels::choose_level(const PickContext& context,
                                                        Random& random) {
  std::vector<std::uint32_t> without;
  const std::vector<std::uint32_t>* loads = &loads_;
  std::uint64_t total = 100;
  if (context.tried != nullptr) {
    without = loads_;
    for (const auto& host : *context.tried)
      if (host->priority < without.size()) without[host->priority] = 0;
    // Levels that had no load yet step in; when all were tried, they all count again.
    if (std::accumulate(without.begin(), without.end(), 0u) == 0)
      for (std::size_t i = 0; i < levels_.size(); ++i) {
        const bool is_tried = std::any_of(context.tried->begin(), context.tried->end(),
                                          [&](const HostRef& one) { return one->priority == i; });
        const bool has_hosts = !levels_[i]->groups.empty() && !levels_[i]->groups[0].empty();
        if (is_tried || !has_hosts) continue;
        without[i] = 100;
        break;
      }
    const std::uint64_t sum = std::accumulate(without.begin(), without.end(), std::uint64_t{0});
    if (sum > 0) {
      loads = &without;
      total = sum;
    }
  }
  std::uint64_t at = context.hash ? *context.hash % total : random.below(total);
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    if (at < (*loads)[i]) return levels_[i].get();
    at -= (*loads)[i];
  }
  return nullptr;
}

HostGroup& LoadBalancer::Levels::choose_group(Level& level, const PickContext& context) {
  std::size_t best = 0;
  if (context.hash) {
    std::uint64_t slot = mix_hash(*context.hash) %
                         std::max<std::uint64_t>(1, static_cast<std::uint64_t>(level.groups_total));
    for (std::size_t i = 0; i < level.groups.size(); ++i) {
      best = i;
      if (slot < level.groups[i].weight()) break;
      slot -= level.groups[i].weight();
    }
    return level.groups[best];
  }
  for (std::size_t i = 0; i < level.groups.size(); ++i) {
    level.current[i] += level.groups[i].weight();
    if (level.current[i] > level.current[best]) best = i;
  }
  level.current[best] -= level.groups_total;
  return level.groups[best];
}

HostRef LoadBalancer::Levels::pick(const ClusterConfig& cluster, const PickContext& context,
                                   Random& random) {
  Level* level = choose_level(context, random);
  if (level == nullptr || level->groups.empty()) return nullptr;
  HostGroup& group = level->groups.size() == 1 ? level->groups[0] : choose_group(*level, context);
  return group.pick(cluster, context.hash, random);
}

LoadBalancer::LoadBalancer(ClusterRef cluster, EndpointsRef endpoints, Random& random)
    : cluster_(std::move(cluster)), endpoints_(std::move(endpoints)), random_(random) {}

LoadBalancer::~LoadBalancer() = default;

LoadBalancer::Levels* LoadBalancer::subset(const data::JsonObject& labels, SteadyTime now) {
  std::vector<std::string> parts;
  for (const auto& entry : labels)
    parts.push_back(std::string(entry.key()) + '=' + data::dump_json(entry.value()));
  std::sort(parts.begin(), parts.end());
  std::string key;
  for (const auto& part : parts) key += part + '\n';
  auto& slot = subsets_[key];
  if (slot == nullptr) {
    if (subsets_.size() > kMostSubsets) {
      subsets_.clear();
      return subset(labels, now);
    }
    slot = std::make_unique<Levels>(*cluster_, *endpoints_, labels, random_, now);
  }
  return slot->empty() ? nullptr : slot.get();
}

LoadBalancer::Levels* LoadBalancer::fallback(const SubsetSelector* selector,
                                             const data::JsonObject& wanted, SteadyTime now) {
  using Fallback = SubsetSelector::Fallback;
  const Subsets& subsets = *cluster_->subsets;
  Fallback how = selector != nullptr ? selector->fallback : Fallback::kNotSaid;
  if (how == Fallback::kNotSaid) how = subsets.fallback;
  cluster_->state->stats->add(ClusterStat::kLbSubsetsFallback);
  switch (how) {
    case Fallback::kAny: return all_.get();
    case Fallback::kDefaultSubset: return subset(subsets.default_subset, now);
    case Fallback::kKeys: {
      data::JsonObject fewer;
      for (const auto& key : selector->fallback_keys)
        if (const auto* value = wanted.if_contains(key)) fewer[key] = *value;
      return subset(fewer, now);
    }
    default: return nullptr;
  }
}

LoadBalancer::Levels* LoadBalancer::levels_for(const data::JsonObject* wanted, SteadyTime now) {
  if (!cluster_->subsets) return all_.get();
  static const data::JsonObject kNone;
  const data::JsonObject& labels = wanted != nullptr ? *wanted : kNone;
  const SubsetSelector* selector = nullptr;
  for (const auto& one : cluster_->subsets->selectors) {
    if (one.keys.size() != labels.size()) continue;
    const bool is_match = std::all_of(one.keys.begin(), one.keys.end(), [&](const auto& key) {
      return labels.if_contains(key) != nullptr;
    });
    if (is_match) selector = &one;
  }
  if (selector != nullptr)
    if (Levels* found = subset(labels, now)) {
      cluster_->state->stats->add(ClusterStat::kLbSubsetsSelected);
      return found;
    }
  return fallback(selector, labels, now);
}

bool LoadBalancer::is_avoided(const HostConfig& host, const PickContext& context) const {
  if (context.avoid != nullptr &&
      std::any_of(context.avoid->begin(), context.avoid->end(),
                  [&](const HostRef& one) { return one->address == host.address; }))
    return true;
  if (context.avoids_canaries && is_canary(host)) return true;
  return context.avoided_metadata != nullptr &&
         std::any_of(context.avoided_metadata->begin(), context.avoided_metadata->end(),
                     [&](const data::JsonObject& labels) { return has_labels(host, labels); });
}

HostRef LoadBalancer::pick(const PickContext& context, SteadyTime now) {
  const std::uint32_t epoch = cluster_->state->health_epoch.load(std::memory_order_acquire);
  const bool is_stale = all_ != nullptr && all_->is_warming() && now - built_at_ > kWarmingInterval;
  if (all_ == nullptr || built_epoch_ != epoch || is_stale) {
    built_epoch_ = epoch;
    built_at_ = now;
    subsets_.clear();
    all_ = std::make_unique<Levels>(*cluster_, *endpoints_, data::JsonObject(), random_, now);
  }
  Levels* levels = levels_for(context.subset, now);
  if (levels == nullptr) return nullptr;
  HostRef host = levels->pick(*cluster_, context, random_);
  if (host == nullptr) return host;
  PickContext again = context;
  for (std::uint32_t i = 0; i < context.avoid_attempts && is_avoided(*host, context); ++i) {
    again.hash = context.hash ? std::optional(mix_hash(*again.hash + 1)) : std::nullopt;
    if (HostRef other = levels->pick(*cluster_, again, random_)) host = std::move(other);
  }
  return host;
}

}  // namespace lateen::proxy
