// What analysis finds: Istio's message codes and wording, so that scripts and searches keep
// working.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::cli {

using data::Json;

enum class Severity : unsigned char { kInfo, kWarning, kError };
std::string_view to_string(Severity severity);  // "Error"
bool parse_severity(std::string_view text, Severity& out);

struct Message {
  std::string code;  // "IST0101"
  Severity severity;
  std::string origin;  // "VirtualService default/reviews"; empty when about no object
  std::string place;   // "reviews.yaml:12"; empty for objects of a cluster
  std::string text;
};
// "Error [IST0101] (VirtualService default/x reviews.yaml:3) Referenced host not found: "foo""
std::string to_line(const Message& message);
Json to_json(const Message& message);

}  // namespace lateen::cli
