// Which of Istio's metrics a listener keeps, and with which labels.
#include "discovery/generate/telemetry.h"

#include <algorithm>

#include "discovery/generate/durations.h"
#include "istio/stats.pb.h"

namespace lateen::discovery {
namespace {

constexpr std::pair<std::string_view, std::string_view> kMetrics[] = {
    {"GRPC_REQUEST_MESSAGES", "request_messages_total"},
    {"GRPC_RESPONSE_MESSAGES", "response_messages_total"},
    {"REQUEST_COUNT", "requests_total"},
    {"REQUEST_DURATION", "request_duration_milliseconds"},
    {"REQUEST_SIZE", "request_bytes"},
    {"RESPONSE_SIZE", "response_bytes"},
    {"TCP_CLOSED_CONNECTIONS", "tcp_connections_closed_total"},
    {"TCP_OPENED_CONNECTIONS", "tcp_connections_opened_total"},
    {"TCP_RECEIVED_BYTES", "tcp_received_bytes_total"},
    {"TCP_SENT_BYTES", "tcp_sent_bytes_total"},
};
constexpr std::string_view kProvider = "prometheus";

std::string metric_name(std::string_view metric) {
  for (const auto& [name, text] : kMetrics) {
    if (name == metric) return std::string(text);
  }
  return std::string(metric);
}

bool fits_mode(std::string_view mode, Side side) {
  if (mode == "CLIENT") return side != Side::kInbound;
  if (mode == "SERVER") return side == Side::kInbound;
  return true;
}

struct Change {
  std::optional<bool> is_disabled;
  std::map<std::string, std::optional<std::string>> tags;  // nullopt: taken away
};

bool has(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// Is `provider` among those that the last Telemetry to name any names?
bool is_in_scope(const View& view, std::string_view provider) {
  const mesh::MeshConfig& mesh = view.mesh.mesh();
  bool is_on = !mesh.has_default_providers || has(mesh.default_metrics, provider);
  for (const auto& config : view.mesh.telemetries_of(view.proxy)) {
    for (const auto& metrics : config->spec.metrics) {
      if (!metrics.providers.empty()) is_on = has(metrics.providers, provider);
    }
  }
  return is_on;
}

}  // namespace

bool make_stats_config(const View& view, Side side, stats::PluginConfig& out) {
  if (!is_in_scope(view, kProvider)) return false;
  out.set_disable_host_header_fallback(side != Side::kOutbound);
  std::map<std::string, Change> changes;  // by metric
  bool is_all_disabled = false;
  for (const auto& config : view.mesh.telemetries_of(view.proxy)) {
    for (const auto& metrics : config->spec.metrics) {
      if (!metrics.providers.empty() && !has(metrics.providers, kProvider)) continue;
      if (metrics.reporting_interval) {
        set_duration(*metrics.reporting_interval, *out.mutable_tcp_reporting_duration());
      }
      for (const auto& override : metrics.overrides) {
        if (!fits_mode(override.mode, side)) continue;
        const bool is_all = override.metric == "ALL_METRICS";
        if (is_all && override.is_disabled.value_or(false)) {
          is_all_disabled = true;
          continue;
        }
        is_all_disabled = false;
        const auto change = [&](const std::string& name) {
          Change& slot = changes[name];
          if (override.is_disabled) slot.is_disabled = override.is_disabled;
          for (const auto& [tag, value] : override.tags) slot.tags[tag] = value;
        };
        if (!is_all) change(metric_name(override.metric));
        for (const auto& [name, text] : kMetrics) {
          if (is_all) change(std::string(text));
        }
      }
    }
  }
  if (is_all_disabled) return false;
  for (const auto& [name, change] : changes) {
    stats::MetricConfig& metric = *out.add_metrics();
    metric.set_name(name);
    metric.set_drop(change.is_disabled.value_or(false));
    for (const auto& [tag, value] : change.tags) {
      if (value) {
        (*metric.mutable_dimensions())[tag] = *value;
      } else {
        metric.add_tags_to_remove(tag);
      }
    }
  }
  return true;
}

}  // namespace lateen::discovery
