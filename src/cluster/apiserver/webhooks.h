// Calls the mutating and validating webhooks that are configured, over TLS, as a stock API server
// does (apiserver/pkg/admission/plugin/webhook).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/function.h"
#include "cluster/apiserver/admission.h"
#include "cluster/apiserver/catalog.h"
#include "cluster/apiserver/store.h"

namespace lateen::cluster::apiserver {

using ServiceResolver =
    Function<Result<std::string>(std::string_view ns, std::string_view name, int port)>;

class Webhooks final : public Admission {
 public:
  // `resolve` may be empty: then a ready endpoint of the Service is taken. All else outlives the
  // webhooks.
  Webhooks(const Store& store, const Catalog& catalog, SharedRandom& random,
           ServiceResolver resolve);
  ~Webhooks() override;
  Outcome<> mutate(AdmissionAttributes& attributes, Json& object) override;
  Outcome<> validate(AdmissionAttributes& attributes, const Json& object) override;

 private:
  struct Hook;
  struct Matched;
  struct Answer;
  std::vector<Hook> hooks_of(std::string_view bucket) const;
  std::optional<Matched> match(const Hook& hook, const AdmissionAttributes& attributes,
                               const Json& object) const;
  Json review_of(const Hook& hook, const Matched& matched, const AdmissionAttributes& attributes,
                 const Json& object) const;
  Outcome<Answer> call(const Hook& hook, const Matched& matched, AdmissionAttributes& attributes,
                       const Json& object);
  Result<Json> post(const Hook& hook, const Json& review);
  Result<std::string> endpoint_of(std::string_view ns, std::string_view name, int port) const;

  const Store& store_;
  const Catalog& catalog_;
  SharedRandom& random_;
  ServiceResolver resolve_;
  struct Clients;
  std::unique_ptr<Clients> clients_;
};

}  // namespace lateen::cluster::apiserver
