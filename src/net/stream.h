// Stream: a connected, non-blocking byte stream. Implementations: TCP/Unix sockets (net/socket.h),
// TLS over another stream (tls/stream.h), in-memory pipes for tests (net/pipe.h). Lives on one
// loop's thread.
//
// Readiness is edge-triggered: after on_ready fires, the owner reads until kAgain and writes what
// it has. on_ready never fires inside a call of the owner's; the owner may destroy the stream from
// it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/function.h"
#include "base/result.h"
#include "net/address.h"

namespace lateen::net {

enum class IoState : unsigned char {
  kOk,     // `bytes` > 0 were moved
  kAgain,  // would block: wait for on_ready
  kEof,    // read only: the peer sent all it will
  kError,  // the stream is broken; see last_error()
};
struct Io {
  IoState state;
  std::size_t bytes = 0;
};

// What a TLS stream learnt in its handshake. Views stay valid as long as the stream.
struct TlsInfo {
  std::string server_name;  // SNI as sent, lower case; empty when absent
  std::string alpn;         // negotiated; empty when none
  std::string version;      // "TLSv1.3"
  std::string cipher;
  bool has_peer_certificate = false;
  std::vector<std::string> peer_uri_sans;  // of the verified peer certificate, in order
  std::vector<std::string> peer_dns_sans;
  std::string peer_subject;             // RFC 2253
  std::string peer_certificate_pem;     // leaf
  std::string peer_fingerprint_sha256;  // hex of the DER, lower case
  std::vector<std::string> local_uri_sans;
};

class Stream {
 public:
  virtual ~Stream() = default;  // closes at once; unsent bytes of the kernel are still sent

  // Reads up to `most_bytes` into the end of `into`.
  virtual Io read(Buffer& into, std::size_t most_bytes) = 0;
  // Writes from the front of `from`, dropping what was written; repeats until empty or kAgain. kOk
  // means all.
  virtual Io write(Buffer& from) = 0;
  // No more writes: sends FIN (or close_notify and FIN) once what was accepted is out.
  virtual void shutdown_write() = 0;
  // Closes with RST, for aborts (SO_LINGER 0). The stream is unusable after.
  virtual void reset() = 0;

  // `readable`/`writable` are hints; either may be spurious. Replaces the earlier callback.
  virtual void on_ready(Function<void(bool readable, bool writable)> callback) = 0;

  virtual const Address& local_address() const = 0;
  virtual const Address& remote_address() const = 0;
  virtual const TlsInfo* tls() const { return nullptr; }
  // The descriptor beneath, or -1; for SO_ORIGINAL_DST and hand-over only.
  virtual int fd() const { return -1; }
  // Says why after kError: "connection reset by peer", "TLS alert: certificate expired", …
  virtual std::string last_error() const = 0;
};

}  // namespace lateen::net
