// Keys, certificates, signing requests, in PEM. Pure functions: thread-safe. Randomness for keys
// and serials is OpenSSL's CSPRNG.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace lateen::tls {

enum class KeyKind : unsigned char { kEcP256, kEcP384, kRsa2048, kRsa4096 };
Result<std::string> generate_key(KeyKind kind);  // PKCS#8 PEM

struct Names {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> uris;  // SPIFFE ids go here
  std::vector<std::string> dns;
  std::vector<std::string> ips;
};
Result<std::string> make_csr(const std::string& key_pem, const Names& names);
struct Csr {
  Names names;
  std::string public_key_pem;
};
Result<Csr> parse_csr(const std::string& pem);  // verifies its self-signature

struct IssueOptions {
  Names names;
  WallTime not_before;
  WallTime not_after;
  bool is_ca = false;
  bool is_server = true;  // EKU serverAuth
  bool is_client = true;  // EKU clientAuth
  bool is_san_critical = false;
};
// Signs a certificate for `public_key_pem` (or for a private key's public half).
Result<std::string> issue(const IssueOptions& options, const std::string& public_key_pem,
                          const std::string& ca_certificate_pem, const std::string& ca_key_pem);
Result<std::string> self_sign(const IssueOptions& options, const std::string& key_pem);

struct CertificateInfo {
  Names names;
  std::string subject;  // RFC 2253
  std::string issuer;
  std::string serial_decimal;
  std::string serial_hex;  // lower case, no colons
  WallTime not_before;
  WallTime not_after;
  bool is_ca = false;
  std::string pem;
};
Result<CertificateInfo> parse_certificate(const std::string& pem);  // the first in `pem`
Result<std::vector<CertificateInfo>> parse_certificates(const std::string& pem);  // all
// Ok when `leaf_pem` (with intermediates following it) chains to one of `roots_pem` at `now`.
Result<> verify_chain(const std::string& leaf_pem, const std::string& roots_pem, WallTime now);
// Ok when the private key belongs to the certificate.
Result<> check_key_match(const std::string& certificate_pem, const std::string& key_pem);

std::string sha256(std::string_view bytes);  // 32 raw bytes
std::string hmac_sha256(std::string_view key, std::string_view bytes);
std::string random_bytes(std::size_t count);  // CSPRNG

}  // namespace lateen::tls
