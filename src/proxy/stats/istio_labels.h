// Label values of Istio's metrics for a finished or running stream (ISTIO metrics reference). Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "proxy/stats/stats.h"
#include "proxy/stream/formatter.h"
#include "proxy/stream/stream_info.h"

namespace stats {
class PluginConfig;
}

namespace lateen::proxy {

// What the configuration says about labels.
struct IstioLabelRules {
  bool is_server = false;  // reporter="destination"
  bool is_waypoint = false;
  bool is_host_fallback_disabled = false;
  std::vector<std::string> removed;                      // tags_to_remove, all metrics
  std::vector<std::pair<std::string, Formatter>> added;  // dimensions that are understood
};
// Expressions that are not understood give "unknown", as an expression that fails does in Istio.
Result<IstioLabelRules> compile_istio_rules(const ::stats::PluginConfig& config, bool is_inbound);
std::vector<std::string> dropped_metrics(const ::stats::PluginConfig& config);

Tags istio_labels(const IstioLabelRules& rules, const StreamInfo& info, const LocalIdentity& self,
                  bool is_tcp);
// What identifies the label set, cheaper than the labels themselves.
std::string istio_key(const IstioLabelRules& rules, const StreamInfo& info, bool is_tcp);

}  // namespace lateen::proxy
