// Scrape targets from Kubernetes objects, with the __meta_kubernetes_* labels that Prometheus
// documents for kubernetes_sd_configs (prometheus.io/docs, "configuration").
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/json.h"

namespace lateen::console {

// The objects of one look at the cluster; each list holds whole objects.
struct ClusterObjects {
  std::vector<data::Json> pods, services, endpoints, endpoint_slices, nodes, ingresses;
};

// Prometheus' HTTP discovery format: [{"targets": [address], "labels": {…}}].
data::JsonArray pod_targets(const ClusterObjects& objects);
data::JsonArray service_targets(const ClusterObjects& objects);
data::JsonArray endpoints_targets(const ClusterObjects& objects);
data::JsonArray endpoint_slice_targets(const ClusterObjects& objects);
data::JsonArray node_targets(const ClusterObjects& objects);
data::JsonArray ingress_targets(const ClusterObjects& objects);

}  // namespace lateen::console
