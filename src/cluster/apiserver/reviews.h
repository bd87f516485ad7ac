// Kinds that are questions, not state: TokenReview, the access reviews, SelfSubjectReview.
#pragma once

#include "cluster/apiserver/authenticator.h"
#include "cluster/apiserver/call.h"
#include "cluster/apiserver/rbac.h"

namespace lateen::cluster::apiserver {

Outcome<ApiResponse> serve_review(Call& call, Authenticator& authenticator, const Rbac& rbac);

}  // namespace lateen::cluster::apiserver
