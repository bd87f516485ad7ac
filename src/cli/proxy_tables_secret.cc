// Rows for secrets: certificates are read, keys never shown.
#include "base/strings.h"
#include "cli/proxy_tables.h"
#include "cli/session.h"
#include "tls/x509.h"

namespace lateen::cli {
namespace {

std::vector<std::string> row_of(const Json& entry, std::string_view state, WallTime now) {
  const std::string name(text_at(entry, {"name"}));
  const Json* secret = walk(entry, {"secret"});
  if (secret == nullptr) return {name, "-", std::string(state), "false", "-", "-", "-"};
  const bool is_chain = walk(*secret, {"tls_certificate"}) != nullptr;
  const std::string kind = is_chain ? "Cert Chain" : "CA";
  const Json* source = is_chain ? walk(*secret, {"tls_certificate", "certificate_chain"})
                                : walk(*secret, {"validation_context", "trusted_ca"});
  std::string pem;
  if (source != nullptr) {
    pem = text_at(*source, {"inline_string"});
    if (pem.empty()) {
      if (auto bytes = base64_decode(text_at(*source, {"inline_bytes"}))) pem = *std::move(bytes);
    }
  }
  const auto certificate = tls::parse_certificate(pem);
  if (!certificate) return {name, kind, std::string(state), "false", "-", "-", "-"};
  const bool is_valid =
      certificate.value().not_before <= now && now < certificate.value().not_after;
  return {name,
          kind,
          std::string(state),
          is_valid ? "true" : "false",
          certificate.value().serial_hex,
          format_rfc3339(certificate.value().not_after),
          format_rfc3339(certificate.value().not_before)};
}

}  // namespace

std::string secret_table(const Json& dump) {
  const Json* found = section(dump, "SecretsConfigDump");
  std::vector<std::vector<std::string>> rows;
  const WallTime now = SystemClock().wall();
  if (found != nullptr) {
    for (const Json& each : list_at(*found, {"dynamic_active_secrets"}))
      rows.push_back(row_of(each, "ACTIVE", now));
    for (const Json& each : list_at(*found, {"dynamic_warming_secrets"}))
      rows.push_back(row_of(each, "WARMING", now));
    for (const Json& each : list_at(*found, {"static_secrets"}))
      rows.push_back(row_of(each, "ACTIVE", now));
  }
  if (rows.empty()) return "No active or warming secrets found.\n";
  rows.insert(rows.begin(), {"RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER",
                             "NOT AFTER", "NOT BEFORE"});
  return format_table(rows);
}

}  // namespace lateen::cli
