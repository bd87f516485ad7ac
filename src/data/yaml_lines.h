// Where the values of a YAML stream are written, for messages about one field.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lateen::data {

// Lines (1-based) of a document's scalars by path: "spec.http[0].route[1].destination.host".
using FieldLines = std::map<std::string, int, std::less<>>;

// Of the document that starts at `first_line` of a stream, as parse_yaml_stream() tells it. Bounded
// in nodes; aliases have the lines of what they stand for.
Result<FieldLines> yaml_field_lines(std::string_view stream, int first_line);

}  // namespace lateen::data
