// The fixed blocks of statistics: Envoy's names, in the order of the enums.
#pragma once

#include "proxy/stats/stats.h"

namespace lateen::proxy {

enum class ClusterStat : std::size_t {
  kCxTotal,
  kCxActive,
  kCxConnectFail,
  kCxConnectTimeout,
  kCxDestroy,
  kCxHttp1Total,
  kCxHttp2Total,
  kCxOverflow,
  kCxNoneHealthy,
  kCxRxBytes,
  kCxTxBytes,
  kRqTotal,
  kRqActive,
  kRqCompleted,
  kRqTimeout,
  kRqPerTryTimeout,
  kRqRetry,
  kRqRetrySuccess,
  kRqRetryOverflow,
  kRqRetryLimit,
  kRqRxReset,
  kRqTxReset,
  kRqPendingTotal,
  kRqPendingOverflow,
  kRqPendingFailureEject,
  kRqCancelled,
  kRq1xx,
  kRq2xx,
  kRq3xx,
  kRq4xx,
  kRq5xx,
  kRqMaintenance,
  kMembershipTotal,
  kMembershipHealthy,
  kMembershipChange,
  kEjectionsActive,
  kEjectionsTotal,
  kEjectionsConsecutive5xx,
  kUpdateAttempt,
  kUpdateSuccess,
  kUpdateFailure,
  kUpdateEmpty,
  kDefaultCxOpen,
  kDefaultRqOpen,
  kLbHealthyPanic,
  kBindErrors,
  kSslHandshake,
  kSslConnectionError,
  kCount
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(ClusterStat::kCount)>
    kClusterStatNames = {"upstream_cx_total",
                         "~upstream_cx_active",
                         "upstream_cx_connect_fail",
                         "upstream_cx_connect_timeout",
                         "upstream_cx_destroy",
                         "upstream_cx_http1_total",
                         "upstream_cx_http2_total",
                         "upstream_cx_overflow",
                         "upstream_cx_none_healthy",
                         "upstream_cx_rx_bytes_total",
                         "upstream_cx_tx_bytes_total",
                         "upstream_rq_total",
                         "~upstream_rq_active",
                         "upstream_rq_completed",
                         "upstream_rq_timeout",
                         "upstream_rq_per_try_timeout",
                         "upstream_rq_retry",
                         "upstream_rq_retry_success",
                         "upstream_rq_retry_overflow",
                         "upstream_rq_retry_limit_exceeded",
                         "upstream_rq_rx_reset",
                         "upstream_rq_tx_reset",
                         "upstream_rq_pending_total",
                         "upstream_rq_pending_overflow",
                         "upstream_rq_pending_failure_eject",
                         "upstream_rq_cancelled",
                         "upstream_rq_1xx",
                         "upstream_rq_2xx",
                         "upstream_rq_3xx",
                         "upstream_rq_4xx",
                         "upstream_rq_5xx",
                         "upstream_rq_maintenance_mode",
                         "~membership_total",
                         "~membership_healthy",
                         "membership_change",
                         "~outlier_detection.ejections_active",
                         "outlier_detection.ejections_enforced_total",
                         "outlier_detection.ejections_enforced_consecutive_5xx",
                         "update_attempt",
                         "update_success",
                         "update_failure",
                         "update_empty",
                         "~circuit_breakers.default.cx_open",
                         "~circuit_breakers.default.rq_open",
                         "lb_healthy_panic",
                         "bind_errors",
                         "ssl.handshake",
                         "ssl.connection_error"};

class ClusterStats : public StatBlock<static_cast<std::size_t>(ClusterStat::kCount)> {
 public:
  ClusterStats(const std::string& name, const std::string& shown_name)
      : StatBlock(kClusterStatNames, "cluster." + shown_name + ".", "envoy_cluster_",
                  {{"cluster_name", name}}) {}
  void add(ClusterStat stat, std::int64_t amount = 1) {
    StatBlock::add(static_cast<std::size_t>(stat), amount);
  }
  void set(ClusterStat stat, std::int64_t value) {
    StatBlock::set(static_cast<std::size_t>(stat), value);
  }
  std::int64_t value(ClusterStat stat) const {
    return StatBlock::value(static_cast<std::size_t>(stat));
  }
};

enum class ListenerStat : std::size_t {
  kCxTotal,
  kCxActive,
  kCxDestroy,
  kNoFilterChainMatch,
  kPreCxTimeout,
  kPreCxActive,
  kSslHandshake,
  kSslConnectionError,
  kCxOverflow,
  kCount
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(ListenerStat::kCount)>
    kListenerStatNames = {
        "downstream_cx_total",   "~downstream_cx_active",     "downstream_cx_destroy",
        "no_filter_chain_match", "downstream_pre_cx_timeout", "~downstream_pre_cx_active",
        "ssl.handshake",         "ssl.connection_error",      "downstream_cx_overflow"};

class ListenerStats : public StatBlock<static_cast<std::size_t>(ListenerStat::kCount)> {
 public:
  explicit ListenerStats(const std::string& address)
      : StatBlock(kListenerStatNames, "listener." + address + ".", "envoy_listener_",
                  {{"listener_address", address}}) {}
  void add(ListenerStat stat, std::int64_t amount = 1) {
    StatBlock::add(static_cast<std::size_t>(stat), amount);
  }
};

enum class HttpStat : std::size_t {
  kCxTotal,
  kCxActive,
  kCxDestroy,
  kCxHttp1Total,
  kCxHttp2Total,
  kCxRxBytes,
  kCxTxBytes,
  kRqTotal,
  kRqActive,
  kRqCompleted,
  kRq1xx,
  kRq2xx,
  kRq3xx,
  kRq4xx,
  kRq5xx,
  kRqRxReset,
  kRqTxReset,
  kNoRoute,
  kNoCluster,
  kRqRedirect,
  kRqDirectResponse,
  kRbacAllowed,
  kRbacDenied,
  kRbacShadowAllowed,
  kRbacShadowDenied,
  kFaultDelays,
  kFaultAborts,
  kRateLimited,
  kDrainClose,
  kIdleTimeout,
  kCount
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(HttpStat::kCount)>
    kHttpStatNames = {"downstream_cx_total",
                      "~downstream_cx_active",
                      "downstream_cx_destroy",
                      "downstream_cx_http1_total",
                      "downstream_cx_http2_total",
                      "downstream_cx_rx_bytes_total",
                      "downstream_cx_tx_bytes_total",
                      "downstream_rq_total",
                      "~downstream_rq_active",
                      "downstream_rq_completed",
                      "downstream_rq_1xx",
                      "downstream_rq_2xx",
                      "downstream_rq_3xx",
                      "downstream_rq_4xx",
                      "downstream_rq_5xx",
                      "downstream_rq_rx_reset",
                      "downstream_rq_tx_reset",
                      "no_route",
                      "no_cluster",
                      "rq_redirect",
                      "rq_direct_response",
                      "rbac.allowed",
                      "rbac.denied",
                      "rbac.shadow_allowed",
                      "rbac.shadow_denied",
                      "fault.delays_injected",
                      "fault.aborts_injected",
                      "http_local_rate_limiter.rate_limited",
                      "downstream_cx_drain_close",
                      "downstream_rq_idle_timeout"};

class HttpStats : public StatBlock<static_cast<std::size_t>(HttpStat::kCount)> {
 public:
  explicit HttpStats(const std::string& prefix)
      : StatBlock(kHttpStatNames, "http." + prefix + ".", "envoy_http_",
                  {{"http_conn_manager_prefix", prefix}}) {}
  void add(HttpStat stat, std::int64_t amount = 1) {
    StatBlock::add(static_cast<std::size_t>(stat), amount);
  }
};

enum class TcpStat : std::size_t {
  kCxTotal,
  kCxActive,
  kRxBytes,
  kTxBytes,
  kNoRoute,
  kIdleTimeout,
  kCount
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(TcpStat::kCount)>
    kTcpStatNames = {"downstream_cx_total",          "~downstream_cx_active",
                     "downstream_cx_rx_bytes_total", "downstream_cx_tx_bytes_total",
                     "downstream_cx_no_route",       "idle_timeout"};

class TcpStats : public StatBlock<static_cast<std::size_t>(TcpStat::kCount)> {
 public:
  explicit TcpStats(const std::string& prefix)
      : StatBlock(kTcpStatNames, "tcp." + prefix + ".", "envoy_tcp_", {{"tcp_prefix", prefix}}) {}
  void add(TcpStat stat, std::int64_t amount = 1) {
    StatBlock::add(static_cast<std::size_t>(stat), amount);
  }
};

}  // namespace lateen::proxy
