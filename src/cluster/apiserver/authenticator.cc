// See authenticator.h.
#include "cluster/apiserver/authenticator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "tls/jwt.h"
#include "tls/x509.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::size_t kMostCertificates = 256;
constexpr auto kSkew = seconds(10);

std::int64_t unix_seconds(WallTime time) {
  return std::chrono::duration_cast<seconds>(time.time_since_epoch()).count();
}

User service_account_user(std::string_view ns, std::string_view name, std::string_view uid) {
  User user;
  user.name = fmt::format("system:serviceaccount:{}:{}", ns, name);
  user.uid = uid;
  user.groups = {"system:serviceaccounts", fmt::format("system:serviceaccounts:{}", ns),
                 "system:authenticated"};
  return user;
}

std::vector<std::string> audiences_in(const Json& claims) {
  std::vector<std::string> found;
  const Json* aud = data::find(claims, {"aud"});
  if (aud == nullptr) return found;
  if (aud->is_string()) found.emplace_back(data::as_string(*aud));
  if (const auto* list = aud->if_array()) {
    for (const auto& one : *list) found.emplace_back(data::as_string(one));
  }
  return found;
}

}  // namespace

Authenticator::Authenticator(const Pki& pki, const Store& store, const Clock& clock,
                             SharedRandom& random, std::string domain)
    : pki_(pki),
      store_(store),
      clock_(clock),
      random_(random),
      issuer_(fmt::format("https://kubernetes.default.svc.{}", domain)) {}

std::optional<User> Authenticator::user_of(const net::TlsInfo& tls) {
  if (!tls.has_peer_certificate) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (const auto known = by_fingerprint_.find(tls.peer_fingerprint_sha256);
      known != by_fingerprint_.end()) {
    return known->second;
  }
  auto parsed = tls::parse_certificate(tls.peer_certificate_pem);
  if (!parsed.ok() || parsed->names.common_name.empty()) return std::nullopt;
  User user;
  user.name = parsed->names.common_name;
  user.groups = parsed->names.organizations;
  user.groups.emplace_back("system:authenticated");
  if (by_fingerprint_.size() >= kMostCertificates) by_fingerprint_.clear();
  by_fingerprint_.emplace(tls.peer_fingerprint_sha256, user);
  return user;
}

Outcome<User> Authenticator::authenticate(const net::TlsInfo* tls, std::string_view authorization) {
  if (tls != nullptr) {
    if (auto user = user_of(*tls)) return *user;
  }
  constexpr std::string_view kBearer = "Bearer ";
  if (authorization.size() > kBearer.size() &&
      iequals(authorization.substr(0, kBearer.size()), kBearer)) {
    auto reviewed = review(trim(authorization.substr(kBearer.size())), {});
    if (!reviewed.ok()) return Status::unauthorized();
    return std::move(reviewed->user);
  }
  if (!authorization.empty()) return Status::unauthorized();
  User anonymous;
  anonymous.name = "system:anonymous";
  anonymous.groups = {"system:unauthenticated"};
  return anonymous;
}

Result<IssuedToken> Authenticator::issue(const TokenSpec& spec) {
  IssuedToken made;
  const WallTime now = clock_.wall();
  made.expires = now + spec.lifetime;
  made.audiences = spec.audiences.empty() ? std::vector<std::string>{issuer_} : spec.audiences;
  JsonArray audiences;
  for (const auto& one : made.audiences) audiences.emplace_back(one);
  JsonObject bound{
      {"namespace", spec.ns},
      {"serviceaccount", JsonObject{{"name", spec.account}, {"uid", spec.account_uid}}}};
  if (!spec.bound_kind.empty()) {
    bound[to_lower(spec.bound_kind)] =
        JsonObject{{"name", spec.bound_name}, {"uid", spec.bound_uid}};
  }
  if (!spec.node_name.empty()) bound["node"] = JsonObject{{"name", spec.node_name}};
  const JsonObject claims{
      {"aud", std::move(audiences)},
      {"exp", unix_seconds(made.expires)},
      {"iat", unix_seconds(now)},
      {"iss", issuer_},
      {"jti", random_.uuid()},
      {"kubernetes.io", std::move(bound)},
      {"nbf", unix_seconds(now)},
      {"sub", fmt::format("system:serviceaccount:{}:{}", spec.ns, spec.account)}};
  made.token =
      TRY(tls::sign_jwt(data::dump_json(claims), pki_.token_key_pem(), pki_.token_key_id()));
  return made;
}

Result<Authenticator::Review> Authenticator::review(
    std::string_view token, const std::vector<std::string>& audiences) const {
  const auto parts = TRY(tls::split_jwt(token));
  const Json header = TRY(data::parse_json(parts.header_json));
  const Json claims = TRY(data::parse_json(parts.claims_json));
  if (data::get_string(claims, {"iss"}) != issuer_)
    return invalid("the token is from another issuer");
  TRY(tls::verify_jws(parts, data::get_string(header, {"alg"}), pki_.token_public_pem()));
  const auto now = clock_.wall();
  if (const auto expiry = data::get_int(claims, {"exp"});
      expiry != 0 && unix_seconds(now - kSkew) >= expiry) {
    return Error(Code::kUnauthenticated, "service account token has expired");
  }
  if (unix_seconds(now + kSkew) < data::get_int(claims, {"nbf"})) {
    return Error(Code::kUnauthenticated, "the token is not valid yet");
  }
  const std::string ns(data::get_string(claims, {"kubernetes.io", "namespace"}));
  const std::string name(data::get_string(claims, {"kubernetes.io", "serviceaccount", "name"}));
  const std::string uid(data::get_string(claims, {"kubernetes.io", "serviceaccount", "uid"}));
  const auto account = store_.get("/serviceaccounts", {ns, name});
  if (account == nullptr || kube::uid_of(account->value) != uid) {
    return Error(Code::kUnauthenticated,
                 fmt::format("service account {}/{} has been deleted", ns, name));
  }
  Review made;
  made.user = service_account_user(ns, name, uid);
  JsonObject extra;
  for (const auto& [kind, bucket] :
       {std::pair<std::string_view, std::string_view>{"pod", "/pods"}, {"secret", "/secrets"}}) {
    const std::string bound(data::get_string(claims, {"kubernetes.io", kind, "name"}));
    if (bound.empty()) continue;
    const auto object = store_.get(bucket, {ns, bound});
    const auto bound_uid = data::get_string(claims, {"kubernetes.io", kind, "uid"});
    if (object == nullptr || (!bound_uid.empty() && kube::uid_of(object->value) != bound_uid)) {
      return Error(
          Code::kUnauthenticated,
          fmt::format("service account token has been invalidated: {} {} is gone", kind, bound));
    }
    if (kind == "pod") {
      extra["authentication.kubernetes.io/pod-name"] = JsonArray{Json(bound)};
      extra["authentication.kubernetes.io/pod-uid"] = JsonArray{Json(bound_uid)};
    }
  }
  if (const auto id = data::get_string(claims, {"jti"}); !id.empty()) {
    extra["authentication.kubernetes.io/credential-id"] =
        JsonArray{Json(fmt::format("JTI={}", id))};
  }
  if (!extra.empty()) made.user.extra = std::move(extra);
  const auto wanted = audiences.empty() ? std::vector<std::string>{issuer_} : audiences;
  for (const auto& one : audiences_in(claims)) {
    if (std::find(wanted.begin(), wanted.end(), one) != wanted.end()) made.audiences.push_back(one);
  }
  if (made.audiences.empty()) {
    return Error(Code::kUnauthenticated,
                 fmt::format("token audiences [{}] is invalid for the target audiences [{}]",
                             join(audiences_in(claims), " "), join(wanted, " ")));
  }
  return made;
}

Json Authenticator::openid_configuration() const {
  return JsonObject{{"issuer", issuer_},
                    {"jwks_uri", issuer_ + "/openid/v1/jwks"},
                    {"response_types_supported", JsonArray{"id_token"}},
                    {"subject_types_supported", JsonArray{"public"}},
                    {"id_token_signing_alg_values_supported", JsonArray{"RS256"}}};
}

Json Authenticator::jwks() const {
  JsonArray keys;
  if (auto jwk = tls::jwk_of(pki_.token_public_pem(), pki_.token_key_id()); jwk.ok()) {
    if (auto parsed = data::parse_json(*jwk); parsed.ok()) keys.push_back(std::move(*parsed));
  }
  return JsonObject{{"keys", std::move(keys)}};
}

}  // namespace lateen::cluster::apiserver
