// JWS by EVP; ECDSA signatures cross between OpenSSL's DER and JOSE's raw r||s (RFC 7518 §3.4).
#include "tls/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "base/strings.h"
#include "tls/openssl.h"
#include "tls/x509.h"

namespace lateen::tls {
namespace {

constexpr std::size_t kMaxTokenBytes = 64 * 1024;

using SigPtr = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;
using ParamBuildPtr = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;

struct Algorithm {
  std::string_view name;
  int key_type;
  const EVP_MD* digest;
  int ec_bytes;  // size of r and of s
  int key_bits;  // of the curve; 0: any
  bool is_pss;
};

const Algorithm* find_algorithm(std::string_view name) {
  static const Algorithm kAlgorithms[] = {{"RS256", EVP_PKEY_RSA, EVP_sha256(), 0, 0, false},
                                          {"RS384", EVP_PKEY_RSA, EVP_sha384(), 0, 0, false},
                                          {"RS512", EVP_PKEY_RSA, EVP_sha512(), 0, 0, false},
                                          {"PS256", EVP_PKEY_RSA, EVP_sha256(), 0, 0, true},
                                          {"PS384", EVP_PKEY_RSA, EVP_sha384(), 0, 0, true},
                                          {"PS512", EVP_PKEY_RSA, EVP_sha512(), 0, 0, true},
                                          {"ES256", EVP_PKEY_EC, EVP_sha256(), 32, 256, false},
                                          {"ES384", EVP_PKEY_EC, EVP_sha384(), 48, 384, false},
                                          {"ES512", EVP_PKEY_EC, EVP_sha512(), 66, 521, false},
                                          {"EdDSA", EVP_PKEY_ED25519, nullptr, 0, 0, false}};
  for (const auto& algorithm : kAlgorithms) {
    if (algorithm.name == name) return &algorithm;
  }
  return nullptr;
}

std::string_view algorithm_for(EVP_PKEY* key) {
  switch (EVP_PKEY_base_id(key)) {
    case EVP_PKEY_RSA: return "RS256";
    case EVP_PKEY_ED25519: return "EdDSA";
    case EVP_PKEY_EC:
      return EVP_PKEY_bits(key) == 384 ? "ES384" : EVP_PKEY_bits(key) == 521 ? "ES512" : "ES256";
    default: return "";
  }
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string der_to_raw(const std::string& der, int ec_bytes) {
  const unsigned char* at = bytes_of(der);
  const SigPtr signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  std::string raw(static_cast<std::size_t>(ec_bytes) * 2, '\0');
  if (signature == nullptr) return raw;
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, ec_bytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + ec_bytes, ec_bytes);
  return raw;
}

std::string raw_to_der(const std::string& raw, int ec_bytes) {
  const SigPtr signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(bytes_of(raw), ec_bytes, nullptr),
                 BN_bin2bn(bytes_of(raw) + ec_bytes, ec_bytes, nullptr));
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(signature.get(), &der);
  std::string out(reinterpret_cast<char*>(der), length > 0 ? static_cast<std::size_t>(length) : 0);
  OPENSSL_free(der);
  return out;
}

Result<std::string> public_pem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PUBKEY(bio.get(), key) != 1)
    return internal("writing a public key: " + take_openssl_error());
  return text_of(bio.get());
}

Result<std::string> pem_from_params(const char* type, OSSL_PARAM_BLD* build) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(build));
  const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return invalid("JWK: not a usable key: " + take_openssl_error());
  }
  const PkeyPtr owned(key);
  return public_pem(key);
}

std::string number_param(EVP_PKEY* key, const char* name, int pad_bytes) {
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(key, name, &raw);
  const BignumPtr number(raw);
  const int length = pad_bytes > 0 ? pad_bytes : BN_num_bytes(raw);
  std::string bytes(static_cast<std::size_t>(length), '\0');
  BN_bn2binpad(raw, reinterpret_cast<unsigned char*>(bytes.data()), length);
  return base64url_encode(bytes);
}

}  // namespace

Result<std::string> sign_jwt(std::string_view claims_json, const std::string& key_pem,
                             std::string_view key_id) {
  const PkeyPtr key = TRY(read_private_key(key_pem));
  const Algorithm* algorithm = find_algorithm(algorithm_for(key.get()));
  if (algorithm == nullptr) return invalid("JWT: this kind of key cannot sign");
  std::string header = "{\"alg\":\"" + std::string(algorithm->name) + "\"";
  if (!key_id.empty()) header += ",\"kid\":\"" + std::string(key_id) + "\"";
  header += "}";
  std::string token = base64url_encode(header) + "." + base64url_encode(claims_json);
  const MdCtxPtr context(EVP_MD_CTX_new());
  std::size_t length = 0;
  if (EVP_DigestSignInit(context.get(), nullptr, algorithm->digest, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &length, bytes_of(token), token.size()) != 1) {
    return internal("JWT: signing: " + take_openssl_error());
  }
  std::string signature(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                     bytes_of(token), token.size()) != 1) {
    return internal("JWT: signing: " + take_openssl_error());
  }
  signature.resize(length);
  if (algorithm->ec_bytes > 0) signature = der_to_raw(signature, algorithm->ec_bytes);
  return token + "." + base64url_encode(signature);
}

Result<JwtParts> split_jwt(std::string_view token) {
  if (token.size() > kMaxTokenBytes) return invalid("JWT: longer than 64 KiB");
  const auto parts = split(token, '.');
  if (parts.size() != 3) return invalid("JWT: expected three parts separated by dots");
  JwtParts out;
  out.header_json = TRY(base64_decode(parts[0]).at("JWT header"));
  out.claims_json = TRY(base64_decode(parts[1]).at("JWT claims"));
  out.signature = TRY(base64_decode(parts[2]).at("JWT signature"));
  out.signed_text = std::string(token.substr(0, parts[0].size() + 1 + parts[1].size()));
  return out;
}

Result<> verify_jws(const JwtParts& parts, std::string_view algorithm_name,
                    const std::string& public_key_pem) {
  const Algorithm* algorithm = find_algorithm(algorithm_name);
  if (algorithm == nullptr)
    return Error(Code::kUnauthenticated,
                 "JWT: algorithm \"" + std::string(algorithm_name) + "\" is not accepted");
  const PkeyPtr key = TRY(read_public_key(public_key_pem));
  // The key decides what may verify with it: no confusion of RSA and EC, nor of curves.
  if (EVP_PKEY_base_id(key.get()) != algorithm->key_type ||
      (algorithm->key_bits != 0 && EVP_PKEY_bits(key.get()) != algorithm->key_bits)) {
    return Error(Code::kUnauthenticated,
                 "JWT: algorithm " + std::string(algorithm_name) + " does not fit the key");
  }
  std::string signature = parts.signature;
  if (algorithm->ec_bytes > 0) {
    if (signature.size() != static_cast<std::size_t>(algorithm->ec_bytes) * 2)
      return Error(Code::kUnauthenticated, "JWT: signature has the wrong length");
    signature = raw_to_der(signature, algorithm->ec_bytes);
  }
  const MdCtxPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  bool is_valid =
      EVP_DigestVerifyInit(context.get(), &key_context, algorithm->digest, nullptr, key.get()) == 1;
  if (is_valid && algorithm->is_pss) {
    is_valid = EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  is_valid =
      is_valid && EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                   bytes_of(parts.signed_text), parts.signed_text.size()) == 1;
  ERR_clear_error();
  if (!is_valid) return Error(Code::kUnauthenticated, "JWT: signature does not verify");
  return {};
}

Result<std::string> rsa_jwk_to_pem(std::string_view n, std::string_view e) {
  const std::string modulus = TRY(base64_decode(n).at("JWK n"));
  const std::string exponent = TRY(base64_decode(e).at("JWK e"));
  if (modulus.size() < 128 || modulus.size() > 2048 || exponent.empty() || exponent.size() > 8) {
    return invalid("JWK: RSA modulus must be 1024 to 16384 bits");
  }
  const BignumPtr n_number(BN_bin2bn(bytes_of(modulus), static_cast<int>(modulus.size()), nullptr));
  const BignumPtr e_number(
      BN_bin2bn(bytes_of(exponent), static_cast<int>(exponent.size()), nullptr));
  const ParamBuildPtr build(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n_number.get());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e_number.get());
  return pem_from_params("RSA", build.get());
}

Result<std::string> ec_jwk_to_pem(std::string_view curve, std::string_view x, std::string_view y) {
  const std::string x_bytes = TRY(base64_decode(x).at("JWK x"));
  const std::string y_bytes = TRY(base64_decode(y).at("JWK y"));
  const std::size_t want = curve == "P-256"   ? 32
                           : curve == "P-384" ? 48
                           : curve == "P-521" ? 66
                                              : 0;
  if (want == 0 || x_bytes.size() != want || y_bytes.size() != want)
    return invalid("JWK: bad EC point or curve \"" + std::string(curve) + "\"");
  const std::string point = "\x04" + x_bytes + y_bytes;
  const ParamBuildPtr build(OSSL_PARAM_BLD_new());
  const std::string group(curve);
  OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, group.c_str(), 0);
  OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  return pem_from_params("EC", build.get());
}

Result<std::string> public_key_of(const std::string& key_or_certificate_pem) {
  const PkeyPtr key = TRY(read_public_key(key_or_certificate_pem));
  return public_pem(key.get());
}

Result<std::string> jwk_of(const std::string& public_key_pem, std::string_view key_id) {
  const PkeyPtr key = TRY(read_public_key(public_key_pem));
  const std::string_view algorithm = algorithm_for(key.get());
  std::string tail = "\"use\":\"sig\",\"alg\":\"" + std::string(algorithm) + "\",\"kid\":\"" +
                     std::string(key_id) + "\"}";
  if (EVP_PKEY_base_id(key.get()) == EVP_PKEY_RSA) {
    return "{\"kty\":\"RSA\",\"n\":\"" + number_param(key.get(), OSSL_PKEY_PARAM_RSA_N, 0) +
           "\",\"e\":\"" + number_param(key.get(), OSSL_PKEY_PARAM_RSA_E, 0) + "\"," + tail;
  }
  if (EVP_PKEY_base_id(key.get()) != EVP_PKEY_EC)
    return invalid("JWK: only RSA and EC keys are published");
  const int bits = EVP_PKEY_bits(key.get()), bytes = (bits + 7) / 8;
  return "{\"kty\":\"EC\",\"crv\":\"P-" + std::to_string(bits) + "\",\"x\":\"" +
         number_param(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, bytes) + "\",\"y\":\"" +
         number_param(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, bytes) + "\"," + tail;
}

Result<std::string> key_id_of(const std::string& public_key_pem) {
  const PkeyPtr key = TRY(read_public_key(public_key_pem));
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key.get(), &der);
  if (length <= 0) return internal("encoding a public key: " + take_openssl_error());
  const std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return base64url_encode(sha256(bytes));
}

}  // namespace lateen::tls
