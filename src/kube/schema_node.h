// The compiled form of a schema. Private to kube/schema*.cc.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/json.h"

namespace re2 {
class RE2;
}

namespace lateen::kube {

struct SchemaNode {
  SchemaNode();
  ~SchemaNode();

  std::string type;  // empty: any
  std::string format;
  bool is_nullable = false;
  bool is_int_or_string = false;
  bool keeps_unknown = false;
  bool is_embedded = false;  // a whole Kubernetes object
  std::map<std::string, std::unique_ptr<SchemaNode>, std::less<>> properties;
  std::unique_ptr<SchemaNode> additional;  // additionalProperties: {…}
  bool allows_additional = false;          // additionalProperties: true
  std::unique_ptr<SchemaNode> items;
  std::vector<std::string> required;
  std::vector<data::Json> values;  // enum
  std::optional<data::Json> fallback;
  std::string pattern_text;
  std::unique_ptr<re2::RE2> pattern;
  std::optional<double> minimum, maximum, multiple_of;
  bool is_minimum_exclusive = false, is_maximum_exclusive = false;
  std::optional<std::int64_t> min_length, max_length, min_items, max_items, min_properties,
      max_properties;
  bool is_unique = false;
  std::string list_type;
  std::vector<std::string> list_keys;
  std::vector<std::unique_ptr<SchemaNode>> all_of, any_of, one_of;
  std::unique_ptr<SchemaNode> negated;
};

}  // namespace lateen::kube
