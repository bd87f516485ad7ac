// Istio's standard metrics: series by label values. A worker finds its series in its own map
// without a lock; only making a new one and reading them all take it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/strings.h"
#include "proxy/stats/stats.h"

namespace lateen::proxy {

// Series of one metric family set with the same labels.
struct IstioSeries {
  Tags tags;
  Counter requests;
  Histogram duration, request_bytes, response_bytes;
  Counter request_messages, response_messages;
  Counter opened, closed, sent, received;
};

class IstioMetrics final : public StatSource {
 public:
  // One shard for each worker; the shard is used by its worker only.
  static constexpr std::size_t kShards = 257;
  static constexpr std::size_t kMostSeries =
      20'000;  // for each shard; beyond it new label sets are not counted

  // Null when the shard is full. `key` identifies the label set; `make_tags` runs for a new one.
  template <typename MakeTags>
  IstioSeries* find(unsigned worker, bool is_tcp, std::string_view key, MakeTags make_tags) {
    Shard& shard = shards_[worker % kShards];
    auto& map = is_tcp ? shard.tcp : shard.http;
    if (const auto found = map.find(key); found != map.end()) return found->second.get();
    if (map.size() >= kMostSeries) return nullptr;
    auto series = std::make_unique<IstioSeries>();
    series->tags = make_tags();
    const std::lock_guard lock(shard.mutex);
    return map.emplace(std::string(key), std::move(series)).first->second.get();
  }
  void collect(StatSink& sink) const override;
  // Names that a config dropped (Telemetry API: disabled).
  void set_dropped(std::vector<std::string> names) { dropped_ = std::move(names); }

 private:
  using Map =
      std::unordered_map<std::string, std::unique_ptr<IstioSeries>, StringHash, std::equal_to<>>;
  struct Shard {
    mutable std::mutex mutex;
    Map http, tcp;
  };
  bool is_dropped(std::string_view name) const;
  std::array<Shard, kShards> shards_;
  std::vector<std::string> dropped_;
};

}  // namespace lateen::proxy
