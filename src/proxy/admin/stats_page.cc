// /stats in text, JSON and Prometheus' text format 0.0.4.

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "proxy/admin/admin.h"
#include "proxy/match/string_matcher.h"

namespace lateen::proxy {
namespace {

struct Value {
  std::string metric;
  Tags tags;
  enum class Kind : unsigned char { kCounter, kGauge, kHistogram } kind = Kind::kCounter;
  std::int64_t number = 0;
  Histogram::Reading histogram;
};

// Gathers by name; the same name from several sources (one per worker) adds up.
class Gather final : public StatSink {
 public:
  Gather(Server& server, const StatsQuery& query)
      : inclusion_(server.stat_inclusion()), query_(query) {
    if (!query.filter.empty())
      if (auto regex = Regex::compile("(?s).*(" + query.filter + ").*"); regex.ok())
        filter_ = *std::move(regex);
    server.shared().stats.collect(*this);
    for (const auto& [name, baseline] : server.counter_baselines()) {
      const auto found = values.find(name);
      if (found == values.end() || found->second.kind != Value::Kind::kCounter) continue;
      // A counter that began anew since is below its baseline.
      const auto base = static_cast<std::int64_t>(baseline);
      if (found->second.number >= base) found->second.number -= base;
    }
  }
  void counter(std::string_view name, std::string_view metric, const Tags& tags,
               std::uint64_t value) override {
    if (Value* out = find(name, metric, tags, value != 0, Value::Kind::kCounter))
      out->number += static_cast<std::int64_t>(value);
  }
  void gauge(std::string_view name, std::string_view metric, const Tags& tags,
             std::int64_t value) override {
    if (Value* out = find(name, metric, tags, value != 0, Value::Kind::kGauge))
      out->number += value;
  }
  void histogram(std::string_view name, std::string_view metric, const Tags& tags,
                 const Histogram::Reading& value) override {
    Value* out = find(name, metric, tags, value.count != 0, Value::Kind::kHistogram);
    if (out == nullptr) return;
    for (std::size_t i = 0; i < value.buckets.size(); ++i)
      out->histogram.buckets[i] += value.buckets[i];
    out->histogram.count += value.count;
    out->histogram.sum += value.sum;
  }
  std::map<std::string, Value> values;

 private:
  Value* find(std::string_view name, std::string_view metric, const Tags& tags, bool is_used,
              Value::Kind kind) {
    if (query_.is_used_only && !is_used) return nullptr;
    if (kind == Value::Kind::kCounter ? !query_.has_counters
        : kind == Value::Kind::kGauge ? !query_.has_gauges
                                      : !query_.has_histograms)
      return nullptr;
    if (!inclusion_(name)) return nullptr;
    if (filter_ && !filter_->matches_all(name)) return nullptr;
    Value& out = values[std::string(name)];
    if (out.metric.empty()) {
      out.metric = metric;
      out.tags = tags;
      out.kind = kind;
    }
    return &out;
  }
  const std::function<bool(std::string_view)>& inclusion_;
  std::optional<Regex> filter_;
  const StatsQuery& query_;
};

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return std::to_string(static_cast<std::int64_t>(value));
  return fmt::format("{:.10g}", value);
}

std::string label_text(const Tags& tags, std::string_view more = {}) {
  std::string text;
  for (const auto& [name, value] : tags) {
    if (!text.empty()) text += ',';
    text += name + "=\"";
    for (const char c : value) {
      if (c == '\\' || c == '"') text += '\\';
      if (c == '\n') text += "\\n";
      else text += c;
    }
    text += '"';
  }
  if (!more.empty()) text += (text.empty() ? "" : ",") + std::string(more);
  return text;
}

// In percent, as the pages list them.
constexpr double kQuantiles[] = {0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100};

double quantile(const Histogram::Reading& reading, double fraction) {
  if (reading.count == 0) return std::nan("");
  const double wanted = fraction * static_cast<double>(reading.count);
  double seen = 0;
  for (std::size_t i = 0; i < reading.buckets.size(); ++i) {
    if (reading.buckets[i] == 0) continue;
    const double before = seen;
    seen += static_cast<double>(reading.buckets[i]);
    if (seen < wanted) continue;
    const double low = i == 0 ? 0 : kBucketBounds[i - 1];
    const double high = i < kBucketBounds.size() ? kBucketBounds[i] : kBucketBounds.back();
    return low + (high - low) * (wanted - before) / static_cast<double>(reading.buckets[i]);
  }
  return kBucketBounds.back();
}

}  // namespace

std::string stats_text(Server& server, const StatsQuery& query) {
  const Gather all(server, query);
  std::string out;
  for (const auto& [name, value] : all.values)
    if (value.kind != Value::Kind::kHistogram)
      out += name + ": " + std::to_string(value.number) + "\n";
  for (const auto& [name, value] : all.values) {
    if (value.kind != Value::Kind::kHistogram) continue;
    if (value.histogram.count == 0) {
      out += name + ": No recorded values\n";
      continue;
    }
    out += name + ":";
    for (const double percent : kQuantiles)
      out += fmt::format(" P{}(nan,{})", number_text(percent),
                         number_text(quantile(value.histogram, percent / 100)));
    out += "\n";
  }
  return out;
}

std::string stats_json(Server& server, const StatsQuery& query) {
  const Gather all(server, query);
  data::JsonArray stats;
  for (const auto& [name, value] : all.values)
    if (value.kind != Value::Kind::kHistogram)
      stats.push_back(data::JsonObject{{"name", name}, {"value", value.number}});
  // Intervals are not kept: only what has been recorded since the start.
  data::JsonArray quantiles, computed;
  for (const double percent : kQuantiles) quantiles.push_back(percent);
  for (const auto& [name, value] : all.values) {
    if (value.kind != Value::Kind::kHistogram) continue;
    data::JsonArray values;
    for (const double percent : kQuantiles) {
      data::Json cumulative;
      if (value.histogram.count != 0) cumulative = quantile(value.histogram, percent / 100);
      values.push_back(data::JsonObject{{"interval", nullptr}, {"cumulative", cumulative}});
    }
    computed.push_back(data::JsonObject{{"name", name}, {"values", std::move(values)}});
  }
  if (!computed.empty())
    stats.push_back(data::JsonObject{
        {"histograms", data::JsonObject{{"supported_quantiles", std::move(quantiles)},
                                        {"computed_quantiles", std::move(computed)}}}});
  return data::dump_json(data::JsonObject{{"stats", std::move(stats)}});
}

std::string stats_prometheus(Server& server, const StatsQuery& query) {
  const Gather all(server, query);
  std::map<std::string, std::vector<const Value*>> by_metric;
  for (const auto& [name, value] : all.values) by_metric[value.metric].push_back(&value);
  std::string out;
  for (const auto& [metric, values] : by_metric) {
    const auto kind = values.front()->kind;
    out += "# TYPE " + metric +
           (kind == Value::Kind::kCounter ? " counter\n"
            : kind == Value::Kind::kGauge ? " gauge\n"
                                          : " histogram\n");
    for (const Value* value : values) {
      if (kind != Value::Kind::kHistogram) {
        const std::string labels = label_text(value->tags);
        out += metric + "{" + labels + "} " + std::to_string(value->number) + "\n";
        continue;
      }
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i <= kBucketBounds.size(); ++i) {
        sum += value->histogram.buckets[i];
        const std::string bound = i < kBucketBounds.size() ? number_text(kBucketBounds[i]) : "+Inf";
        out += metric + "_bucket{" + label_text(value->tags, "le=\"" + bound + "\"") + "} " +
               std::to_string(sum) + "\n";
      }
      const std::string labels = label_text(value->tags);
      out += metric + "_sum{" + labels + "} " + number_text(value->histogram.sum) + "\n";
      out += metric + "_count{" + labels + "} " + std::to_string(value->histogram.count) + "\n";
    }
  }
  return out;
}

void reset_counters(Server& server) {
  server.update_stats();
  server.counter_baselines().clear();
  StatsQuery query;
  query.has_gauges = query.has_histograms = false;
  const Gather all(server, query);
  auto& baselines = server.counter_baselines();
  for (const auto& [name, value] : all.values)
    if (value.number > 0) baselines[name] = static_cast<std::uint64_t>(value.number);
}

}  // namespace lateen::proxy
