// What a compiled tls::Context holds; shared by context.cc and handshake.cc.
#pragma once

#include <re2/re2.h>

#include <map>
#include <mutex>

#include "tls/context.h"
#include "tls/openssl.h"

namespace lateen::tls {

// One certificate a server may present.
struct Identity {
  X509Ptr leaf;
  std::vector<X509Ptr> chain;
  PkeyPtr key;
  std::vector<std::string> names;  // lower-case DNS names, for picking by SNI
};

// Told by the verify callback when it refuses a peer; lives in the SSL's ex_data during a
// handshake.
struct VerifyReport {
  std::string error;
};

class CompiledContext final : public Context {
 public:
  Result<> compile(Role role, const Options& options);

  SSL_CTX* ssl() const { return ctx_.get(); }
  Role role() const { return role_; }
  const Options& options() const { return options_; }
  const std::vector<Identity>& identities() const { return identities_; }
  // Empty when acceptable, else why not.
  std::string refuse_peer(X509* certificate) const;

  // Client sessions to resume, by server name. Thread-safe.
  SessionPtr session_for(const std::string& server_name) const;
  void remember_session(const std::string& server_name, SSL_SESSION* session) const;

 private:
  struct CompiledMatch {
    SanMatch match;
    std::shared_ptr<const re2::RE2> regex;
  };
  Result<> load_identities();
  Result<> load_trust();
  Result<> set_protocol();
  bool matches(const CompiledMatch& want, std::string_view value, bool is_dns) const;

  Role role_ = Role::kServer;
  Options options_;
  SslCtxPtr ctx_;
  std::vector<Identity> identities_;
  std::vector<CompiledMatch> sans_;
  std::string alpn_wire_;
  mutable std::mutex sessions_mutex_;
  mutable std::map<std::string, SessionPtr> sessions_;
};

// Length-prefixed protocol names (RFC 7301 §3.1).
std::string alpn_wire(const std::vector<std::string>& protocols);
// Index of the SSL ex_data slot of the VerifyReport, and of the server name of a client.
int report_slot();
int server_name_slot();

}  // namespace lateen::tls
