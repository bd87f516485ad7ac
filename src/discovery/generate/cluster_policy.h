// A DestinationRule's traffic policy on a cluster: balancing, connection pools, outlier detection,
// TLS.
#pragma once

#include <string>

#include "discovery/generate/clusters.h"

namespace lateen::discovery {

struct ClusterSubject {
  const View& view;
  const mesh::Service* service;  // null: inbound or pass-through
  const mesh::ServicePort* port;
  std::string subset;
};

// Sets what holds without any rule, then what `policy` says.
void apply_policy(const ClusterSubject& subject, const mesh::PortTrafficPolicy& policy,
                  Cluster& cluster);
// Thresholds of Istio's default: none.
void set_unlimited(Cluster& cluster);
// A Sidecar's connection pool on an inbound cluster.
void apply_inbound_pool(const ClusterSubject& subject, const mesh::ConnectionPool& pool,
                        Cluster& cluster);
// The typed HTTP options (connections to the service speak HTTP/2, or what the client speaks).
void set_http_options(const ClusterSubject& subject, const mesh::PortTrafficPolicy& policy,
                      Cluster& cluster);

}  // namespace lateen::discovery
