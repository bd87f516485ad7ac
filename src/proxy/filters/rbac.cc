// RBAC for HTTP: enforced rules answer 403, shadow rules only note what they would have said.

#include "proxy/rbac/rbac.h"

#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/http/config.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

struct RbacRules final : RouteFilterConfig {
  std::optional<RbacEngine> rules;
  std::optional<RbacEngine> shadow;
  std::string shadow_prefix;
  bool is_disabled = false;
};

class Rbac final : public HttpFilter {
 public:
  explicit Rbac(std::shared_ptr<const RbacRules> rules) : rules_(std::move(rules)) {}

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, "envoy.filters.http.rbac");
    const auto* rules =
        entry == nullptr ? rules_.get() : dynamic_cast<const RbacRules*>(entry->config.get());
    if (rules == nullptr || rules->is_disabled)
      return next(stream, std::move(request), std::move(done));
    const RbacEngine::Facts facts{stream.info, &request};
    HttpStats& stats = *stream.config->stats;
    if (rules->shadow) {
      const auto verdict = rules->shadow->judge(facts);
      stats.add(verdict.is_allowed ? HttpStat::kRbacShadowAllowed : HttpStat::kRbacShadowDenied);
      data::JsonObject& noted = metadata(stream);
      noted[rules->shadow_prefix + "shadow_engine_result"] =
          verdict.is_allowed ? "allowed" : "denied";
      if (!verdict.policy.empty())
        noted[rules->shadow_prefix + "shadow_effective_policy_id"] = verdict.policy;
    }
    if (!rules->rules) return next(stream, std::move(request), std::move(done));
    const auto verdict = rules->rules->judge(facts);
    stats.add(verdict.is_allowed ? HttpStat::kRbacAllowed : HttpStat::kRbacDenied);
    if (verdict.is_allowed) return next(stream, std::move(request), std::move(done));
    std::string policy = verdict.policy.empty() ? "none" : verdict.policy;
    for (char& c : policy)
      if (c == ' ') c = '_';
    done(local_reply(stream, 403, "RBAC: access denied",
                     "rbac_access_denied_matched_policy[" + policy + "]"));
  }

 private:
  static data::JsonObject& metadata(HttpState& stream) {
    auto& slot = stream.info.metadata["envoy.filters.http.rbac"];
    if (!slot.is_object()) slot = data::JsonObject();
    return *slot.if_object();
  }
  std::shared_ptr<const RbacRules> rules_;
};

Result<std::shared_ptr<const RbacRules>> compile_rules(
    const envoy::extensions::filters::http::rbac::v3::RBAC& from) {
  auto made = std::make_shared<RbacRules>();
  if (from.has_matcher() || from.has_shadow_matcher())
    return invalid("RBAC matcher trees are not supported", Blame::kConfig);
  if (from.has_rules()) made->rules = TRY(RbacEngine::compile(from.rules()));
  if (from.has_shadow_rules()) made->shadow = TRY(RbacEngine::compile(from.shadow_rules()));
  made->shadow_prefix = from.shadow_rules_stat_prefix();
  return std::shared_ptr<const RbacRules>(std::move(made));
}

}  // namespace

Result<HttpFilterRef> make_rbac(const google::protobuf::Any& config, const CompileContext&) {
  const auto from = TRY(xds::unpack<envoy::extensions::filters::http::rbac::v3::RBAC>(config));
  return HttpFilterRef(std::make_shared<const Rbac>(TRY(compile_rules(from))));
}

Result<RouteConfigRef> make_rbac_route(const google::protobuf::Any& config, const CompileContext&) {
  const auto from =
      TRY(xds::unpack<envoy::extensions::filters::http::rbac::v3::RBACPerRoute>(config));
  if (from.has_rbac()) return RouteConfigRef(TRY(compile_rules(from.rbac())));
  auto off = std::make_shared<RbacRules>();
  off->is_disabled = true;
  return RouteConfigRef(std::move(off));
}

}  // namespace lateen::proxy
