// Puts the root certificate into ConfigMap istio-ca-root-cert of every namespace, and keeps it
// there.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kube/informer.h"

namespace lateen::ca {

class RootPublisher {
 public:
  using Root = std::function<std::string()>;  // the current root's PEM; thread-safe
  RootPublisher(kube::Client& client, Root root);
  ~RootPublisher();
  void start();
  // The root changed: all namespaces get the new one.
  void republish();

 private:
  Result<kube::Requeue> reconcile(const kube::Key& key);
  kube::Client& client_;
  Root root_;
  kube::ReconcileLoop loop_;  // outlives the informers, whose callbacks add to its queue
  kube::Informer namespaces_;
  kube::Informer maps_;
};

}  // namespace lateen::ca
