// Gives Gateways of the Gateway API, of class istio, the workload that serves them: a Deployment,
// its Service and ServiceAccount, as the injection template "kube-gateway" has them. A Gateway that
// names a service in spec.addresses is served by that, and gets none. One of several replicas does
// it (the leader). One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "discovery/inject/webhook.h"
#include "discovery/leader_thread.h"
#include "kube/client.h"

namespace lateen::discovery {

struct DeployInput {
  const data::Json& gateway;
  const WebhookState& state;
  std::string cluster_id = "Kubernetes";
  int kube_version = 132;  // major and minor
  // deployment, service, serviceAccount, …: patches by the ConfigMap that
  // spec.infrastructure.parametersRef names.
  data::JsonObject overlays;
};
// Whether we are to deploy it: of our class (by name, where there is no GatewayClass object), of
// our revision, without a service of its own.
bool is_deployed(const data::Json& gateway, const data::Json* gateway_class,
                 std::string_view ns_revision, std::string_view revision);
// What serves it. Pure.
Result<std::vector<data::Json>> deployment_of(const DeployInput& input);

class GatewayDeployer {
 public:
  struct Options {
    std::string revision = "default";
    std::string cluster_id = "Kubernetes";
    milliseconds repair_interval{60'000};  // what others changed or deleted is put back
  };
  using State = std::function<std::shared_ptr<const WebhookState>()>;  // thread-safe
  // `client` outlives it.
  GatewayDeployer(kube::Client& client, State state, Options options);

  // Thread-safe. Objects as the watches bring them.
  void take(const data::Json& object, bool is_removed);
  void set_leading(bool is_leading) { thread_.set_leading(is_leading); }

 private:
  using Objects = std::map<kube::Key, data::Json>;
  void work();  // a turn
  void make_classes();
  Result<> deploy(const data::Json& gateway, const WebhookState& state);
  Result<data::JsonObject> overlays_of(const data::Json& gateway);

  kube::Client& client_;
  State state_;
  Options options_;
  std::mutex mutex_;
  Objects gateways_, classes_;
  std::map<std::string, std::string> ns_revisions_;
  bool has_classes_ = false;  // only the thread's
  int kube_version_ = 0;      // only the thread's
  LeaderThread thread_;
};

}  // namespace lateen::discovery
