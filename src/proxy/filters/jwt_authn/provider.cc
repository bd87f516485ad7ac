// The order of checks and their words are Envoy's jwt_authn's.
#include "proxy/filters/jwt_authn/provider.h"

#include <algorithm>

#include "base/strings.h"
#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"
#include "proxy/compile_context.h"
#include "tls/jwt.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

constexpr char kMetadata[] = "envoy.filters.http.jwt_authn";

std::vector<std::string> audiences_of(const data::Json& claims) {
  std::vector<std::string> out;
  const auto* aud = data::find(claims, {"aud"});
  if (aud == nullptr) return out;
  if (aud->is_string()) out.emplace_back(data::as_string(*aud));
  if (const auto* list = aud->if_array()) {
    for (const auto& item : *list) out.emplace_back(data::as_string(item));
  }
  return out;
}

// Envoy compares audiences without scheme and trailing slash.
std::string plain_audience(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  }
  if (text.ends_with('/')) text.remove_suffix(1);
  return std::string(text);
}

bool has_audience(const std::vector<std::string>& wanted, const std::vector<std::string>& got) {
  return std::any_of(got.begin(), got.end(), [&](const auto& have) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const auto& want) {
      return plain_audience(want) == plain_audience(have);
    });
  });
}

std::string cookie_value(std::string_view cookies, std::string_view name) {
  for (const auto part : split(cookies, ';')) {
    const auto pair = split_once(trim(part), "=");
    if (pair && pair->first == name) return std::string(pair->second);
  }
  return "";
}

JwtFailure invalid_token(std::string message, int code) {
  return {std::move(message), 401, false, code};
}
JwtFailure not_verified() { return invalid_token("Jwt verification fails", 26); }

// An integer claim: absent, or its value, or a failure with Envoy's words and codes.
struct Moment {
  std::optional<std::int64_t> value;
  std::optional<JwtFailure> failure;
};
Moment moment_of(const data::Json& claims, const std::string& name, int code) {
  const auto* claim = data::find(claims, {name});
  if (claim == nullptr) return {};
  const auto number = data::as_number(*claim);
  if (!number || claim->is_string())
    return {std::nullopt,
            invalid_token("Jwt payload [" + name + "] field is not an integer", code)};
  if (*number < 0 || *number > 9.2e18)
    return {std::nullopt,
            invalid_token("Jwt payload [" + name + "] field is not a positive 64 bit integer",
                          code + 1)};
  return {static_cast<std::int64_t>(*number), std::nullopt};
}

bool is_algorithm_known(std::string_view name) {
  for (const std::string_view one :
       {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
    if (name == one) return true;
  return false;
}

std::optional<JwtFailure> check_form(const data::Json& header, const data::Json& claims) {
  if (!is_algorithm_known(data::get_string(header, {"alg"})))
    return invalid_token("Jwt header [alg] is not supported", 8);
  if (const auto* iss = data::find(claims, {"iss"}); iss != nullptr && !iss->is_string())
    return invalid_token("Jwt payload [iss] field is not a string", 12);
  if (const auto* sub = data::find(claims, {"sub"}); sub != nullptr && !sub->is_string())
    return invalid_token("Jwt payload [sub] field is not a string", 13);
  const auto* aud = data::find(claims, {"aud"});
  if (aud == nullptr || aud->is_string()) return std::nullopt;
  const auto* list = aud->if_array();
  if (list != nullptr && std::all_of(list->begin(), list->end(),
                                     [](const data::Json& one) { return one.is_string(); }))
    return std::nullopt;
  return invalid_token("Jwt payload [aud] field is not a string or string list", 21);
}

// The query without the parameters of that name.
std::string without_parameter(std::string_view path, std::string_view name) {
  const auto mark = path.find('?');
  if (mark == std::string_view::npos) return std::string(path);
  std::string kept;
  for (const auto part : split(path.substr(mark + 1), '&')) {
    const auto equals = part.find('=');
    if (part.substr(0, equals) == name) continue;
    kept += (kept.empty() ? "" : "&") + std::string(part);
  }
  return std::string(path.substr(0, mark)) + (kept.empty() ? "" : "?" + kept);
}

}  // namespace

Result<std::shared_ptr<const JwtProvider>> JwtProvider::compile(
    std::string_view name,
    const envoy::extensions::filters::http::jwt_authn::v3::JwtProvider& config,
    const CompileContext& context) {
  auto provider = std::make_shared<JwtProvider>();
  provider->issuer_ = config.issuer();
  provider->label_ = "'" + std::string(name) + "'" +
                     (config.issuer().empty() ? "" : " (issuer " + config.issuer() + ")");
  provider->audiences_.assign(config.audiences().begin(), config.audiences().end());
  if (config.has_remote_jwks()) {
    if (context.main == nullptr)
      return invalid("remote_jwks: there is no loop to fetch on", Blame::kConfig);
    auto settings = TRY(RemoteJwksSettings::compile(config.remote_jwks()));
    provider->remote_ = RemoteJwks::make(*context.main, std::move(settings));
    provider->jwks_error_ = "Jwks remote fetch is failed";
  } else {
    auto jwks = Jwks::parse(TRY(xds::read_data(config.local_jwks()).at("local_jwks")));
    if (jwks) provider->jwks_ = *std::move(jwks);
    else
      provider->jwks_error_ = "Jwks remote fetch is failed";  // The control plane could not fetch:
                                                              // only this issuer's tokens fail.
  }
  for (const auto& header : config.from_headers())
    provider->from_headers_.push_back({to_lower(header.name()), header.value_prefix()});
  provider->from_params_.assign(config.from_params().begin(), config.from_params().end());
  provider->from_cookies_.assign(config.from_cookies().begin(), config.from_cookies().end());
  if (provider->from_headers_.empty() && provider->from_params_.empty() &&
      provider->from_cookies_.empty()) {
    provider->from_headers_.push_back({"authorization", "Bearer "});
    provider->from_params_.emplace_back("access_token");
  }
  provider->is_forwarded_ = config.forward();
  provider->payload_header_ = to_lower(config.forward_payload_header());
  provider->is_payload_padded_ = config.pad_forward_payload_header();
  provider->metadata_key_ = config.payload_in_metadata();
  provider->header_key_ = config.header_in_metadata();
  provider->failure_key_ = config.failed_status_in_metadata();
  for (const auto& claim : config.normalize_payload_in_metadata().space_delimited_claims())
    provider->space_delimited_.push_back(claim);
  for (const auto& entry : config.claim_to_headers())
    provider->claim_headers_.emplace_back(entry.header_name(), entry.claim_name());
  if (config.clock_skew_seconds() > 0) provider->skew_ = seconds(config.clock_skew_seconds());
  if (config.has_subjects())
    provider->subjects_.push_back(TRY(StringMatcher::compile(config.subjects()).at("subjects")));
  provider->is_expiration_required_ = config.require_expiration() || config.has_max_lifetime();
  if (config.has_max_lifetime())
    provider->most_lifetime_ = std::chrono::floor<seconds>(xds::to_nanos(config.max_lifetime()));
  return std::shared_ptr<const JwtProvider>(std::move(provider));
}

RemoteJwks* JwtProvider::wanted_keys(const http::Request& request) const {
  if (remote_ == nullptr || remote_->current() != nullptr) return nullptr;
  return find_tokens(request).empty() ? nullptr : remote_.get();
}

std::vector<JwtProvider::Found> JwtProvider::find_tokens(const http::Request& request) const {
  std::vector<Found> found;
  for (const auto& source : from_headers_) {
    const auto value = request.headers.get(source.name);
    if (!value) continue;
    // The prefix may stand anywhere in the value, as in "Foo Bearer x".
    const auto at = source.prefix.empty() ? 0 : value->find(source.prefix);
    if (at == std::string_view::npos) continue;
    const auto token = trim(value->substr(at + source.prefix.size()));
    if (!token.empty()) found.push_back({std::string(token), source.name, ""});
  }
  const auto mark = request.path.find('?');
  if (mark != std::string_view::npos && !from_params_.empty()) {
    for (auto& [name, value] : parse_query(request.path.substr(mark + 1))) {
      if (std::find(from_params_.begin(), from_params_.end(), name) != from_params_.end())
        found.push_back({std::move(value), "", name});
    }
  }
  if (const auto cookies = request.headers.get("cookie")) {
    for (const auto& name : from_cookies_) {
      if (std::string value = cookie_value(*cookies, name); !value.empty())
        found.push_back({std::move(value), "", ""});
    }
  }
  return found;
}

std::optional<JwtFailure> JwtProvider::check(const std::string& token, WallTime now,
                                             const std::vector<std::string>& audiences,
                                             Verified& verified) const {
  const auto sections = split(token, '.');
  if (sections.size() != 3)
    return invalid_token(
        "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections", 4);
  if (!base64_decode(sections[0]).ok())
    return invalid_token("Jwt header is an invalid Base64url encoded", 5);
  const auto parts = tls::split_jwt(token);
  if (!parts) return invalid_token("Jwt payload is an invalid Base64url encoded", 10);
  auto header = data::parse_json(parts->header_json);
  if (!header || !header->is_object()) return invalid_token("Jwt header is an invalid JSON", 6);
  auto payload = data::parse_json(parts->claims_json);
  if (!payload || !payload->is_object()) return invalid_token("Jwt payload is an invalid JSON", 11);
  if (auto failure = check_form(*header, *payload)) return failure;
  if (auto failure = check_times(*payload, now)) return failure;
  const auto& wanted = audiences.empty() ? audiences_ : audiences;
  if (!wanted.empty() && !has_audience(wanted, audiences_of(*payload)))
    return JwtFailure{"Audiences in Jwt are not allowed", 403, false, 25};
  const auto keys = remote_ != nullptr ? remote_->current() : jwks_;
  if (keys == nullptr) return invalid_token(jwks_error_, 49);
  const auto done =
      keys->verify(token, data::get_string(*header, {"kid"}), data::get_string(*header, {"alg"}));
  if (!done)
    return invalid_token(done.error().message(),
                         done.error().message().starts_with("Jwks") ? 32 : 26);
  verified = {*std::move(header), *std::move(payload)};
  return std::nullopt;
}

std::optional<JwtFailure> JwtProvider::check_times(const data::Json& claims, WallTime now) const {
  const Moment iat = moment_of(claims, "iat", 14);
  if (iat.failure) return iat.failure;
  const Moment nbf = moment_of(claims, "nbf", 16);
  if (nbf.failure) return nbf.failure;
  const Moment exp = moment_of(claims, "exp", 18);
  if (exp.failure) return exp.failure;
  if (!issuer_.empty() && data::get_string(claims, {"iss"}) != issuer_)
    return invalid_token("Jwt issuer is not configured", 24);
  if (!subjects_.empty() && !subjects_.front().matches(data::get_string(claims, {"sub"})))
    return not_verified();
  if (is_expiration_required_ && !exp.value) return not_verified();
  if (most_lifetime_ && (!iat.value || *exp.value - *iat.value > most_lifetime_->count()))
    return not_verified();
  const auto unix_now = std::chrono::duration_cast<seconds>(now.time_since_epoch()).count();
  if (nbf.value && *nbf.value > unix_now + skew_.count())
    return invalid_token("Jwt not yet valid", 2);
  if (exp.value && *exp.value + skew_.count() < unix_now) return invalid_token("Jwt is expired", 3);
  return std::nullopt;
}

std::optional<JwtFailure> JwtProvider::authenticate(
    StreamInfo& info, http::Request& request, WallTime now,
    const std::vector<std::string>& audiences) const {
  // A client must not speak for the issuer.
  for (const auto& [header, claim] : claim_headers_) request.headers.remove(header);
  if (!payload_header_.empty()) request.headers.remove(payload_header_);
  const std::vector<Found> tokens = find_tokens(request);
  if (tokens.empty()) return JwtFailure{"Jwt is missing", 401, true, 1};
  std::optional<JwtFailure> failure;
  for (const Found& found : tokens) {
    Verified verified;
    failure = check(found.token, now, audiences, verified);
    if (failure) continue;
    publish(info, request, found, std::move(verified));
    return std::nullopt;
  }
  if (!failure_key_.empty())
    data::ensure_object(info.metadata[kMetadata], {})[failure_key_] =
        data::JsonObject{{"code", failure->code}, {"message", failure->message}};
  return failure;
}

void JwtProvider::publish(StreamInfo& info, http::Request& request, const Found& found,
                          Verified verified) const {
  Arena& arena = request.headers.arena();
  data::Json& claims = verified.claims;
  for (const auto& [header, claim] : claim_headers_) {
    const auto* value = data::find_dotted(claims, claim);
    if (value == nullptr || value->is_null()) continue;
    std::string text =
        value->is_string() ? std::string(data::as_string(*value)) : data::dump_json(*value);
    if (value->is_object() || value->is_array()) text = base64url_encode(text);
    request.headers.add(header, text);
  }
  if (!payload_header_.empty()) {
    std::string payload(split(found.token, '.')[1]);  // as the issuer encoded it
    while (is_payload_padded_ && payload.size() % 4 != 0) payload += '=';
    request.headers.set(payload_header_, arena.copy(payload));
  }
  if (!is_forwarded_) {
    if (!found.header.empty()) request.headers.remove(found.header);
    if (!found.parameter.empty())
      request.path = arena.copy(without_parameter(request.path, found.parameter));
  }
  if (!header_key_.empty())
    data::ensure_object(info.metadata[kMetadata], {})[header_key_] = std::move(verified.header);
  if (metadata_key_.empty()) return;
  for (const auto& name : space_delimited_) {
    const auto* value = data::find(claims, {name});
    if (value == nullptr || !value->is_string()) continue;
    data::JsonArray words;
    for (const auto word : split(data::as_string(*value), ' ')) words.emplace_back(word);
    data::set(claims, {name}, std::move(words));
  }
  data::ensure_object(info.metadata[kMetadata], {})[metadata_key_] = std::move(claims);
}

}  // namespace lateen::proxy
