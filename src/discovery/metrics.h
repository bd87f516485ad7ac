// The control plane's own metrics, in Prometheus' text format. Thread-safe.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace lateen::discovery {

class Metrics {
 public:
  // `labels` is the text between the braces: type="cds".
  void count(std::string_view name, std::string_view labels = {}, double by = 1);
  void set(std::string_view name, double value, std::string_view labels = {});
  void observe(std::string_view name, nanoseconds value, std::string_view labels = {});
  double value(std::string_view name, std::string_view labels = {}) const;
  std::string render() const;

 private:
  static constexpr std::size_t kMostSeries = 10'000;
  static constexpr std::array<double, 12> kBounds = {.001, .005, .01, .03, .05, .1,
                                                     .25,  .5,   1,   3,   10,  30};
  struct Histogram {
    std::array<std::uint64_t, 13> buckets{};
    double sum = 0;
    std::uint64_t count = 0;
  };
  using Series = std::pair<std::string, std::string>;  // name, labels
  mutable std::mutex mutex_;
  std::map<Series, double> counters_;
  std::map<Series, double> gauges_;
  std::map<Series, Histogram> histograms_;
};

}  // namespace lateen::discovery
