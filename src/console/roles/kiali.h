// The mesh console role: graph, workloads, services, configuration, proxies; traces and metrics by
// hand-through.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "console/cluster_view.h"
#include "console/graph/prometheus.h"
#include "console/roles/dashboards.h"
#include "console/server/api.h"

namespace lateen::console {

struct KialiSettings {
  std::uint16_t port = 20001;
  std::uint16_t metrics_port = 9090;
  std::string web_root = "/kiali";
  std::string istio_namespace = "istio-system";
  std::string prometheus_url;  // default: http://prometheus.ISTIO_NAMESPACE:9090
  std::string tracing_url;     // default: http://tracing.ISTIO_NAMESPACE/jaeger
};
// Kiali's own config.yaml; keys that mean nothing here are ignored.
Result<KialiSettings> read_kiali_settings(std::string_view yaml);

// Thread-safe. The arguments outlive it; `cluster` is null when no API server can be asked.
class KialiRole {
 public:
  KialiRole(KialiSettings settings, http::BlockingClient& http, ClusterView* cluster,
            std::string cluster_error, const Dashboards& dashboards, const Clock& clock)
      : settings_(std::move(settings)),
        http_(http),
        cluster_(cluster),
        cluster_error_(std::move(cluster_error)),
        dashboards_(dashboards),
        clock_(clock),
        prometheus_(http, settings_.prometheus_url) {}

  ApiReply handle(const ApiRequest& request);
  ApiReply metrics() const;

 private:
  ApiReply api(const ApiRequest& request, std::string_view path);
  ApiReply graph(const ApiRequest& request);
  ApiReply tracing(const ApiRequest& request, std::string_view path);
  ApiReply cluster(const ApiRequest& request, std::string_view path);
  ApiReply status();

  const KialiSettings settings_;
  http::BlockingClient& http_;
  ClusterView* const cluster_;
  const std::string cluster_error_;
  const Dashboards& dashboards_;
  const Clock& clock_;
  const Prometheus prometheus_;
  std::atomic<std::uint64_t> graphs_{0};
  std::atomic<std::uint64_t> graph_failures_{0};
};

}  // namespace lateen::console
