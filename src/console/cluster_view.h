// ClusterView: what the console shows of Kubernetes and of the mesh's configuration, as small JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/blocking_client.h"
#include "kube/client.h"

namespace lateen::console {

class Neighbours;

// Thread-safe; each call asks the API server. Both arguments outlive it.
class ClusterView {
 public:
  ClusterView(kube::Client& kube, http::BlockingClient& http, std::string istio_namespace)
      : kube_(kube), http_(http), istio_namespace_(std::move(istio_namespace)) {}

  // [{name, labels, injection, revision, created}]
  Result<data::Json> namespaces();
  // [{namespace, name, kind, replicas, ready, labels, pods: […]}]; `ns` empty: all.
  Result<data::Json> workloads(std::string_view ns);
  // [{namespace, name, type, clusterIP, ports, selector, created}]
  Result<data::Json> services(std::string_view ns);
  // [{apiVersion, kind, namespace, name, created, hosts, issues: [{severity, path, message}]}]
  Result<data::Json> objects(std::string_view ns);
  // {yaml, issues} of one object.
  Result<data::Json> object(std::string_view kind, std::string_view ns, std::string_view name);
  // {istiods: [{pod, revision, version, ready}], proxies: [{proxy, istiod, version, cds, lds, rds,
  // eds}]}
  Result<data::Json> mesh();
  // The last lines of a container's log.
  Result<std::string> logs(std::string_view ns, std::string_view pod, std::string_view container,
                           int lines);

 private:
  Result<std::vector<data::Json>> all_objects(Neighbours& neighbours);
  Result<std::string> get_text(const std::string& url);
  kube::Client& kube_;
  http::BlockingClient& http_;
  const std::string istio_namespace_;
};

}  // namespace lateen::console
