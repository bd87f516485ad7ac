// A denied request is answered 403 "RBAC: access denied", as Envoy words it; the details name the
// policy.
#include "proxy/filters/rbac/rbac.h"

#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/http/config.h"
#include "xds/any.h"

namespace lateen::proxy {

namespace api = envoy::extensions::filters::http::rbac::v3;

Result<std::shared_ptr<const RbacSettings>> RbacSettings::compile(const api::RBAC& config) {
  auto settings = std::make_shared<RbacSettings>();
  if (config.has_rules()) settings->rules = TRY(RbacRules::compile(config.rules()));
  if (config.has_shadow_rules())
    settings->shadow_rules = TRY(RbacRules::compile(config.shadow_rules()).at("shadow rules"));
  if (config.has_matcher()) settings->rules = TRY(RbacRules::compile(config.matcher()));
  if (config.has_shadow_matcher())
    settings->shadow_rules = TRY(RbacRules::compile(config.shadow_matcher()).at("shadow matcher"));
  settings->shadow_prefix = config.shadow_rules_stat_prefix();
  return std::shared_ptr<const RbacSettings>(std::move(settings));
}

// Envoy's keys of the filter's dynamic metadata; access logs and spans read them.
static void watch(HttpState& stream, const RbacSettings& settings, const RbacSubject& subject) {
  const RbacRules::Decision decision = settings.shadow_rules->decide(subject);
  stream.config->stats->add(decision.is_allowed ? HttpStat::kRbacShadowAllowed
                                                : HttpStat::kRbacShadowDenied);
  data::JsonObject& metadata =
      data::ensure_object(stream.info.metadata["envoy.filters.http.rbac"], {});
  metadata[settings.shadow_prefix + "shadow_engine_result"] =
      decision.is_allowed ? "allowed" : "denied";
  if (!decision.policy.empty())
    metadata[settings.shadow_prefix + "shadow_effective_policy_id"] = decision.policy;
}

void RbacFilter::handle(HttpState& stream, http::Request request, Next next,
                        http::Done done) const {
  const auto* entry = route_config_for(stream.info, "envoy.filters.http.rbac");
  const auto* of_route =
      entry != nullptr ? dynamic_cast<const RbacSettings*>(entry->config.get()) : nullptr;
  const RbacSettings& settings = of_route != nullptr ? *of_route : *settings_;
  const RbacSubject subject{stream.info.connection, stream.info, &request};
  if (settings.shadow_rules != nullptr) watch(stream, settings, subject);
  if (settings.rules != nullptr) {
    const RbacRules::Decision decision = settings.rules->decide(subject);
    stream.config->stats->add(decision.is_allowed ? HttpStat::kRbacAllowed : HttpStat::kRbacDenied);
    if (!decision.is_allowed)
      return done(local_reply(stream, 403, "RBAC: access denied", rbac_details(decision.policy)));
  }
  next(stream, std::move(request), std::move(done));
}

Result<HttpFilterRef> make_rbac(const google::protobuf::Any& config, const CompileContext&) {
  return HttpFilterRef(std::make_shared<const RbacFilter>(
      TRY(RbacSettings::compile(TRY(xds::unpack<api::RBAC>(config))))));
}

Result<RouteConfigRef> make_rbac_route(const google::protobuf::Any& config, const CompileContext&) {
  // Without rules of its own the route lets everything pass.
  return RouteConfigRef(
      TRY(RbacSettings::compile(TRY(xds::unpack<api::RBACPerRoute>(config)).rbac())));
}

}  // namespace lateen::proxy
