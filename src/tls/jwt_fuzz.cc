// Any text as a token, a certificate or a request: the readers of foreign credentials never crash.
#include <cstdint>
#include <string>

#include "tls/jwt.h"
#include "tls/x509.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto parts = lateen::tls::split_jwt(text))
    (void)lateen::tls::verify_jws(*parts, "RS256", text);
  (void)lateen::tls::parse_csr(text);
  (void)lateen::tls::parse_certificates(text);
  (void)lateen::tls::rsa_jwk_to_pem(text, "AQAB");
  return 0;
}
