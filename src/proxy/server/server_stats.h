// Numbers of the process: server, cluster and listener managers, control plane.
#pragma once

#include "proxy/stats/stats.h"

namespace lateen::proxy {

enum class ServerStat : std::size_t {
  kState,
  kLive,
  kUptime,
  kConcurrency,
  kTotalConnections,
  kMemoryAllocated,
  kMemoryHeap,
  kDaysUntilExpiry,
  kVersion,
  kCdsUpdateSuccess,
  kCdsUpdateRejected,
  kCdsUpdateAttempt,
  kActiveClusters,
  kWarmingClusters,
  kClusterAdded,
  kClusterRemoved,
  kClusterModified,
  kLdsUpdateSuccess,
  kLdsUpdateRejected,
  kLdsUpdateAttempt,
  kWorkersStarted,
  kListenerAdded,
  kListenerRemoved,
  kListenerModified,
  kActiveListeners,
  kWarmingListeners,
  kConnectedState,
  kHotRestartEpoch,
  kParentConnections,
  kListenerInPlace,
  kOverloadReject,
  kCount
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(ServerStat::kCount)>
    kServerStatNames = {"~server.state",
                        "~server.live",
                        "~server.uptime",
                        "~server.concurrency",
                        "~server.total_connections",
                        "~server.memory_allocated",
                        "~server.memory_heap_size",
                        "~server.days_until_first_cert_expiring",
                        "~server.version",
                        "cluster_manager.cds.update_success",
                        "cluster_manager.cds.update_rejected",
                        "cluster_manager.cds.update_attempt",
                        "~cluster_manager.active_clusters",
                        "~cluster_manager.warming_clusters",
                        "cluster_manager.cluster_added",
                        "cluster_manager.cluster_removed",
                        "cluster_manager.cluster_modified",
                        "listener_manager.lds.update_success",
                        "listener_manager.lds.update_rejected",
                        "listener_manager.lds.update_attempt",
                        "~listener_manager.workers_started",
                        "listener_manager.listener_added",
                        "listener_manager.listener_removed",
                        "listener_manager.listener_modified",
                        "~listener_manager.total_listeners_active",
                        "~listener_manager.total_listeners_warming",
                        "~control_plane.connected_state",
                        "~server.hot_restart_epoch",
                        "~server.parent_connections",
                        "listener_manager.listener_in_place_updated",
                        "overload.listener_rejects"};

class ServerStats : public StatsOf<ServerStat> {
 public:
  ServerStats() : StatsOf(kServerStatNames, "", "envoy_", {}) {}
};

// envoy.admin.v3.ServerInfo.State
enum class ServerState : unsigned char {
  kLive = 0,
  kDraining = 1,
  kPreInitializing = 2,
  kInitializing = 3
};

}  // namespace lateen::proxy
