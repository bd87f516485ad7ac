// The dashboards role: Grafana's port, its health and dashboard API, Prometheus through the data
// source proxy.
#pragma once

#include <string>

#include "console/graph/prometheus.h"
#include "console/roles/dashboards.h"
#include "console/server/api.h"

namespace lateen::console {

// Thread-safe. The arguments outlive it.
class GrafanaRole {
 public:
  GrafanaRole(http::BlockingClient& http, const Dashboards& dashboards, std::string prometheus_url)
      : dashboards_(dashboards), prometheus_(http, std::move(prometheus_url)) {}
  ApiReply handle(const ApiRequest& request);

 private:
  ApiReply api(const ApiRequest& request, std::string_view path);
  const Dashboards& dashboards_;
  const Prometheus prometheus_;
};

// The URL of the first data source of type prometheus in Grafana's datasources.yaml; empty when
// there is none.
std::string prometheus_in_datasources(std::string_view yaml);

}  // namespace lateen::console
