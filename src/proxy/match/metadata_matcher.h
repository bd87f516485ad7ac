// Matching on dynamic metadata, such as the claims that jwt_authn leaves. Immutable, thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/json.h"

namespace envoy::type::matcher::v3 {
class MetadataMatcher;
class ValueMatcher;
}  // namespace envoy::type::matcher::v3

namespace lateen::proxy {

class ValueNode;  // one compiled ValueMatcher

class MetadataMatcher {
 public:
  static Result<MetadataMatcher> compile(const envoy::type::matcher::v3::MetadataMatcher& config);
  // `metadata`: objects by filter name.
  bool matches(const data::JsonObject& metadata) const;
  // What it looks at; null when there is none.
  const data::Json* find(const data::JsonObject& metadata) const;

 private:
  std::string filter_;
  std::vector<std::string> path_;
  std::shared_ptr<const ValueNode> value_;
  bool is_inverted_ = false;
};

}  // namespace lateen::proxy
