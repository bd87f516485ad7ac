// All controllers of the embedded cluster, as kube-controller-manager and kube-scheduler run them.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "kube/client.h"

namespace lateen::cluster::controllers {

struct ControllersOptions {
  std::string root_ca_pem;  // published in every namespace as ConfigMap kube-root-ca.crt
};

class Controllers {
 public:
  // `client` (allowed to do anything) and `clock` outlive it.
  Controllers(kube::Client& client, const Clock& clock, ControllersOptions options = {});
  ~Controllers();  // stops

  // Returns once the caches are filled and all loops run. Fails when the API server does not
  // answer.
  Result<> start();
  // Joins all threads. Idempotent; start() may follow.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
  kube::Client& client_;
  const Clock& clock_;
  ControllersOptions options_;
};

}  // namespace lateen::cluster::controllers
