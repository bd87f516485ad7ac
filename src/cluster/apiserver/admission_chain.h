// The admission plugins of a stock API server that matter here: NamespaceLifecycle, ServiceAccount,
// and the webhooks.
#pragma once

#include <memory>

#include "cluster/apiserver/admission.h"
#include "cluster/apiserver/authenticator.h"
#include "cluster/apiserver/store.h"

namespace lateen::cluster::apiserver {

class AdmissionChain final : public Admission {
 public:
  // `webhooks` may be null. All outlive the chain.
  AdmissionChain(const Store& store, SharedRandom& random, Admission* webhooks)
      : store_(store), random_(random), webhooks_(webhooks) {}
  // Fills Secrets of type kubernetes.io/service-account-token. Set once, before the first request.
  void set_token_source(Authenticator* authenticator, std::string ca_pem) {
    authenticator_ = authenticator;
    ca_pem_ = std::move(ca_pem);
  }
  Outcome<> mutate(AdmissionAttributes& attributes, Json& object) override;
  Outcome<> validate(AdmissionAttributes& attributes, const Json& object) override;

 private:
  Outcome<> check_namespace(const AdmissionAttributes& attributes) const;
  Outcome<> admit_pod(const AdmissionAttributes& attributes, Json& pod) const;
  Outcome<> fill_token_secret(const AdmissionAttributes& attributes, Json& secret) const;

  const Store& store_;
  SharedRandom& random_;
  Admission* webhooks_;
  Authenticator* authenticator_ = nullptr;
  std::string ca_pem_;
};

}  // namespace lateen::cluster::apiserver
