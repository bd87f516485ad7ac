// Which fields an IstioOperator's spec may have, and what they look like.
#pragma once

#include "data/json.h"

namespace lateen::install {

// Walks `spec`; the error reads `spec.components.pilott: unknown field, did you mean "pilot"?`.
Result<> check_fields(const data::Json& spec);
// The candidate nearest to `word`, or empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace lateen::install
