// Any text where a certificate, a signing request or a key is awaited, as PEM and as what PEM
// wraps: refused or read, and what was read can be said again.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/strings.h"
#include "tls/x509.h"

namespace lateen::tls {
namespace {

// One encoding more of the same bytes, so that mutations reach the ASN.1 below the base64.
std::string pem_of(std::string_view kind, std::string_view bytes) {
  const std::string label(kind);
  const std::string text = base64_encode(bytes);
  std::string out = "-----BEGIN " + label + "-----\n";
  for (std::size_t at = 0; at < text.size(); at += 64) out += text.substr(at, 64) + "\n";
  return out + "-----END " + label + "-----\n";
}

void read_as_everything(const std::string& text) {
  if (const auto csr = parse_csr(text); csr.ok()) CHECK(!csr->public_key_pem.empty());
  if (const auto all = parse_certificates(text); all.ok()) {
    for (const auto& one : *all) {
      const auto again = parse_certificate(one.pem);
      CHECK(again.ok());
      CHECK(again->serial_hex == one.serial_hex);
    }
    (void)verify_chain(text, text, WallTime{});
  }
  (void)check_key_match(text, text);
}

void run(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read_as_everything(bytes);
  for (const auto kind : {"CERTIFICATE", "CERTIFICATE REQUEST", "PRIVATE KEY", "PUBLIC KEY"})
    read_as_everything(pem_of(kind, bytes));
}

}  // namespace
}  // namespace lateen::tls

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::tls::run(data, size);
  return 0;
}
