// Pieces of the cluster compiler in files of their own; used by cluster/compile.cc only.
#pragma once

#include "proxy/cluster/cluster.h"

namespace lateen::proxy {

Result<> compile_dns_cluster(const envoy::config::cluster::v3::Cluster& config,
                             ClusterConfig& made);
Result<> compile_policy(const envoy::config::cluster::v3::Cluster& config, ClusterConfig& made);

Result<> compile_health(const envoy::config::cluster::v3::Cluster& config, ClusterConfig& made);
Result<> compile_outlier(const envoy::config::cluster::v3::Cluster& config, ClusterConfig& made);

}  // namespace lateen::proxy
