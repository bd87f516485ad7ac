// Authority: the mesh's certificate authority. Signs workload certificates and the control plane's
// own. Immutable and thread-safe once made; a rotated root is a new Authority.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace lateen::ca {

// Certificate and key of the CA, as in Secret istio-ca-secret (self-signed) or cacerts (plugged
// in).
struct Material {
  std::string certificate_pem;  // of the signing CA
  std::string key_pem;
  std::string chain_pem;  // intermediates up to, not including, the root; may be empty
  std::string root_pem;   // what peers trust; may hold several
  std::string crl_pem;    // revocation lists of all of them; may be empty
};

struct Limits {
  seconds default_ttl{24 * 3600};
  seconds max_ttl{90 * 24 * 3600};
};

class Authority {
 public:
  // Fails when the key does not fit the certificate, or the certificate is no CA's.
  static Result<Authority> make(Material material, Limits limits = {});
  // A new root that lives ten years.
  static Result<Material> self_signed(std::string_view trust_domain, WallTime now);

  // A certificate for the CSR's key and `spiffe_id`, whatever names the CSR asks for. The chain:
  // leaf, intermediates, root last, one PEM each. `ttl` zero: the default; over the maximum is cut.
  Result<std::vector<std::string>> sign_csr(const std::string& csr_pem,
                                            const std::string& spiffe_id, seconds ttl,
                                            WallTime now) const;
  struct Issued {
    std::string chain_pem;
    std::string key_pem;
    WallTime not_after;
  };
  // A serving certificate for the control plane's names.
  Result<Issued> issue_serving(const std::vector<std::string>& dns, const std::string& spiffe_id,
                               seconds ttl, WallTime now) const;

  const std::string& root_pem() const { return material_.root_pem; }
  WallTime root_expiry() const { return root_expiry_; }
  WallTime ca_expiry() const { return ca_expiry_; }  // of the certificate that signs
  const Material& material() const { return material_; }

 private:
  Authority(Material material, Limits limits) : material_(std::move(material)), limits_(limits) {}
  seconds bounded(seconds ttl) const;

  Material material_;
  Limits limits_;
  WallTime root_expiry_{};
  WallTime ca_expiry_{};
  std::vector<std::string> upper_chain_;  // intermediates, then the root
};

}  // namespace lateen::ca
