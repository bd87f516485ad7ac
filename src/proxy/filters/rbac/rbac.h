// envoy.filters.http.rbac: enforced rules, and shadow rules whose result only goes to statistics
// and metadata.
#pragma once

#include <memory>
#include <string>

#include "proxy/filters/rbac/matcher.h"
#include "proxy/http/filter.h"

namespace envoy::extensions::filters::http::rbac::v3 {
class RBAC;
}

namespace lateen::proxy {

// What is enforced and what is only watched; of the filter, or of a route instead of it.
struct RbacSettings final : RouteFilterConfig {
  std::shared_ptr<const RbacRules> rules;  // null: all is allowed
  std::shared_ptr<const RbacRules> shadow_rules;
  std::string shadow_prefix;  // "istio_dry_run_allow_"

  static Result<std::shared_ptr<const RbacSettings>> compile(
      const envoy::extensions::filters::http::rbac::v3::RBAC& config);
};

class RbacFilter final : public HttpFilter {
 public:
  explicit RbacFilter(std::shared_ptr<const RbacSettings> settings)
      : settings_(std::move(settings)) {}
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  std::shared_ptr<const RbacSettings> settings_;
};

}  // namespace lateen::proxy
