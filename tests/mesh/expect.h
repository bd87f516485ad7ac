// What a scenario expects of a value: a literal, "~regex" (a part matches), null (absent), or for
// numbers a comparison (">=2", "<1.5").
#pragma once

#include <optional>
#include <string>

#include "data/json.h"

namespace lateen::mesh_test {

// Empty when `got` is as wanted; else what differs.
std::string mismatch(const data::Json& want, const std::optional<std::string>& got);

}  // namespace lateen::mesh_test
