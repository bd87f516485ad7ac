// envoy.filters.http.rbac: enforced rules, and shadow rules whose result only goes to statistics and metadata.
#pragma once

#include <memory>
#include <string>

#include "proxy/filters/rbac/matcher.h"
#include "proxy/http/filter.h"

namespace envoy::extensions::filters::http::rbac::v3 {
class RBAC;
class RBACPerRoute;
}  // namespace envoy::extensions::filters::http::rbac::v3

namespace lateen::proxy {

class RbacFilter final : public HttpFilter {
 public:
  static Result<std::shared_ptr<const HttpFilter>> compile(const envoy::extensions::filters::http::rbac::v3::RBAC& config);
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  void shadow(HttpState& stream, const RbacSubject& subject) const;
  std::shared_ptr<const RbacRules> rules_;         // null: all is allowed
  std::shared_ptr<const RbacRules> shadow_rules_;
  std::string shadow_prefix_;                      // "istio_dry_run_allow_"
};

}  // namespace lateen::proxy
