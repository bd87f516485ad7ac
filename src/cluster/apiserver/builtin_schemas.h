// Schemas of the built-in kinds, from one compact description (schemas_*.cc): they answer kubectl
// explain and client-side validation (openapi.h), and find unknown fields.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cluster/apiserver/status.h"

namespace lateen::cluster::apiserver {

// Paths of fields that the kind does not have ("spec.template.foo"); removes them from `object`.
// Kinds without a description report nothing.
std::vector<std::string> unknown_builtin_fields(std::string_view kind, std::string_view group,
                                                Json& object);

}  // namespace lateen::cluster::apiserver
