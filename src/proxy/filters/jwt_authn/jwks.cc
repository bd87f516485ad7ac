// Keys become PEM once, when the configuration is compiled.
#include "proxy/filters/jwt_authn/jwks.h"

#include "tls/jwt.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostKeys = 100;

Result<std::string> pem_of(const data::Json& key, std::string_view kind) {
  if (kind == "RSA")
    return tls::rsa_jwk_to_pem(data::get_string(key, {"n"}), data::get_string(key, {"e"}));
  return tls::ec_jwk_to_pem(data::get_string(key, {"crv"}), data::get_string(key, {"x"}),
                            data::get_string(key, {"y"}));
}

bool fits(std::string_view algorithm, std::string_view kind) {
  if (kind == "RSA") return algorithm.starts_with("RS") || algorithm.starts_with("PS");
  return algorithm.starts_with("ES");
}

}  // namespace

Result<std::shared_ptr<const Jwks>> Jwks::parse(std::string_view json) {
  const data::Json document = TRY(data::parse_json(json).at("JWKS"));
  auto set = std::make_shared<Jwks>();
  for (const auto& key : data::get_array(document, {"keys"})) {
    const auto kind = data::get_string(key, {"kty"});
    if ((kind != "RSA" && kind != "EC") || data::get_string(key, {"use"}, "sig") != "sig" ||
        set->keys_.size() >= kMostKeys)
      continue;
    auto pem = pem_of(key, kind);
    if (!pem) continue;  // One bad key must not take the others away.
    set->keys_.push_back({std::string(data::get_string(key, {"kid"})),
                          std::string(data::get_string(key, {"alg"})), std::string(kind),
                          *std::move(pem)});
  }
  if (set->keys_.empty()) return invalid("the JWKS holds no usable key", Blame::kConfig);
  return std::shared_ptr<const Jwks>(std::move(set));
}

Result<> Jwks::verify(const std::string& token, std::string_view kid,
                      std::string_view algorithm) const {
  const tls::JwtParts parts = TRY(tls::split_jwt(token));
  bool is_key_found = false;
  for (const Key& key : keys_) {
    if (!kid.empty() && !key.id.empty() && key.id != kid) continue;
    if (!fits(algorithm, key.kind) || (!key.algorithm.empty() && key.algorithm != algorithm))
      continue;
    is_key_found = true;
    if (tls::verify_jws(parts, algorithm, key.pem)) return {};
  }
  return Error(Code::kUnauthenticated,
               is_key_found ? "Jwt verification fails"
                            : "Jwks doesn't have key to match kid or alg from Jwt",
               Blame::kDownstream);
}

}  // namespace lateen::proxy
