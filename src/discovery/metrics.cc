#include "discovery/metrics.h"

#include <fmt/core.h>

namespace lateen::discovery {

void Metrics::count(std::string_view name, std::string_view labels, double by) {
  const std::lock_guard lock(mutex_);
  if (counters_.size() > kMostSeries) return;
  counters_[{std::string(name), std::string(labels)}] += by;
}

void Metrics::set(std::string_view name, double value, std::string_view labels) {
  const std::lock_guard lock(mutex_);
  if (gauges_.size() > kMostSeries) return;
  gauges_[{std::string(name), std::string(labels)}] = value;
}

void Metrics::observe(std::string_view name, nanoseconds value, std::string_view labels) {
  const double seconds_taken = std::chrono::duration<double>(value).count();
  const std::lock_guard lock(mutex_);
  if (histograms_.size() > kMostSeries) return;
  Histogram& histogram = histograms_[{std::string(name), std::string(labels)}];
  std::size_t slot = 0;
  while (slot < kBounds.size() && seconds_taken > kBounds[slot]) ++slot;
  ++histogram.buckets[slot];
  ++histogram.count;
  histogram.sum += seconds_taken;
}

double Metrics::value(std::string_view name, std::string_view labels) const {
  const std::lock_guard lock(mutex_);
  const Series series{std::string(name), std::string(labels)};
  if (const auto found = counters_.find(series); found != counters_.end()) return found->second;
  if (const auto found = gauges_.find(series); found != gauges_.end()) return found->second;
  return 0;
}

std::string Metrics::render() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  std::string last;
  const auto head = [&](const std::string& name, std::string_view type) {
    if (name == last) return;
    last = name;
    out += fmt::format("# TYPE {} {}\n", name, type);
  };
  const auto line = [&](const std::string& name, const std::string& labels, double value) {
    out += labels.empty() ? fmt::format("{} {}\n", name, value)
                          : fmt::format("{}{{{}}} {}\n", name, labels, value);
  };
  for (const auto& [series, value] : counters_) {
    head(series.first, "counter");
    line(series.first, series.second, value);
  }
  for (const auto& [series, value] : gauges_) {
    head(series.first, "gauge");
    line(series.first, series.second, value);
  }
  for (const auto& [series, histogram] : histograms_) {
    head(series.first, "histogram");
    const std::string comma = series.second.empty() ? "" : series.second + ",";
    std::uint64_t total = 0;
    for (std::size_t i = 0; i <= kBounds.size(); ++i) {
      total += histogram.buckets[i];
      const std::string bound = i < kBounds.size() ? fmt::format("{}", kBounds[i]) : "+Inf";
      line(series.first + "_bucket", comma + "le=\"" + bound + "\"", static_cast<double>(total));
    }
    line(series.first + "_sum", series.second, histogram.sum);
    line(series.first + "_count", series.second, static_cast<double>(histogram.count));
  }
  return out;
}

}  // namespace lateen::discovery
