// Histograms and the list of sources.

#include "proxy/stats/stats.h"

#include <algorithm>

namespace lateen::proxy {

void Histogram::record(double value) {
  const auto bound = std::lower_bound(kBucketBounds.begin(), kBucketBounds.end(), value);
  buckets_[static_cast<std::size_t>(bound - kBucketBounds.begin())].fetch_add(
      1, std::memory_order_relaxed);
  if (value > 0)
    sum_milli_.fetch_add(static_cast<std::uint64_t>(value * 1000.0), std::memory_order_relaxed);
}

Histogram::Reading Histogram::read() const {
  Reading reading;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    reading.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    reading.count += reading.buckets[i];
  }
  reading.sum = static_cast<double>(sum_milli_.load(std::memory_order_relaxed)) / 1000.0;
  return reading;
}

void StatRegistry::add(std::weak_ptr<const StatSource> source) {
  const std::lock_guard lock(mutex_);
  sources_.push_back(std::move(source));
}

void StatRegistry::collect(StatSink& sink) const {
  std::vector<std::shared_ptr<const StatSource>> alive;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(sources_, [](const auto& source) { return source.expired(); });
    std::erase_if(shared_, [](const auto& entry) { return entry.second.expired(); });
    for (const auto& source : sources_)
      if (auto held = source.lock()) alive.push_back(std::move(held));
  }
  for (const auto& source : alive) source->collect(sink);
}

}  // namespace lateen::proxy
