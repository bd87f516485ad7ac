// Numbers of the data plane. Hot paths add to blocks of relaxed atomics that all workers share;
// nothing is looked up or locked there. Names are made only when somebody reads: each owner of a
// block is a Source that tells its numbers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

namespace lateen::proxy {

using Tags = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void add(std::int64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Upper bounds of Envoy's histograms; the last bucket (+Inf) has no bound.
inline constexpr std::array<double, 19> kBucketBounds = {
    0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
    2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};

class Histogram {
 public:
  void record(double value);
  struct Reading {
    std::array<std::uint64_t, kBucketBounds.size() + 1> buckets{};  // not cumulative
    std::uint64_t count = 0;
    double sum = 0;
  };
  Reading read() const;

 private:
  std::array<std::atomic<std::uint64_t>, kBucketBounds.size() + 1> buckets_{};
  std::atomic<std::uint64_t> sum_milli_{0};
};

// Receives every number once. `name` is Envoy's dotted name; `metric` and `tags` are Prometheus'
// form.
class StatSink {
 public:
  virtual ~StatSink() = default;
  virtual void counter(std::string_view name, std::string_view metric, const Tags& tags,
                       std::uint64_t value) = 0;
  virtual void gauge(std::string_view name, std::string_view metric, const Tags& tags,
                     std::int64_t value) = 0;
  virtual void histogram(std::string_view name, std::string_view metric, const Tags& tags,
                         const Histogram::Reading& value) = 0;
};

class StatSource {
 public:
  virtual ~StatSource() = default;
  // Called on the main thread.
  virtual void collect(StatSink& sink) const = 0;
};

// All sources of the process. Sources are held weakly: one that nobody uses any more disappears.
// Thread-safe.
class StatRegistry {
 public:
  void add(std::weak_ptr<const StatSource> source);
  void collect(StatSink& sink) const;
  // The block of that kind and name which is in use, or a new one: what an update of the
  // configuration replaces goes on counting.
  template <typename Block>
  std::shared_ptr<Block> share(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto& slot = shared_[std::string(typeid(Block).name()) + ':' + name];
    if (auto held = std::static_pointer_cast<Block>(slot.lock())) return held;
    auto made = std::make_shared<Block>(name);
    slot = made;
    sources_.push_back(made);
    return made;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::vector<std::weak_ptr<const StatSource>> sources_;
  mutable std::map<std::string, std::weak_ptr<StatSource>> shared_;
};

// A fixed block of counters and gauges under one prefix: `names[i]` names the i-th; gauges start
// with '~'.
template <std::size_t Count>
class StatBlock : public StatSource {
 public:
  // `prefix` ends with '.'; `metric_prefix` is Prometheus' part before the name ("envoy_cluster_").
  StatBlock(const std::array<std::string_view, Count>& names, std::string prefix,
            std::string metric_prefix, Tags tags)
      : names_(names),
        prefix_(std::move(prefix)),
        metric_prefix_(std::move(metric_prefix)),
        tags_(std::move(tags)) {}

  void add(std::size_t index, std::int64_t amount = 1) {
    values_[index].fetch_add(amount, std::memory_order_relaxed);
  }
  void set(std::size_t index, std::int64_t value) {
    values_[index].store(value, std::memory_order_relaxed);
  }
  std::int64_t value(std::size_t index) const {
    return values_[index].load(std::memory_order_relaxed);
  }
  const Tags& tags() const { return tags_; }
  const std::string& prefix() const { return prefix_; }

  void collect(StatSink& sink) const override {
    for (std::size_t i = 0; i < Count; ++i) {
      std::string_view name = names_[i];
      const bool is_gauge = name.starts_with('~');
      if (is_gauge) name.remove_prefix(1);
      std::string metric = metric_prefix_ + std::string(name);
      for (char& c : metric)
        if (c == '.' || c == '-') c = '_';
      if (is_gauge) sink.gauge(prefix_ + std::string(name), metric, tags_, value(i));
      else
        sink.counter(prefix_ + std::string(name), metric, tags_,
                     static_cast<std::uint64_t>(value(i)));
    }
  }

 private:
  const std::array<std::string_view, Count>& names_;
  std::string prefix_;
  std::string metric_prefix_;
  Tags tags_;
  std::array<std::atomic<std::int64_t>, Count> values_{};
};

// A block whose numbers are named by an enum that ends in kCount.
template <typename Stat>
class StatsOf : public StatBlock<static_cast<std::size_t>(Stat::kCount)> {
  using Block = StatBlock<static_cast<std::size_t>(Stat::kCount)>;

 public:
  using Block::Block;
  void add(Stat stat, std::int64_t amount = 1) {
    Block::add(static_cast<std::size_t>(stat), amount);
  }
  void set(Stat stat, std::int64_t value) { Block::set(static_cast<std::size_t>(stat), value); }
  std::int64_t value(Stat stat) const { return Block::value(static_cast<std::size_t>(stat)); }
};

}  // namespace lateen::proxy
