#include "discovery/generate/authorization.h"

#include <fmt/core.h>

#include "discovery/generate/durations.h"
#include "discovery/generate/providers.h"
#include "discovery/generate/rbac_rules.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

namespace rbac = envoy::config::rbac::v3;
namespace ext_authz = envoy::extensions::filters::http::ext_authz::v3;
using Action = mesh::AuthorizationPolicy::Action;
using PolicyConfig = mesh::Config<mesh::AuthorizationPolicy>;

constexpr const char* kHttpRbac = "envoy.filters.http.rbac";
constexpr const char* kExtAuthzPrefix = "istio_ext_authz_";

bool is_dry_run(const PolicyConfig& policy) {
  return mesh::label_of(policy.meta.annotations, "istio.io/dry-run") == "true";
}

// A DENY rule that speaks of HTTP is ignored part by part on TCP; one of its own for ALLOW is
// dropped.
void add_policy(const View& view, const PolicyConfig& policy, RuleLayer layer,
                std::string_view name_prefix, rbac::RBAC& out) {
  RuleContext context{layer, policy.spec.action == Action::kAllow, policy.meta.ns,
                      view.mesh.mesh().trust_domain_aliases};
  context.trust_domains.push_back(view.mesh.mesh().trust_domain);
  const auto name_of = [&](std::size_t index) {
    return fmt::format("{}ns[{}]-policy[{}]-rule[{}]", name_prefix, policy.meta.ns,
                       policy.meta.name, index);
  };
  if (policy.spec.rules.empty()) make_never((*out.mutable_policies())[name_of(0)]);
  for (std::size_t i = 0; i < policy.spec.rules.size(); ++i) {
    rbac::Policy made;
    if (make_rbac_policy(policy.spec.rules[i], context, made)) {
      (*out.mutable_policies())[name_of(i)] = std::move(made);
    }
  }
}

struct Rules {
  std::optional<rbac::RBAC> enforced;
  std::optional<rbac::RBAC> shadow;
};

Rules make_rules(const View& view, const Configs<mesh::AuthorizationPolicy>& policies,
                 Action action, rbac::RBAC::Action envoy_action, RuleLayer layer) {
  Rules rules;
  for (const auto& policy : policies) {
    if (policy->spec.action != action) continue;
    auto& slot = is_dry_run(*policy) ? rules.shadow : rules.enforced;
    if (!slot) slot.emplace().set_action(envoy_action);
    add_policy(view, *policy, layer, "", *slot);
  }
  return rules;
}

constexpr std::pair<Action, rbac::RBAC::Action> kOrder[] = {
    {Action::kAudit, rbac::RBAC::LOG},
    {Action::kDeny, rbac::RBAC::DENY},
    {Action::kAllow, rbac::RBAC::ALLOW},
};

const char* shadow_prefix(Action action) {
  return action == Action::kDeny ? "istio_dry_run_deny_" : "istio_dry_run_allow_";
}

void fill_body(const data::Json& detail, ext_authz::ExtAuthz& out) {
  const data::Json* body = data::find(detail, {"includeRequestBodyInCheck"});
  if (body == nullptr) return;
  auto& to = *out.mutable_with_request_body();
  to.set_max_request_bytes(static_cast<std::uint32_t>(data::get_int(*body, {"maxRequestBytes"})));
  to.set_allow_partial_message(data::get_bool(*body, {"allowPartialMessage"}));
  to.set_pack_as_bytes(data::get_bool(*body, {"packAsBytes"}));
}

void fill_http_check(const mesh::ExtensionProvider& provider, const ProviderTarget& target,
                     nanoseconds timeout, ext_authz::ExtAuthz& out) {
  const data::Json& detail = provider.detail;
  auto& service = *out.mutable_http_service();
  service.mutable_server_uri()->set_uri(fmt::format("http://{}:{}", target.host, provider.port));
  service.mutable_server_uri()->set_cluster(target.cluster);
  set_duration(timeout, *service.mutable_server_uri()->mutable_timeout());
  service.set_path_prefix(provider.path);
  // "x-*", "*-x" or the whole name, in any case. Envoy refuses an empty list: none is made.
  const auto add_headers = [&](std::string_view key, auto&& list) {
    for (const data::Json& item : data::get_array(detail, {key})) {
      std::string_view name = data::as_string(item);
      auto& pattern = *list()->add_patterns();
      pattern.set_ignore_case(true);
      if (name.ends_with("*")) {
        name.remove_suffix(1);
        pattern.set_prefix(std::string(name));
      } else if (name.starts_with("*")) {
        pattern.set_suffix(std::string(name.substr(1)));
      } else {
        pattern.set_exact(std::string(name));
      }
    }
  };
  auto& request = *service.mutable_authorization_request();
  for (const auto& entry : data::get_object(detail, {"includeAdditionalHeadersInCheck"})) {
    auto& header = *request.add_headers_to_add();
    header.set_key(std::string(entry.key()));
    header.set_value(std::string(data::as_string(entry.value())));
  }
  add_headers("includeHeadersInCheck",
              [&] { return out.mutable_allowed_headers(); });  // its older name
  add_headers("includeRequestHeadersInCheck", [&] { return out.mutable_allowed_headers(); });
  auto& response = *service.mutable_authorization_response();
  add_headers("headersToUpstreamOnAllow",
              [&] { return response.mutable_allowed_upstream_headers(); });
  add_headers("headersToDownstreamOnDeny",
              [&] { return response.mutable_allowed_client_headers(); });
  add_headers("headersToDownstreamOnAllow",
              [&] { return response.mutable_allowed_client_headers_on_success(); });
}

void fill_ext_authz(const mesh::ExtensionProvider& provider, const ProviderTarget& target,
                    ext_authz::ExtAuthz& out) {
  const data::Json& detail = provider.detail;
  const nanoseconds timeout =
      parse_duration(data::get_string(detail, {"timeout"}, "600s")).value_or(seconds(600));
  out.set_transport_api_version(envoy::config::core::v3::V3);
  out.set_failure_mode_allow(data::get_bool(detail, {"failOpen"}));
  out.set_clear_route_cache(data::get_bool(detail, {"clearRouteCache"}));
  const std::string_view status = data::get_string(detail, {"statusOnError"}, "403");
  out.mutable_status_on_error()->set_code(
      static_cast<envoy::type::v3::StatusCode>(parse_int(status).value_or(403)));
  fill_body(detail, out);
  if (provider.kind == mesh::ExtensionProvider::Kind::kExtAuthzHttp) {
    return fill_http_check(provider, target, timeout, out);
  }
  auto& grpc = *out.mutable_grpc_service();
  grpc.mutable_envoy_grpc()->set_cluster_name(target.cluster);
  grpc.mutable_envoy_grpc()->set_authority(target.host);
  set_duration(timeout, *grpc.mutable_timeout());
}

}  // namespace

void add_http_authorization(const View& view, HttpConnectionManager& out) {
  const auto policies = view.mesh.authorization_policies_of(view.proxy);
  for (const auto& [action, envoy_action] : kOrder) {
    Rules rules = make_rules(view, policies, action, envoy_action, RuleLayer::kHttp);
    if (!rules.enforced && !rules.shadow) continue;
    envoy::extensions::filters::http::rbac::v3::RBAC config;
    if (rules.enforced) *config.mutable_rules() = std::move(*rules.enforced);
    if (rules.shadow) {
      *config.mutable_shadow_rules() = std::move(*rules.shadow);
      config.set_shadow_rules_stat_prefix(shadow_prefix(action));
    }
    auto& filter = *out.add_http_filters();
    filter.set_name(kHttpRbac);
    *filter.mutable_typed_config() = xds::pack(config);
  }
}

void add_proxyless_authorization(const View& view, HttpConnectionManager& out) {
  const auto policies = view.mesh.authorization_policies_of(view.proxy);
  for (const auto& [action, envoy_action] : kOrder) {
    if (action == Action::kAudit) continue;
    Rules rules = make_rules(view, policies, action, envoy_action, RuleLayer::kHttp);
    if (!rules.enforced) continue;
    envoy::extensions::filters::http::rbac::v3::RBAC config;
    *config.mutable_rules() = std::move(*rules.enforced);
    auto& filter = *out.add_http_filters();
    filter.set_name(std::string(kHttpRbac) + (action == Action::kDeny ? ".DENY" : ""));
    *filter.mutable_typed_config() = xds::pack(config);
  }
}

void add_tcp_authorization(const View& view, envoy::config::listener::v3::FilterChain& out) {
  const auto policies = view.mesh.authorization_policies_of(view.proxy);
  for (const auto& [action, envoy_action] : kOrder) {
    Rules rules = make_rules(view, policies, action, envoy_action, RuleLayer::kTcp);
    if (!rules.enforced && !rules.shadow) continue;
    envoy::extensions::filters::network::rbac::v3::RBAC config;
    config.set_stat_prefix("tcp.");
    if (rules.enforced) *config.mutable_rules() = std::move(*rules.enforced);
    if (rules.shadow) {
      *config.mutable_shadow_rules() = std::move(*rules.shadow);
      config.set_shadow_rules_stat_prefix(shadow_prefix(action));
    }
    auto& filter = *out.add_filters();
    filter.set_name("envoy.filters.network.rbac");
    *filter.mutable_typed_config() = xds::pack(config);
  }
}

void add_external_authorization(const View& view, HttpConnectionManager& out) {
  std::map<std::string, rbac::RBAC> by_provider;
  for (const auto& policy : view.mesh.authorization_policies_of(view.proxy)) {
    if (policy->spec.action != Action::kCustom) continue;
    rbac::RBAC& rules = by_provider[policy->spec.provider];
    rules.set_action(rbac::RBAC::DENY);
    add_policy(view, *policy, RuleLayer::kHttp, "istio-ext-authz-", rules);
  }
  for (auto& [name, rules] : by_provider) {
    const mesh::ExtensionProvider* provider = view.mesh.mesh().find_provider(name);
    const bool is_checker =
        provider != nullptr && (provider->kind == mesh::ExtensionProvider::Kind::kExtAuthzGrpc ||
                                provider->kind == mesh::ExtensionProvider::Kind::kExtAuthzHttp);
    const auto target = is_checker ? find_target(view, *provider) : std::nullopt;
    const bool is_usable = target.has_value();
    envoy::extensions::filters::http::rbac::v3::RBAC config;
    if (is_usable) {
      *config.mutable_shadow_rules() = std::move(rules);
      config.set_shadow_rules_stat_prefix(kExtAuthzPrefix);
    } else {
      // Nobody can be asked: deny what the policy is about rather than let it pass.
      *config.mutable_rules() = std::move(rules);
    }
    auto& filter = *out.add_http_filters();
    filter.set_name(kHttpRbac);
    *filter.mutable_typed_config() = xds::pack(config);
    if (!is_usable) continue;
    ext_authz::ExtAuthz check;
    fill_ext_authz(*provider, *target, check);
    auto& when = *check.mutable_filter_enabled_metadata();
    when.set_filter(kHttpRbac);
    when.add_path()->set_key(std::string(kExtAuthzPrefix) + "shadow_effective_policy_id");
    when.mutable_value()->mutable_string_match()->set_prefix("istio-ext-authz");
    auto& asking = *out.add_http_filters();
    asking.set_name("envoy.filters.http.ext_authz");
    *asking.mutable_typed_config() = xds::pack(check);
  }
}

}  // namespace lateen::discovery
