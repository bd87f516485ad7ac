// Keeps what the webhooks work with current, and the webhooks' own registration: the CA bundle in
// the MutatingWebhookConfigurations and ValidatingWebhookConfigurations of this revision.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "discovery/inject/webhook.h"
#include "kube/informer.h"

namespace lateen::discovery {

// Fed by informers, read by the loop. Thread-safe.
class WebhookKeeper {
 public:
  // `ns`: of the control plane; ConfigMaps istio-sidecar-injector[-revision] and istio[-revision]
  // there.
  WebhookKeeper(std::string ns, std::string revision);
  void take(const data::Json& object, bool is_removed);
  std::shared_ptr<const WebhookState> state() const;

 private:
  void take_proxy_config(const data::Json& object, bool is_removed);
  void replace(std::shared_ptr<const InjectionConfig> injection,
               std::shared_ptr<const mesh::MeshConfig> mesh);
  std::string ns_, revision_, suffix_;
  mutable std::mutex mutex_;
  std::shared_ptr<const WebhookState> state_;
};

// One reconciler thread.
class WebhookPatcher {
 public:
  using Root = std::function<std::string()>;  // PEM; thread-safe
  WebhookPatcher(kube::Client& client, std::string revision, Root root);
  ~WebhookPatcher();
  void start();
  void republish();

 private:
  Result<kube::Requeue> reconcile(const kube::Key& key);
  kube::Client& client_;
  Root root_;
  kube::ReconcileLoop loop_;  // outlives the informers, whose callbacks add to its queue
  kube::Informer mutating_, validating_;
};

}  // namespace lateen::discovery
