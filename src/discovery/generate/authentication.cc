#include "discovery/generate/authentication.h"

#include <algorithm>

#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

namespace jwt = envoy::extensions::filters::http::jwt_authn::v3;

// Envoy refuses a provider without a key. Until the real keys are fetched this one stands in: its
// private half was thrown away, so every token is rejected and requests without a token pass.
constexpr const char* kNoKeys =
    "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"none\",\"e\":\"AQAB\",\"n\":\""
    "43yy3Si4OHrQe9OYtFaHlFfkbZ1mSLxSTS4mrfLxn5VUTEf9selpQ1XfE6XJZ8FEzpyREqT_YfMYtsTf"
    "ekvcu8YXxjRM3gFqzqs8LmJ63raT0tkHJfITIixA2PpdhruFWV7AfAjyp6xGFy_Ait-gGtMMaVmDngVB"
    "gI3zZ23Nm9sv180J2hIasf4cj0tQ02UUzKRvsrpMK1v4RxWbV7U2Sa2TZKjpGzVRZciB0-2w-4-ZIJq2"
    "SVDafVpDfFptefxS9o00gpWenkE-sBHcXcNUf71JUDvZm8R84lcMLVPIZD1DfloTZiLpm6vbHiFgps0n"
    "0oVNf17douvyg30d0J08vw"
    "\"}]}";

void fill_provider(const View& view, const mesh::JwtRule& rule, jwt::JwtProvider& out) {
  out.set_issuer(rule.issuer);
  for (const std::string& audience : rule.audiences) out.add_audiences(audience);
  out.set_forward(rule.forwards_token);
  out.set_forward_payload_header(rule.output_payload_header);
  out.set_payload_in_metadata("payload");
  // At gateways routes may match on the claims, which are known only when the token is verified.
  out.set_clear_route_cache(view.proxy.is_gateway());
  for (const char* claim : {"permission", "scope"}) {
    out.mutable_normalize_payload_in_metadata()->add_space_delimited_claims(claim);
  }
  for (const std::string& claim : rule.space_delimited_claims) {
    out.mutable_normalize_payload_in_metadata()->add_space_delimited_claims(claim);
  }
  for (const auto& [header, claim] : rule.output_claims) {
    auto& to = *out.add_claim_to_headers();
    to.set_header_name(header);
    to.set_claim_name(claim);
  }
  for (const auto& [name, prefix] : rule.from_headers) {
    auto& header = *out.add_from_headers();
    header.set_name(name);
    header.set_value_prefix(prefix);
  }
  for (const std::string& name : rule.from_params) out.add_from_params(name);
  for (const std::string& name : rule.from_cookies) out.add_from_cookies(name);
  std::string keys = rule.jwks;
  if (keys.empty()) {
    const auto& fetched = view.mesh.input().jwks;
    const auto found = fetched.find(rule.jwks_uri.empty() ? rule.issuer : rule.jwks_uri);
    keys = found != fetched.end() ? found->second : kNoKeys;
  }
  out.mutable_local_jwks()->set_inline_string(keys);
}

}  // namespace

void add_jwt_authentication(const View& view, HttpConnectionManager& out) {
  jwt::JwtAuthentication config;
  std::vector<std::string> names;
  std::vector<bool> are_required;
  for (const auto& policy : view.mesh.request_authentications_of(view.proxy)) {
    for (const mesh::JwtRule& rule : policy->spec.rules) {
      const std::string name = "origins-" + std::to_string(names.size());
      fill_provider(view, rule, (*config.mutable_providers())[name]);
      names.push_back(name);
      are_required.push_back(rule.is_required);
    }
  }
  if (names.empty()) return;
  jwt::RequirementRule& rule = *config.add_rules();
  rule.mutable_match()->set_prefix("/");
  // A token that is there must be valid; that one is there is asked only of rules that say so (and
  // of AuthorizationPolicies).
  const auto require = [&](std::size_t index, jwt::JwtRequirement& out) {
    if (are_required[index]) return out.set_provider_name(names[index]);
    out.mutable_requires_any()->add_requirements()->set_provider_name(names[index]);
    out.mutable_requires_any()->add_requirements()->mutable_allow_missing();
  };
  const bool is_any_required =
      std::find(are_required.begin(), are_required.end(), true) != are_required.end();
  if (names.size() == 1) {
    require(0, *rule.mutable_requires());
  } else {
    auto& any = *rule.mutable_requires()->mutable_requires_any();
    for (const std::string& name : names) any.add_requirements()->set_provider_name(name);
    if (!is_any_required) {
      auto& all = *any.add_requirements()->mutable_requires_all();
      for (std::size_t i = 0; i < names.size(); ++i) require(i, *all.add_requirements());
    }
  }
  config.set_bypass_cors_preflight(true);
  auto& filter = *out.add_http_filters();
  filter.set_name("envoy.filters.http.jwt_authn");
  *filter.mutable_typed_config() = xds::pack(config);
}

}  // namespace lateen::discovery
