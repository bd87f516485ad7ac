// kubectl --as: acting as somebody else, for those who may
// (apiserver/pkg/endpoints/filters/impersonation).
#pragma once

#include <optional>

#include "cluster/apiserver/rbac.h"
#include "cluster/apiserver/request.h"

namespace lateen::cluster::apiserver {

// The user that the Impersonate-* headers ask for; nullopt without them; 403 when the asker may
// not.
Outcome<std::optional<User>> impersonated(const ApiRequest& request, const Rbac& rbac);

}  // namespace lateen::cluster::apiserver
