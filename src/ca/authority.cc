#include "ca/authority.h"

#include "tls/x509.h"

namespace lateen::ca {
namespace {

constexpr minutes kClockSkew{2};
constexpr hours kRootLife{24 * 3650};

}  // namespace

Result<Authority> Authority::make(Material material, Limits limits) {
  TRY(tls::check_key_match(material.certificate_pem, material.key_pem).at("CA certificate"));
  const tls::CertificateInfo own =
      TRY(tls::parse_certificate(material.certificate_pem).at("CA certificate"));
  if (!own.is_ca) {
    return invalid("CA certificate " + own.subject + " is not allowed to sign (CA:FALSE)",
                   Blame::kConfig);
  }
  if (material.root_pem.empty()) material.root_pem = material.certificate_pem;
  const auto roots = TRY(tls::parse_certificates(material.root_pem).at("root certificate"));
  if (roots.empty()) return invalid("root certificate: the PEM holds none", Blame::kConfig);
  Authority authority(std::move(material), limits);
  authority.ca_expiry_ = own.not_after;
  authority.root_expiry_ = roots.front().not_after;
  const bool is_root = own.pem == roots.front().pem;
  if (!is_root) {
    // The chain file begins with the signing certificate, by upstream's convention.
    std::vector<tls::CertificateInfo> chain;
    if (!authority.material_.chain_pem.empty()) {
      chain = TRY(tls::parse_certificates(authority.material_.chain_pem).at("certificate chain"));
    }
    bool has_own = false;
    for (const auto& certificate : chain) has_own |= certificate.pem == own.pem;
    if (!has_own) authority.upper_chain_.push_back(own.pem);
    for (const auto& certificate : chain) {
      if (certificate.pem != roots.front().pem) authority.upper_chain_.push_back(certificate.pem);
    }
  }
  authority.upper_chain_.push_back(authority.material_.root_pem);
  return authority;
}

Result<Material> Authority::self_signed(std::string_view trust_domain, WallTime now) {
  Material material;
  // Made while the whole mesh waits for it, and signs for every workload: RSA would cost a hundred
  // times as much of both.
  material.key_pem = TRY(tls::generate_key(tls::KeyKind::kEcP256));
  tls::IssueOptions options;
  options.names.organizations = {std::string(trust_domain)};
  options.not_before = now - kClockSkew;
  options.not_after = now + kRootLife;
  options.is_ca = true;
  options.is_server = false;
  options.is_client = false;
  material.certificate_pem = TRY(tls::self_sign(options, material.key_pem));
  material.root_pem = material.certificate_pem;
  return material;
}

seconds Authority::bounded(seconds ttl) const {
  if (ttl <= seconds(0)) return limits_.default_ttl;
  return std::min(ttl, limits_.max_ttl);
}

Result<std::vector<std::string>> Authority::sign_csr(const std::string& csr_pem,
                                                     const std::string& spiffe_id, seconds ttl,
                                                     WallTime now) const {
  const tls::Csr csr = TRY(tls::parse_csr(csr_pem).at("certificate signing request"));
  tls::IssueOptions options;
  options.names.uris = {spiffe_id};
  options.not_before = now - kClockSkew;
  options.not_after = std::min<WallTime>(now + bounded(ttl), ca_expiry_);
  options.is_san_critical = true;  // the subject is empty
  std::vector<std::string> chain;
  chain.push_back(
      TRY(tls::issue(options, csr.public_key_pem, material_.certificate_pem, material_.key_pem)));
  chain.insert(chain.end(), upper_chain_.begin(), upper_chain_.end());
  return chain;
}

Result<Authority::Issued> Authority::issue_serving(const std::vector<std::string>& dns,
                                                   const std::string& spiffe_id, seconds ttl,
                                                   WallTime now) const {
  Issued issued;
  issued.key_pem = TRY(tls::generate_key(tls::KeyKind::kEcP256));
  tls::IssueOptions options;
  options.names.dns = dns;
  if (!spiffe_id.empty()) options.names.uris = {spiffe_id};
  options.not_before = now - kClockSkew;
  options.not_after = std::min<WallTime>(now + ttl, ca_expiry_);
  options.is_san_critical = true;
  issued.not_after = options.not_after;
  issued.chain_pem =
      TRY(tls::issue(options, issued.key_pem, material_.certificate_pem, material_.key_pem));
  for (std::size_t i = 0; i + 1 < upper_chain_.size(); ++i) issued.chain_pem += upper_chain_[i];
  return issued;
}

}  // namespace lateen::ca
