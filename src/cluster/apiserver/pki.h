// The cluster's keys: its CA, the key that signs ServiceAccount tokens, the server's own
// certificate, client certificates. Kept as PEM files of mode 0600 in pki/ of the data directory.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace lateen::cluster::apiserver {

class Pki {
 public:
  // Makes what is missing in `directory`.
  static Result<Pki> open(const std::string& directory, const std::vector<std::string>& sans,
                          const Clock& clock);

  const std::string& ca_pem() const { return ca_pem_; }
  const std::string& server_chain_pem() const { return server_pem_; }
  const std::string& server_key_pem() const { return server_key_; }
  const std::string& token_key_pem() const { return token_key_; }
  const std::string& token_public_pem() const { return token_public_; }
  const std::string& token_key_id() const { return token_key_id_; }

  struct ClientCertificate {
    std::string certificate_pem;
    std::string key_pem;
  };
  Result<ClientCertificate> issue_client(const std::string& user,
                                         const std::vector<std::string>& groups,
                                         const Clock& clock) const;

 private:
  std::string ca_pem_;
  std::string ca_key_;
  std::string server_pem_;
  std::string server_key_;
  std::string token_key_;
  std::string token_public_;
  std::string token_key_id_;
};

}  // namespace lateen::cluster::apiserver
