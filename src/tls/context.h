// TLS configuration compiled once, then shared by all connections: immutable and thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "event/loop.h"
#include "net/stream.h"

namespace lateen::tls {

struct Certificate {
  std::string chain_pem;  // leaf first
  std::string key_pem;
};

enum class Version : unsigned char { kAuto, kTls10, kTls11, kTls12, kTls13 };

// One name a peer certificate may carry. Empty lists accept any name.
struct SanMatch {
  enum class Kind : unsigned char { kExact, kPrefix, kSuffix, kContains, kRegex };
  enum class Type : unsigned char { kAny, kUri, kDns, kIp, kEmail };
  Kind kind = Kind::kExact;
  Type type = Type::kAny;
  std::string value;
  bool is_case_ignored = false;
};

struct Options {
  std::vector<Certificate> certificates;  // a server picks by SNI, then the first
  std::string trusted_ca_pem;  // empty: peers are not verified (client) / not asked (server)
  std::string crl_pem;
  bool is_peer_required = false;         // server: fail without a client certificate
  bool is_untrusted_accepted = false;    // client: insecureSkipVerify
  std::vector<SanMatch> peer_sans;       // one must match
  std::vector<std::string> spki_sha256;  // base64; one must match when not empty
  std::vector<std::string> cert_sha256;  // hex, colons allowed
  std::vector<std::string> alpn;         // in order of preference
  Version min_version = Version::kAuto;  // server and client: TLS 1.2
  Version max_version = Version::kAuto;
  std::string cipher_suites;  // OpenSSL's colon list, TLS <= 1.2
  std::string curves;
  bool has_session_resumption = true;
};

class Context {
 public:
  enum class Role : unsigned char { kServer, kClient };
  virtual ~Context() = default;
  // Compiles `options`; the error names the part: "private key does not match the certificate
  // CN=…".
  static Result<std::shared_ptr<const Context>> make(Role role, const Options& options);
};

// Handshakes over `raw` within `limit`. The completed stream carries TlsInfo. Errors name both ends
// and the reason ("peer certificate expired 2026-01-02 …", "no SAN matches; peer has spiffe://…").
// Destroying `scope` closes the connection.
void accept(event::Scope& scope, event::Loop& loop, std::shared_ptr<const Context> context,
            std::unique_ptr<net::Stream> raw, milliseconds limit,
            event::Completion<std::unique_ptr<net::Stream>> done);
// `server_name` goes into SNI (none when empty) and picks the session to resume; `alpn` replaces
// the context's when not empty.
void connect(event::Scope& scope, event::Loop& loop, std::shared_ptr<const Context> context,
             std::unique_ptr<net::Stream> raw, const std::string& server_name,
             const std::vector<std::string>& alpn, milliseconds limit,
             event::Completion<std::unique_ptr<net::Stream>> done);

}  // namespace lateen::tls
