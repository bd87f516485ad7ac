// Schema-driven handling of objects: unknown fields of any kind, and pruning, defaulting and
// validation of custom resources by their CustomResourceDefinition's structural schema.
#pragma once

#include "cluster/apiserver/call.h"

namespace lateen::cluster::apiserver {

// Unknown fields: dropped (custom resources, unless preserved), warned about or refused as
// fieldValidation says.
Outcome<> check_fields(Call& call, Json& object);
// No-ops for built-in kinds.
void default_custom(const Call& call, Json& object);
void validate_custom(const Call& call, const Json& object, const Json* old, FieldErrors& errors);

}  // namespace lateen::cluster::apiserver
