// ValidatingAdmissionPolicies: writes judged by expressions in CEL, where a binding says so.
#pragma once

#include "cluster/apiserver/admission.h"
#include "cluster/apiserver/store.h"
#include "cluster/apiserver/strategy.h"

namespace lateen::cluster::apiserver {

// Refuses (or warns, as the bindings' validationActions have it) what a bound policy does not hold
// for. Parameters and the authorizer are not supported: policies that use them are refused.
Outcome<> check_policies(const Store& store, AdmissionAttributes& attributes, const Json& object);

extern const Strategy kAdmissionPolicyStrategy;
extern const Strategy kAdmissionPolicyBindingStrategy;

}  // namespace lateen::cluster::apiserver
