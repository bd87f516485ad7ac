// envoy.filters.http.jwt_authn: which requests need which issuers' tokens.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/filters/jwt_authn/provider.h"

namespace envoy::extensions::filters::http::jwt_authn::v3 {
class JwtAuthentication;
class JwtRequirement;
}  // namespace envoy::extensions::filters::http::jwt_authn::v3

namespace lateen::proxy {

// A route's say: off, or another requirement by name.
struct JwtRouteSettings final : RouteFilterConfig {
  bool is_disabled = false;
  std::string requirement_name;
};

class JwtAuthn final : public HttpFilter {
 public:
  static Result<std::shared_ptr<const HttpFilter>> compile(
      const envoy::extensions::filters::http::jwt_authn::v3::JwtAuthentication& config,
      const CompileContext& context);
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  struct Requirement {
    enum class Kind : unsigned char {
      kProvider,
      kAny,
      kAll,
      kAllowMissing,
      kAllowMissingOrFailed
    } kind = Kind::kProvider;
    std::shared_ptr<const JwtProvider> provider;
    std::vector<std::string> audiences;
    std::vector<Requirement> parts;
    std::string label;  // of a whole one, for explanations: the rule it is of, or its name
  };
  struct Rule {
    std::optional<std::string> path, prefix, separated;
    bool is_connect = false;
    std::optional<Regex> regex;
    std::vector<HeaderMatcher> headers;
    std::optional<Requirement> requirement;  // none: no token needed
  };
  using Providers = std::map<std::string, std::shared_ptr<const JwtProvider>>;

  Result<Requirement> compile_requirement(
      const envoy::extensions::filters::http::jwt_authn::v3::JwtRequirement& config,
      int depth) const;
  std::optional<JwtFailure> check(const Requirement& requirement, StreamInfo& info,
                                  http::Request& request, WallTime now) const;

  // Fetches keys that are missing first, then judges.
  void enforce(const Requirement& requirement, HttpState& stream, http::Request request, Next next,
               http::Done done) const;

  void judge(const Requirement& requirement, HttpState& stream, http::Request request, Next next,
             http::Done done) const;
  void collect_wanted(const Requirement& requirement, const http::Request& request,
                      std::vector<RemoteJwks*>& into) const;

  Providers providers_;
  std::map<std::string, Requirement> named_;
  std::vector<Rule> rules_;
  bool is_preflight_bypassed_ = false;
  bool has_remote_keys_ = false;
  bool is_route_cleared_ = false;  // some provider's clear_route_cache
};

}  // namespace lateen::proxy
