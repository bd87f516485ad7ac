#include "discovery/generate/authorization.h"

#include <fmt/core.h>

#include "discovery/generate/durations.h"
#include "discovery/generate/names.h"
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
void add_policy(const PolicyConfig& policy, RuleLayer layer, std::string_view name_prefix,
                rbac::RBAC& out) {
  const RuleContext context{layer, policy.spec.action == Action::kAllow, policy.meta.ns};
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

Rules make_rules(const Configs<mesh::AuthorizationPolicy>& policies, Action action,
                 rbac::RBAC::Action envoy_action, RuleLayer layer) {
  Rules rules;
  for (const auto& policy : policies) {
    if (policy->spec.action != action) continue;
    auto& slot = is_dry_run(*policy) ? rules.shadow : rules.enforced;
    if (!slot) slot.emplace().set_action(envoy_action);
    add_policy(*policy, layer, "", *slot);
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

void fill_ext_authz(const View& view, const mesh::ExtensionProvider& provider,
                    ext_authz::ExtAuthz& out) {
  // A provider's service may be written "namespace/host".
  std::string host = provider.service;
  if (const auto parts = split_once(provider.service, "/")) host = parts->second;
  const std::string cluster = outbound_name(provider.port, "", host);
  const data::Json& detail = provider.detail;
  const nanoseconds timeout =
      parse_duration(data::get_string(detail, {"timeout"}, "600s")).value_or(seconds(600));
  out.set_transport_api_version(envoy::config::core::v3::V3);
  out.set_failure_mode_allow(data::get_bool(detail, {"failOpen"}));
  out.set_clear_route_cache(data::get_bool(detail, {"clearRouteCache"}));
  const std::string_view status = data::get_string(detail, {"statusOnError"}, "403");
  out.mutable_status_on_error()->set_code(
      static_cast<envoy::type::v3::StatusCode>(parse_int(status).value_or(403)));
  if (provider.kind == mesh::ExtensionProvider::Kind::kExtAuthzGrpc) {
    auto& grpc = *out.mutable_grpc_service();
    grpc.mutable_envoy_grpc()->set_cluster_name(cluster);
    grpc.mutable_envoy_grpc()->set_authority(host);
    set_duration(timeout, *grpc.mutable_timeout());
  } else {
    auto& service = *out.mutable_http_service();
    service.mutable_server_uri()->set_uri(fmt::format("http://{}:{}", host, provider.port));
    service.mutable_server_uri()->set_cluster(cluster);
    set_duration(timeout, *service.mutable_server_uri()->mutable_timeout());
    service.set_path_prefix(provider.path);
    const auto add_headers = [&](std::string_view key, auto* list) {
      for (const data::Json& name : data::get_array(detail, {key})) {
        list->add_patterns()->set_exact(std::string(data::as_string(name)));
      }
    };
    auto& request = *service.mutable_authorization_request();
    for (const auto& entry : data::get_object(detail, {"includeAdditionalHeadersInCheck"})) {
      auto& header = *request.add_headers_to_add();
      header.set_key(std::string(entry.key()));
      header.set_value(std::string(data::as_string(entry.value())));
    }
    add_headers("includeRequestHeadersInCheck", out.mutable_allowed_headers());
    auto& response = *service.mutable_authorization_response();
    add_headers("headersToUpstreamOnAllow", response.mutable_allowed_upstream_headers());
    add_headers("headersToDownstreamOnDeny", response.mutable_allowed_client_headers());
    add_headers("headersToDownstreamOnAllow", response.mutable_allowed_client_headers_on_success());
  }
  (void)view;
}

}  // namespace

void add_http_authorization(const View& view, HttpConnectionManager& out) {
  const auto policies = view.mesh.authorization_policies_of(view.proxy);
  for (const auto& [action, envoy_action] : kOrder) {
    Rules rules = make_rules(policies, action, envoy_action, RuleLayer::kHttp);
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

void add_tcp_authorization(const View& view, envoy::config::listener::v3::FilterChain& out) {
  const auto policies = view.mesh.authorization_policies_of(view.proxy);
  for (const auto& [action, envoy_action] : kOrder) {
    Rules rules = make_rules(policies, action, envoy_action, RuleLayer::kTcp);
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
    add_policy(*policy, RuleLayer::kHttp, "istio-ext-authz-", rules);
  }
  for (auto& [name, rules] : by_provider) {
    const mesh::ExtensionProvider* provider = view.mesh.mesh().find_provider(name);
    const bool is_usable =
        provider != nullptr && (provider->kind == mesh::ExtensionProvider::Kind::kExtAuthzGrpc ||
                                provider->kind == mesh::ExtensionProvider::Kind::kExtAuthzHttp);
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
    fill_ext_authz(view, *provider, check);
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
