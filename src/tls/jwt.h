// JSON Web Tokens (RFC 7519) with RS256/384/512, PS256, ES256/384/512, EdDSA; "none" and HMAC are
// refused. tls/ must not know JSON values, so claims cross as JSON text.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace lateen::tls {

// A compact JWS of `claims_json`; the algorithm follows the key (RSA: RS256, P-256: ES256).
Result<std::string> sign_jwt(std::string_view claims_json, const std::string& key_pem,
                             std::string_view key_id);

struct JwtParts {
  std::string header_json;
  std::string claims_json;
  std::string signed_text;  // header.payload
  std::string signature;    // raw
};
// Splits and decodes, verifies nothing. Bounded at 64 KiB.
Result<JwtParts> split_jwt(std::string_view token);
// Verifies the signature with a public key (PEM) under `algorithm` ("RS256", …).
Result<> verify_jws(const JwtParts& parts, std::string_view algorithm,
                    const std::string& public_key_pem);

// One JWK's key material to PEM: RSA from n,e; EC from crv,x,y (all base64url as in RFC 7518 §6).
Result<std::string> rsa_jwk_to_pem(std::string_view n, std::string_view e);
Result<std::string> ec_jwk_to_pem(std::string_view curve, std::string_view x, std::string_view y);
Result<std::string> public_key_of(const std::string& key_or_certificate_pem);
// {"kty":…} of a public key, with "kid", "use":"sig" and "alg"; and the id Kubernetes uses (SHA-256
// of the DER, base64url).
Result<std::string> jwk_of(const std::string& public_key_pem, std::string_view key_id);
Result<std::string> key_id_of(const std::string& public_key_pem);

}  // namespace lateen::tls
