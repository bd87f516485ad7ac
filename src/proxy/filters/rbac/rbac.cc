// A denied request is answered 403 "RBAC: access denied", as Envoy words it; the details name the policy.
#include "proxy/filters/rbac/rbac.h"

#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "proxy/http/config.h"

namespace lateen::proxy {

Result<std::shared_ptr<const HttpFilter>> RbacFilter::compile(const envoy::extensions::filters::http::rbac::v3::RBAC& config) {
  if (config.has_matcher() || config.has_shadow_matcher()) {
    return Error(Code::kUnimplemented, "RBAC matcher trees are not supported; use rules", Blame::kConfig);
  }
  auto filter = std::make_shared<RbacFilter>();
  if (config.has_rules()) filter->rules_ = TRY(RbacRules::compile(config.rules()));
  if (config.has_shadow_rules()) filter->shadow_rules_ = TRY(RbacRules::compile(config.shadow_rules()).at("shadow rules"));
  filter->shadow_prefix_ = config.shadow_rules_stat_prefix();
  return std::shared_ptr<const HttpFilter>(std::move(filter));
}

void RbacFilter::handle(HttpState& stream, http::Request request, Next next, http::Done done) const {
  const RbacSubject subject{stream.info.connection, stream.info, &request};
  HttpStats& stats = *stream.config->stats;
  if (shadow_rules_ != nullptr) shadow(stream, subject);
  if (rules_ != nullptr) {
    const RbacRules::Decision decision = rules_->decide(subject);
    stats.add(decision.is_allowed ? HttpStat::kRbacAllowed : HttpStat::kRbacDenied);
    if (!decision.is_allowed) return done(local_reply(stream, 403, "RBAC: access denied", rbac_details(decision.policy)));
  }
  next(stream, std::move(request), std::move(done));
}

// Envoy's keys of the filter's dynamic metadata; access logs and spans read them.
void RbacFilter::shadow(HttpState& stream, const RbacSubject& subject) const {
  const RbacRules::Decision decision = shadow_rules_->decide(subject);
  stream.config->stats->add(decision.is_allowed ? HttpStat::kRbacShadowAllowed : HttpStat::kRbacShadowDenied);
  data::Json& metadata = stream.info.metadata["envoy.filters.http.rbac"];
  data::JsonObject& object = data::ensure_object(metadata, {});
  object[shadow_prefix_ + "shadow_engine_result"] = decision.is_allowed ? "allowed" : "denied";
  if (!decision.policy.empty()) object[shadow_prefix_ + "shadow_effective_policy_id"] = decision.policy;
}

}  // namespace lateen::proxy
