// Matching on dynamic metadata: a path into a filter's object, and a matcher for the value there.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/json.h"

namespace envoy::type::matcher::v3 {
class MetadataMatcher;
}

namespace lateen::proxy {

class MetadataMatcher {
 public:
  static Result<MetadataMatcher> compile(const envoy::type::matcher::v3::MetadataMatcher& config);
  bool matches(const data::JsonObject& metadata) const;

 private:
  std::string filter_;
  std::vector<std::string> path_;
  std::function<bool(const data::Json&)> value_;  // null JSON: not there
  bool is_inverted_ = false;
};

}  // namespace lateen::proxy
