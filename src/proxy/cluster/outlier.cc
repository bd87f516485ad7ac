// Outlier detection: ejections for consecutive failures come from the workers; success rates are
// judged here, over what was counted since the last interval.

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "proxy/cluster/cluster_store.h"

namespace lateen::proxy {
namespace {

struct Share {
  const std::string* host;
  double percent;  // of successes
};

}  // namespace

void ClusterStore::eject(const std::string& cluster, const std::string& host, ClusterStat why) {
  const auto found = entries_.find(cluster);
  if (found == entries_.end() || !found->second->config->outlier) return;
  Entry& entry = *found->second;
  const auto state = entry.hosts.find(host);
  if (state == entry.hosts.end() || state->second->is_ejected) return;
  std::size_t ejected = 0;
  for (const auto& [key, one] : entry.hosts) ejected += one->is_ejected ? 1 : 0;
  const Outlier& outlier = *entry.config->outlier;
  auto& stats = *entry.config->state->stats;
  // One host may always go, whatever the percentage says (Envoy's rule), but 0 means none.
  const bool may_first_go =
      ejected == 0 && (outlier.max_ejection_percent > 0 || outlier.is_one_always_ejected);
  const bool is_over = (ejected + 1) * 100 > entry.hosts.size() * outlier.max_ejection_percent;
  if (is_over && !may_first_go) return stats.add(ClusterStat::kEjectionsOverflow);
  HostState& it = *state->second;
  ++it.ejections;
  auto& loop = publisher_.main().loop();
  nanoseconds span =
      std::min<nanoseconds>(outlier.base_ejection * it.ejections, outlier.max_ejection);
  if (outlier.max_jitter.count() > 0)
    span += nanoseconds(static_cast<std::int64_t>(
        loop.random().below(static_cast<std::uint64_t>(outlier.max_jitter.count()))));
  it.ejected_until = loop.now() + span;
  it.is_ejected = true;
  entry.config->state->health_epoch.fetch_add(1, std::memory_order_acq_rel);
  stats.add(ClusterStat::kEjectionsTotal);
  if (why != ClusterStat::kEjectionsTotal) stats.add(why);
  update_membership(entry);
  LOG(kInfo, "outlier", "cluster {}: {} ejected for {}", cluster, host, format_duration(span));
}

void ClusterStore::judge_success_rates(Entry& entry) {
  const Outlier& outlier = *entry.config->outlier;
  if (outlier.success_rate_enforced == 0 && outlier.failure_percentage_enforced == 0) return;
  std::vector<Share> rates, percentages;
  for (auto& [key, host] : entry.hosts) {
    const std::uint64_t success = host->rq_success.value(), error = host->rq_error.value();
    const std::uint64_t good = success - host->judged_success, bad = error - host->judged_error;
    host->judged_success = success;
    host->judged_error = error;
    if (host->is_ejected || good + bad == 0) continue;
    const Share share{&key, static_cast<double>(good) * 100 / static_cast<double>(good + bad)};
    if (good + bad >= outlier.success_rate_volume) rates.push_back(share);
    if (good + bad >= outlier.failure_percentage_volume) percentages.push_back(share);
  }
  const auto is_enforced = [&](std::uint32_t percent) {
    return publisher_.main().loop().random().below(100) < percent;
  };
  const std::string name = entry.config->name;
  if (!rates.empty() && rates.size() >= outlier.success_rate_hosts) {
    double mean = 0, variance = 0;
    for (const auto& one : rates) mean += one.percent / static_cast<double>(rates.size());
    for (const auto& one : rates)
      variance += (one.percent - mean) * (one.percent - mean) / static_cast<double>(rates.size());
    const double floor = mean - std::sqrt(variance) * outlier.success_rate_factor;
    for (const auto& one : rates)
      if (one.percent < floor && is_enforced(outlier.success_rate_enforced))
        eject(name, *one.host, ClusterStat::kEjectionsSuccessRate);
  }
  if (percentages.empty() || percentages.size() < outlier.failure_percentage_hosts) return;
  for (const auto& one : percentages)
    if (100 - one.percent >= outlier.failure_percentage &&
        is_enforced(outlier.failure_percentage_enforced))
      eject(name, *one.host, ClusterStat::kEjectionsFailurePercentage);
}

void ClusterStore::check_ejections(Entry& entry) {
  const SteadyTime now = publisher_.main().loop().now();
  bool is_changed = false;
  judge_success_rates(entry);
  for (auto& [key, host] : entry.hosts) {
    if (!host->is_ejected) {
      if (host->ejections > 0 && now > host->ejected_until + entry.config->outlier->base_ejection)
        --host->ejections;
      continue;
    }
    if (now < host->ejected_until) continue;
    host->is_ejected = false;
    host->available_at = now.time_since_epoch().count();
    host->consecutive_5xx = 0;
    host->consecutive_gateway = 0;
    host->consecutive_local = 0;
    is_changed = true;
  }
  if (is_changed) {
    entry.config->state->health_epoch.fetch_add(1, std::memory_order_acq_rel);
    update_membership(entry);
  }
  entry.outlier_timer->arm(entry.config->outlier->interval);
}

}  // namespace lateen::proxy
