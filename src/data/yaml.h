// YAML as Kubernetes reads it (sigs.k8s.io/yaml): converted to JSON values, with YAML 1.1 booleans
// (yes/no/on/off stay strings unless plain true/false: see yaml.cc), anchors and merge keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::data {

// One document. The error tells line and column. Alias expansion is bounded against "billion
// laughs".
Result<Json> parse_yaml(std::string_view text);
// All documents of a stream, empty ones dropped. Each error tells the line in the whole stream.
Result<std::vector<Json>> parse_yaml_documents(std::string_view text);
// Documents with the line each starts at (1-based), for tools that report positions.
struct YamlDocument {
  Json value;
  int line;
};
Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text);

// Block style, two spaces, keys sorted when asked (sigs.k8s.io/yaml sorts). Ends with a newline.
std::string dump_yaml(const Json& value, bool sort_keys = true);

}  // namespace lateen::data
