// What all workers share: who we are, where numbers go. Immutable after start but for what is
// atomic inside.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/function.h"
#include "proxy/cluster/upstream.h"
#include "proxy/log/access_log.h"
#include "proxy/stats/istio_metrics.h"
#include "proxy/stats/stats.h"
#include "proxy/stream/failure.h"
#include "proxy/stream/peer.h"

namespace lateen::proxy {

struct TraceConfig;
struct FinishedSpan;

struct Shared {
  LocalIdentity identity;
  std::string node_cluster;  // --service-cluster: the service name of traces
  StatRegistry stats;
  std::shared_ptr<IstioMetrics> istio_metrics = std::make_shared<IstioMetrics>();
  const Clock* clock = nullptr;
  milliseconds drain_time{600'000};      // what connections get whose configuration went
  std::atomic<bool> is_draining{false};  // connections end after their current request
  std::atomic<bool> is_health_check_failed{false};
  FailureStore failures;
  // Overload: set by the main thread, looked at by workers.
  std::atomic<bool> is_refusing_connections{false};
  std::atomic<bool> is_refusing_requests{false};
  std::atomic<bool> is_keep_alive_off{false};
  std::atomic<std::int64_t> connections{0};
  std::int64_t most_connections = INT64_MAX;
  // Set by the server before workers run; thread-safe.
  OutlierReport report_outlier;
  std::function<void(const std::shared_ptr<const TraceConfig>&, FinishedSpan)> report_span;
};

}  // namespace lateen::proxy
