// The part of Kubernetes' JSONPath that printer columns and scale paths use: .a.b, ['a.b'], [0],
// [*], [?(@.x=="y")].
#pragma once

#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::cluster::apiserver {

// Pointers into `object`; empty when nothing matches or the path is malformed.
std::vector<const data::Json*> evaluate_json_path(std::string_view path, const data::Json& object);

}  // namespace lateen::cluster::apiserver
