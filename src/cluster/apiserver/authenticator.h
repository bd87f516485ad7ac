// Who is asking: client certificates of the cluster's CA, bearer tokens of ServiceAccounts, or
// nobody. Issues and reviews those tokens too (pkg/serviceaccount).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/apiserver/call.h"
#include "cluster/apiserver/pki.h"
#include "cluster/apiserver/store.h"
#include "net/stream.h"

namespace lateen::cluster::apiserver {

struct TokenSpec {
  std::string ns;
  std::string account;
  std::string account_uid;
  std::vector<std::string> audiences;  // empty: the API server's own
  seconds lifetime{3600};
  std::string bound_kind;  // Pod, Secret, Node; empty: not bound
  std::string bound_name;
  std::string bound_uid;
  std::string node_name;  // of the bound pod
};
struct IssuedToken {
  std::string token;
  WallTime expires;
  std::vector<std::string> audiences;
};

// Thread-safe.
class Authenticator {
 public:
  // All outlive the authenticator.
  Authenticator(const Pki& pki, const Store& store, const Clock& clock, SharedRandom& random,
                std::string domain);

  // Neither certificate nor token: system:anonymous. A bad token: 401.
  Outcome<User> authenticate(const net::TlsInfo* tls, std::string_view authorization);
  Result<IssuedToken> issue(const TokenSpec& spec);
  // The user of a token and which of `audiences` (empty: our own) it is for. The error says what is
  // wrong with it.
  struct Review {
    User user;
    std::vector<std::string> audiences;
  };
  Result<Review> review(std::string_view token, const std::vector<std::string>& audiences) const;
  const std::string& issuer() const { return issuer_; }
  Json openid_configuration() const;
  Json jwks() const;

 private:
  std::optional<User> user_of(const net::TlsInfo& tls);
  const Pki& pki_;
  const Store& store_;
  const Clock& clock_;
  SharedRandom& random_;
  std::string issuer_;
  std::mutex mutex_;
  std::map<std::string, User> by_fingerprint_;  // bounded; client certificates seen
};

}  // namespace lateen::cluster::apiserver
