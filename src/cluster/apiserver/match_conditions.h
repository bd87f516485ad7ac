// matchConditions of webhooks: expressions in CEL that must all hold before one is called.
#pragma once

#include <string>

#include "cluster/apiserver/status.h"

namespace lateen::cluster::apiserver {

// `request` is an AdmissionReview's request with object and oldObject. False when one does not
// hold, whatever the others are; an error when one cannot be evaluated.
Result<bool> match_conditions_hold(const Json& webhook, const Json& request);
// What does not compile. Names have to be there and differ.
void validate_match_conditions(const Json& webhook, const std::string& path, FieldErrors& errors);

}  // namespace lateen::cluster::apiserver
