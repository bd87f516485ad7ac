#include "ca/material_source.h"

#include <fstream>
#include <sstream>

#include "base/log.h"
#include "base/strings.h"
#include "tls/x509.h"

namespace lateen::ca {
namespace {

using data::Json;
using data::JsonObject;

constexpr const char* kSelfSigned = "istio-ca-secret";
constexpr const char* kPluggedIn = "cacerts";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string field(const Json& secret, std::string_view name) {
  return base64_decode(data::get_string(secret, {"data", name})).value_or("");
}

template <typename Read>
std::optional<Material> material_from(Read read) {
  Material material;
  material.certificate_pem = read("ca-cert.pem");
  material.key_pem = read("ca-key.pem");
  material.chain_pem = read("cert-chain.pem");
  material.root_pem = read("root-cert.pem");
  material.crl_pem = read("ca-crl.pem");
  if (material.certificate_pem.empty()) {  // a kubernetes.io/tls secret, as cert-manager writes
    material.certificate_pem = read("tls.crt");
    material.key_pem = read("tls.key");
    material.root_pem = read("ca.crt");
    material.chain_pem = material.certificate_pem;
  }
  if (material.certificate_pem.empty() || material.key_pem.empty()) return std::nullopt;
  return material;
}

Json secret_of(const Material& material, const std::string& ns) {
  return JsonObject{{"apiVersion", "v1"},
                    {"kind", "Secret"},
                    {"type", "istio.io/ca-root"},
                    {"metadata", JsonObject{{"name", kSelfSigned}, {"namespace", ns}}},
                    {"data", JsonObject{{"ca-cert.pem", base64_encode(material.certificate_pem)},
                                        {"ca-key.pem", base64_encode(material.key_pem)},
                                        {"cert-chain.pem", ""},
                                        {"key.pem", ""},
                                        {"root-cert.pem", base64_encode(material.root_pem)}}}};
}

Result<std::optional<Material>> read_secret(kube::Client& client, const std::string& ns,
                                            const std::string& name) {
  auto secret = client.get(kube::resources::secrets(), {ns, name});
  if (!secret.ok()) {
    if (secret.error().code() == Code::kNotFound) return std::optional<Material>();
    return std::move(secret).error();
  }
  return material_from([&](std::string_view key) { return field(*secret, key); });
}

}  // namespace

Result<Material> load_material(kube::Client& client, const SourceOptions& options, WallTime now) {
  const auto mounted = material_from(
      [&](const std::string& name) { return read_file(options.directory + "/" + name); });
  if (mounted) return *mounted;
  if (auto plugged = TRY(read_secret(client, options.ns, kPluggedIn))) return *std::move(plugged);
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (auto own = TRY(read_secret(client, options.ns, kSelfSigned))) return *std::move(own);
    Material made = TRY(Authority::self_signed(options.trust_domain, now));
    auto created = client.create(kube::resources::secrets(), secret_of(made, options.ns));
    if (created.ok()) {
      LOG(kInfo, "ca", "made a self-signed root in Secret {}/{}", options.ns, kSelfSigned);
      return made;
    }
    if (created.error().code() != Code::kAlreadyExists) {
      return std::move(created).error().at("creating Secret " + options.ns + "/" + kSelfSigned);
    }
  }
  return unavailable("Secret " + options.ns + "/" + kSelfSigned + " keeps coming and going");
}

Result<Material> renew_if_due(kube::Client& client, const SourceOptions& options, WallTime now) {
  Material material = TRY(load_material(client, options, now));
  const auto info = TRY(tls::parse_certificate(material.root_pem));
  const auto life = info.not_after - info.not_before;
  const bool is_due = now > info.not_after - life / 5;
  auto own = TRY(read_secret(client, options.ns, kSelfSigned));
  if (!is_due || !own || own->certificate_pem != material.certificate_pem) return material;
  // The key stays, so certificates that are out there keep verifying against both roots.
  tls::IssueOptions issue;
  issue.names.organizations = {options.trust_domain};
  issue.not_before = now - minutes(2);
  issue.not_after = now + hours(24 * 3650);
  issue.is_ca = true;
  issue.is_server = issue.is_client = false;
  material.certificate_pem = TRY(tls::self_sign(issue, material.key_pem));
  // Both roots are trusted until the older one ends: neither side of a connection need have the
  // new one first.
  const std::string older = material.root_pem;
  material.root_pem = material.certificate_pem;
  for (const auto& root : TRY(tls::parse_certificates(older))) {
    if (root.not_after > now && root.pem != material.certificate_pem) {
      material.root_pem += root.pem;
    }
  }
  Json secret = TRY(client.get(kube::resources::secrets(), {options.ns, kSelfSigned}));
  const Json renewed = secret_of(material, options.ns);
  data::set(secret, {"data"}, *data::find(renewed, {"data"}));
  TRY(client.update(kube::resources::secrets(), secret));
  LOG(kInfo, "ca", "renewed the self-signed root; it expires {}", format_rfc3339(issue.not_after));
  return material;
}

}  // namespace lateen::ca
