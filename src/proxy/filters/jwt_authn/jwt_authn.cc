// The first rule that matches decides; a request that none matches passes.
#include "proxy/filters/jwt_authn/jwt_authn.h"

#include <algorithm>

#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/match/string_matcher.h"
#include "xds/any.h"

namespace lateen::proxy {

namespace api = envoy::extensions::filters::http::jwt_authn::v3;

static constexpr int kMaxDepth = 16;

// Which paths a rule is for, in words.
static std::string place_of(const envoy::config::route::v3::RouteMatch& match) {
  if (match.has_prefix()) return "prefix " + match.prefix();
  if (match.has_path()) return "path " + match.path();
  if (match.has_safe_regex()) return "regex " + match.safe_regex().regex();
  if (match.has_path_separated_prefix()) return "prefix " + match.path_separated_prefix();
  return "CONNECT";
}

Result<std::shared_ptr<const HttpFilter>> JwtAuthn::compile(const api::JwtAuthentication& config,
                                                            const CompileContext& context) {
  auto filter = std::make_shared<JwtAuthn>();
  filter->is_preflight_bypassed_ = config.bypass_cors_preflight();
  for (const auto& [name, provider] : config.providers()) {
    filter->providers_[name] =
        TRY(JwtProvider::compile(name, provider, context).at("jwt_authn provider " + name));
    filter->has_remote_keys_ = filter->has_remote_keys_ || provider.has_remote_jwks();
    filter->is_route_cleared_ = filter->is_route_cleared_ || provider.clear_route_cache();
  }
  for (const auto& [name, requirement] : config.requirement_map()) {
    filter->named_[name] =
        TRY(filter->compile_requirement(requirement, 0).at("jwt_authn requirement " + name));
    filter->named_[name].label = "requirement '" + name + "'";
  }
  for (const auto& rule : config.rules()) {
    Rule out;
    const auto& match = rule.match();
    if (match.has_case_sensitive() || match.query_parameters_size() > 0 || match.has_grpc() ||
        match.has_runtime_fraction() || match.has_tls_context() ||
        match.dynamic_metadata_size() > 0 || match.filter_state_size() > 0)
      return invalid("jwt_authn: a rule's match may have a path and headers only", Blame::kConfig);
    if (match.has_prefix()) out.prefix = match.prefix();
    else if (match.has_path()) out.path = match.path();
    else if (match.has_safe_regex()) out.regex = TRY(Regex::compile(match.safe_regex()));
    else if (match.has_path_separated_prefix()) out.separated = match.path_separated_prefix();
    else if (match.has_connect_matcher()) out.is_connect = true;
    else
      return Error(Code::kUnimplemented,
                   "jwt_authn: a rule's match must be prefix, path, path_separated_prefix, "
                   "safe_regex or connect_matcher",
                   Blame::kConfig);
    std::vector<const envoy::config::route::v3::HeaderMatcher*> headers;
    for (const auto& header : match.headers()) headers.push_back(&header);
    out.headers = TRY(compile_headers(headers));
    if (rule.requirement_type_case() == api::RequirementRule::kRequires) {
      out.requirement = TRY(filter->compile_requirement(rule.requires_(), 0));
    } else if (rule.requirement_type_case() == api::RequirementRule::kRequirementName) {
      const auto named = filter->named_.find(rule.requirement_name());
      if (named == filter->named_.end())
        return invalid("jwt_authn: no requirement named " + rule.requirement_name(),
                       Blame::kConfig);
      out.requirement = named->second;
    }
    if (out.requirement)
      out.requirement->label =
          "rule " + std::to_string(filter->rules_.size()) + " (" + place_of(match) + ")" +
          (out.requirement->label.empty() ? "" : ", " + out.requirement->label);
    filter->rules_.push_back(std::move(out));
  }
  return std::shared_ptr<const HttpFilter>(std::move(filter));
}

Result<JwtAuthn::Requirement> JwtAuthn::compile_requirement(const api::JwtRequirement& config,
                                                            int depth) const {
  if (depth > kMaxDepth)
    return invalid("jwt_authn: requirements are nested too deep", Blame::kConfig);
  Requirement out;
  const auto provider = [&](const std::string& name) -> Result<std::shared_ptr<const JwtProvider>> {
    const auto at = providers_.find(name);
    if (at == providers_.end())
      return invalid("jwt_authn: no provider named " + name, Blame::kConfig);
    return at->second;
  };
  switch (config.requires_type_case()) {
    case api::JwtRequirement::kProviderName:
      out.provider = TRY(provider(config.provider_name()));
      break;
    case api::JwtRequirement::kProviderAndAudiences:
      out.provider = TRY(provider(config.provider_and_audiences().provider_name()));
      out.audiences.assign(config.provider_and_audiences().audiences().begin(),
                           config.provider_and_audiences().audiences().end());
      break;
    case api::JwtRequirement::kRequiresAny:
      out.kind = Requirement::Kind::kAny;
      for (const auto& part : config.requires_any().requirements())
        out.parts.push_back(TRY(compile_requirement(part, depth + 1)));
      break;
    case api::JwtRequirement::kRequiresAll:
      out.kind = Requirement::Kind::kAll;
      for (const auto& part : config.requires_all().requirements())
        out.parts.push_back(TRY(compile_requirement(part, depth + 1)));
      break;
    case api::JwtRequirement::kAllowMissing: out.kind = Requirement::Kind::kAllowMissing; break;
    case api::JwtRequirement::kAllowMissingOrFailed:
      out.kind = Requirement::Kind::kAllowMissingOrFailed;
      break;
    default: return invalid("jwt_authn: a requirement says nothing", Blame::kConfig);
  }
  return out;
}

// As the provider says, with its name.
static std::optional<JwtFailure> authenticate(const JwtProvider& provider, StreamInfo& info,
                                              http::Request& request, WallTime now,
                                              const std::vector<std::string>& audiences) {
  auto failure = provider.authenticate(info, request, now, audiences);
  if (failure) failure->provider = provider.label();
  return failure;
}

// For a list, a failed token outweighs a missing one; allow_missing forgives only the latter.
std::optional<JwtFailure> JwtAuthn::check(const Requirement& requirement, StreamInfo& info,
                                          http::Request& request, WallTime now) const {
  switch (requirement.kind) {
    case Requirement::Kind::kProvider:
      return authenticate(*requirement.provider, info, request, now, requirement.audiences);
    case Requirement::Kind::kAll:
      for (const auto& part : requirement.parts) {
        if (auto failure = check(part, info, request, now)) return failure;
      }
      return std::nullopt;
    case Requirement::Kind::kAny: {
      std::optional<JwtFailure> worst;
      bool is_missing_allowed = false, is_any_allowed = false;
      for (const auto& part : requirement.parts) {
        is_missing_allowed |= part.kind == Requirement::Kind::kAllowMissing;
        is_any_allowed |= part.kind == Requirement::Kind::kAllowMissingOrFailed;
        if (part.kind == Requirement::Kind::kAllowMissing ||
            part.kind == Requirement::Kind::kAllowMissingOrFailed)
          continue;
        auto failure = check(part, info, request, now);
        if (!failure) return std::nullopt;
        // "issuer is not configured" of one provider says nothing when another one knows the
        // issuer.
        if (worst && worst->is_missing && failure->is_missing)
          failure->provider = worst->provider + " or " + failure->provider;
        if (!worst || worst->is_missing || worst->message == "Jwt issuer is not configured")
          worst = std::move(failure);
      }
      if (is_any_allowed || !worst || (is_missing_allowed && worst->is_missing))
        return std::nullopt;
      return worst;
    }
    case Requirement::Kind::kAllowMissing:
    case Requirement::Kind::kAllowMissingOrFailed:
      // Alone, they verify a token of any provider that fits, to leave its claims, and forgive.
      for (const auto& [name, provider] : providers_) {
        auto failure = authenticate(*provider, info, request, now, {});
        if (!failure) return std::nullopt;
        if (requirement.kind == Requirement::Kind::kAllowMissing && !failure->is_missing &&
            failure->message != "Jwt issuer is not configured")
          return failure;
      }
      return std::nullopt;
  }
  return std::nullopt;
}

void JwtAuthn::collect_wanted(const Requirement& requirement, const http::Request& request,
                              std::vector<RemoteJwks*>& into) const {
  const auto add = [&](const JwtProvider& provider) {
    RemoteJwks* wanted = provider.wanted_keys(request);
    if (wanted != nullptr && std::find(into.begin(), into.end(), wanted) == into.end())
      into.push_back(wanted);
  };
  if (requirement.provider != nullptr) add(*requirement.provider);
  for (const auto& part : requirement.parts) collect_wanted(part, request, into);
  if (requirement.kind == Requirement::Kind::kAllowMissing ||
      requirement.kind == Requirement::Kind::kAllowMissingOrFailed)
    for (const auto& [name, provider] : providers_) add(*provider);
}

void JwtAuthn::enforce(const Requirement& requirement, HttpState& stream, http::Request request,
                       Next next, http::Done done) const {
  std::vector<RemoteJwks*> wanted;
  if (has_remote_keys_) collect_wanted(requirement, request, wanted);
  if (wanted.empty()) return judge(requirement, stream, std::move(request), next, std::move(done));
  struct Held {
    http::Request request;
    http::Done done;
    std::size_t left;
  };
  auto held = std::make_shared<Held>(Held{std::move(request), std::move(done), wanted.size()});
  for (RemoteJwks* keys : wanted)
    keys->fetch(stream.exchange.scope, stream.exchange.loop,
                [this, &requirement, &stream, next, held] {
                  if (--held->left > 0) return;
                  judge(requirement, stream, std::move(held->request), next, std::move(held->done));
                });
}

void JwtAuthn::judge(const Requirement& requirement, HttpState& stream, http::Request request,
                     Next next, http::Done done) const {
  const auto failure =
      check(requirement, stream.info, request, stream.exchange.loop.clock().wall());
  if (!failure) {
    // Routes may match on the claims, which are known only now.
    if (is_route_cleared_) select_route(stream, request);
    return next(stream, std::move(request), std::move(done));
  }
  std::string details = "jwt_authn_access_denied{" + failure->message + "}";
  std::replace(details.begin(), details.end(), ' ', '_');
  // For the explanation (stream/failure.cc).
  stream.info.metadata["lateen.jwt"] =
      data::JsonObject{{"provider", failure->provider}, {"by", requirement.label}};
  http::Response response = local_reply(stream, failure->status, failure->message, details);
  const auto path = request.path.substr(0, request.path.find_first_of("?#"));
  std::string challenge = "Bearer realm=\"" + std::string(request.scheme) + "://" +
                          std::string(request.authority) + std::string(path) + "\"";
  if (!failure->is_missing) challenge += ", error=\"invalid_token\"";
  response.headers.add("www-authenticate", challenge);
  done(std::move(response));
}

void JwtAuthn::handle(HttpState& stream, http::Request request, Next next, http::Done done) const {
  if (is_preflight_bypassed_ && request.method == "OPTIONS" && request.headers.has("origin") &&
      request.headers.has("access-control-request-method")) {
    return next(stream, std::move(request), std::move(done));
  }
  const auto* entry = route_config_for(stream.info, "envoy.filters.http.jwt_authn");
  const auto* of_route =
      entry != nullptr ? dynamic_cast<const JwtRouteSettings*>(entry->config.get()) : nullptr;
  if (of_route != nullptr && of_route->is_disabled)
    return next(stream, std::move(request), std::move(done));
  if (of_route != nullptr && !of_route->requirement_name.empty()) {
    const auto named = named_.find(of_route->requirement_name);
    if (named == named_.end()) {
      return done(local_reply(stream, 403, "Wrong requirement_name: " + of_route->requirement_name,
                              "jwt_authn_access_denied{unknown_requirement}"));
    }
    return enforce(named->second, stream, std::move(request), next, std::move(done));
  }
  const auto path = request.path.substr(0, request.path.find_first_of("?#"));
  for (const Rule& rule : rules_) {
    const bool is_match = rule.is_connect ? request.method == "CONNECT"
                          : rule.prefix   ? path.starts_with(*rule.prefix)
                          : rule.path     ? path == *rule.path
                          : rule.separated
                              ? path == *rule.separated || path.starts_with(*rule.separated + "/")
                              : rule.regex->matches_all(path);
    if (!is_match || !all_match(rule.headers, request)) continue;
    if (!rule.requirement) break;
    return enforce(*rule.requirement, stream, std::move(request), next, std::move(done));
  }
  next(stream, std::move(request), std::move(done));
}

Result<HttpFilterRef> make_jwt_authn(const google::protobuf::Any& config,
                                     const CompileContext& context) {
  return JwtAuthn::compile(TRY(xds::unpack<api::JwtAuthentication>(config)), context);
}

Result<RouteConfigRef> make_jwt_authn_route(const google::protobuf::Any& config,
                                            const CompileContext&) {
  auto settings = std::make_shared<JwtRouteSettings>();
  const auto message = TRY(xds::unpack<api::PerRouteConfig>(config));
  settings->is_disabled = message.disabled();
  settings->requirement_name = message.requirement_name();
  return RouteConfigRef(std::move(settings));
}

}  // namespace lateen::proxy
