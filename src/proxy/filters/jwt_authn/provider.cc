// The order of checks and their words are Envoy's jwt_authn's.
#include "proxy/filters/jwt_authn/provider.h"

#include <algorithm>

#include "base/strings.h"
#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"
#include "tls/jwt.h"

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

JwtFailure invalid_token(std::string message) { return {std::move(message), 401, false}; }

}  // namespace

Result<std::shared_ptr<const JwtProvider>> JwtProvider::compile(
    const envoy::extensions::filters::http::jwt_authn::v3::JwtProvider& config) {
  auto provider = std::make_shared<JwtProvider>();
  provider->issuer_ = config.issuer();
  provider->audiences_.assign(config.audiences().begin(), config.audiences().end());
  if (config.has_remote_jwks()) {
    return Error(Code::kUnimplemented,
                 "jwt_authn: remote_jwks is not supported; let the control plane inline the keys",
                 Blame::kConfig);
  }
  const auto& source = config.local_jwks();
  const std::string& text =
      source.has_inline_bytes() ? source.inline_bytes() : source.inline_string();
  auto jwks = Jwks::parse(text);
  if (jwks) provider->jwks_ = *std::move(jwks);
  else
    provider->jwks_error_ = "Jwks remote fetch is failed";  // The control plane could not fetch:
                                                            // only this issuer's tokens fail.
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
  provider->payload_header_ = config.forward_payload_header();
  provider->metadata_key_ = config.payload_in_metadata();
  for (const auto& claim : config.normalize_payload_in_metadata().space_delimited_claims())
    provider->space_delimited_.push_back(claim);
  for (const auto& entry : config.claim_to_headers())
    provider->claim_headers_.emplace_back(entry.header_name(), entry.claim_name());
  if (config.clock_skew_seconds() > 0) provider->skew_ = seconds(config.clock_skew_seconds());
  return std::shared_ptr<const JwtProvider>(std::move(provider));
}

std::vector<JwtProvider::Found> JwtProvider::find_tokens(const http::Request& request) const {
  std::vector<Found> found;
  for (const auto& source : from_headers_) {
    const auto value = request.headers.get(source.name);
    if (!value) continue;
    // The prefix may stand anywhere in the value, as in "Foo Bearer x".
    const auto at = source.prefix.empty() ? 0 : value->find(source.prefix);
    if (at != std::string_view::npos)
      found.push_back({std::string(trim(value->substr(at + source.prefix.size()))), source.name});
  }
  const auto mark = request.path.find('?');
  if (mark != std::string_view::npos && !from_params_.empty()) {
    for (auto& [name, value] : parse_query(request.path.substr(mark + 1))) {
      if (std::find(from_params_.begin(), from_params_.end(), name) != from_params_.end())
        found.push_back({std::move(value), ""});
    }
  }
  if (const auto cookies = request.headers.get("cookie")) {
    for (const auto& name : from_cookies_) {
      if (std::string value = cookie_value(*cookies, name); !value.empty())
        found.push_back({std::move(value), ""});
    }
  }
  return found;
}

std::optional<JwtFailure> JwtProvider::check(const std::string& token, WallTime now,
                                             const std::vector<std::string>& audiences,
                                             data::Json& claims) const {
  const auto parts = tls::split_jwt(token);
  if (!parts)
    return invalid_token(
        "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections");
  const auto header = data::parse_json(parts->header_json);
  auto payload = data::parse_json(parts->claims_json);
  if (!header || !header->is_object()) return invalid_token("Jwt header is an invalid JSON");
  if (!payload || !payload->is_object()) return invalid_token("Jwt payload is an invalid JSON");
  if (!issuer_.empty() && data::get_string(*payload, {"iss"}) != issuer_)
    return invalid_token("Jwt issuer is not configured");
  const auto unix_now = std::chrono::duration_cast<seconds>(now.time_since_epoch()).count();
  if (const auto* exp = data::find(*payload, {"exp"})) {
    const auto number = data::as_number(*exp);
    if (!number || *number + static_cast<double>(skew_.count()) < static_cast<double>(unix_now))
      return invalid_token("Jwt is expired");
  }
  if (const auto* nbf = data::find(*payload, {"nbf"})) {
    const auto number = data::as_number(*nbf);
    if (!number || *number - static_cast<double>(skew_.count()) > static_cast<double>(unix_now))
      return invalid_token("Jwt not yet valid");
  }
  const auto& wanted = audiences.empty() ? audiences_ : audiences;
  if (!wanted.empty() && !has_audience(wanted, audiences_of(*payload)))
    return JwtFailure{"Audiences in Jwt are not allowed", 403, false};
  if (jwks_ == nullptr) return invalid_token(jwks_error_);
  const auto verified =
      jwks_->verify(token, data::get_string(*header, {"kid"}), data::get_string(*header, {"alg"}));
  if (!verified) return invalid_token(verified.error().message());
  claims = *std::move(payload);
  return std::nullopt;
}

std::optional<JwtFailure> JwtProvider::authenticate(
    StreamInfo& info, http::Request& request, WallTime now,
    const std::vector<std::string>& audiences) const {
  const std::vector<Found> tokens = find_tokens(request);
  if (tokens.empty()) return JwtFailure{"Jwt is missing", 401, true};
  std::optional<JwtFailure> failure;
  for (const Found& found : tokens) {
    data::Json claims;
    failure = check(found.token, now, audiences, claims);
    if (failure) continue;
    publish(info, request, found, std::move(claims));
    return std::nullopt;
  }
  return failure;
}

void JwtProvider::publish(StreamInfo& info, http::Request& request, const Found& found,
                          data::Json claims) const {
  Arena& arena = request.headers.arena();
  for (const auto& [header, claim] : claim_headers_) {
    request.headers.remove(header);  // A client must not speak for the issuer.
    const auto* value = data::find_dotted(claims, claim);
    if (value == nullptr || value->is_null()) continue;
    std::string text =
        value->is_string() ? std::string(data::as_string(*value)) : data::dump_json(*value);
    if (value->is_object() || value->is_array()) text = base64url_encode(text);
    request.headers.add(header, text);
  }
  if (!payload_header_.empty())
    request.headers.set(payload_header_, arena.copy(base64url_encode(data::dump_json(claims))));
  if (!is_forwarded_ && !found.header.empty()) request.headers.remove(found.header);
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
