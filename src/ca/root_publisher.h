// Puts the root certificate into ConfigMap istio-ca-root-cert of every namespace, and keeps it
// there; or, another one of it, the revocation lists into istio-ca-crl.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kube/informer.h"

namespace lateen::ca {

class RootPublisher {
 public:
  using Root = std::function<std::string()>;  // the current PEM; thread-safe; empty: not yet
  struct Place {
    std::string name = "istio-ca-root-cert";  // of the ConfigMap
    std::string key = "root-cert.pem";
  };
  static Place crl_place() { return {"istio-ca-crl", "ca-crl.pem"}; }
  RootPublisher(kube::Client& client, Root root) : RootPublisher(client, std::move(root), {}) {}
  RootPublisher(kube::Client& client, Root root, Place place);
  ~RootPublisher();
  void start();
  // The root changed: all namespaces get the new one.
  void republish();

 private:
  Result<kube::Requeue> reconcile(const kube::Key& key);
  kube::Client& client_;
  Root root_;
  Place place_;
  kube::ReconcileLoop loop_;  // outlives the informers, whose callbacks add to its queue
  kube::Informer namespaces_;
  kube::Informer maps_;
};

}  // namespace lateen::ca
