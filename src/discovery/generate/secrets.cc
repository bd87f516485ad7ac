#include "discovery/generate/secrets.h"

#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace lateen::discovery {
namespace {

constexpr std::string_view kCaSuffix = "-cacert";

struct SecretName {
  std::string ns;
  std::string name;
  bool is_ca = false;
};

std::optional<SecretName> parse_secret_name(std::string_view text, std::string_view proxy_ns) {
  SecretName out;
  constexpr std::string_view kPlain = "kubernetes://";
  constexpr std::string_view kGateway = "kubernetes-gateway://";
  if (text.starts_with(kPlain)) {
    text.remove_prefix(kPlain.size());
  } else if (text.starts_with(kGateway)) {
    text.remove_prefix(kGateway.size());
  } else {
    return std::nullopt;
  }
  const auto parts = split_once(text, "/");
  out.ns = parts ? parts->first : proxy_ns;
  out.name = parts ? parts->second : text;
  if (out.name.ends_with(kCaSuffix)) {
    out.is_ca = true;
    out.name.resize(out.name.size() - kCaSuffix.size());
  }
  return out;
}

}  // namespace

bool make_secret(const View& view, std::string_view name,
                 envoy::extensions::transport_sockets::tls::v3::Secret& out) {
  const auto wanted = parse_secret_name(name, view.proxy.ns);
  if (!wanted || wanted->ns != view.proxy.ns || !view.proxy.is_gateway()) return false;
  if (!view.proxy.is_verified) return false;  // never over the plain-text port
  out.set_name(std::string(name));
  if (wanted->is_ca) {
    // A secret of its own for the CA, or the one with the certificate.
    TlsSecretPtr secret = view.mesh.find_secret(wanted->ns, wanted->name + std::string(kCaSuffix));
    if (secret == nullptr || secret->ca_pem.empty()) {
      secret = view.mesh.find_secret(wanted->ns, wanted->name);
    }
    if (secret == nullptr || secret->ca_pem.empty()) return false;
    out.mutable_validation_context()->mutable_trusted_ca()->set_inline_bytes(secret->ca_pem);
    if (!secret->crl_pem.empty()) {
      out.mutable_validation_context()->mutable_crl()->set_inline_bytes(secret->crl_pem);
    }
    return true;
  }
  const TlsSecretPtr secret = view.mesh.find_secret(wanted->ns, wanted->name);
  if (secret == nullptr || secret->certificate_pem.empty() || secret->key_pem.empty()) return false;
  auto& certificate = *out.mutable_tls_certificate();
  certificate.mutable_certificate_chain()->set_inline_bytes(secret->certificate_pem);
  certificate.mutable_private_key()->set_inline_bytes(secret->key_pem);
  return true;
}

}  // namespace lateen::discovery
