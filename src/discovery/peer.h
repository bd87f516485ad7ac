// Who is at the other end of a connection, and who finds out.
#pragma once

#include <string>
#include <vector>

#include "event/loop.h"

namespace lateen::discovery {

struct Identity {
  std::string ns;
  std::string service_account;
};

struct Credentials {
  std::string token;                   // bearer; empty when none was sent
  std::vector<std::string> peer_uris;  // URI SANs of a verified client certificate
};

// Implemented by the CA's authenticator (wired in bin/) and by tests. Lives on the loop.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Unauthenticated when the credentials prove nothing, Unavailable when nobody could be asked.
  virtual void authenticate(event::Scope& scope, event::Loop& loop, Credentials credentials,
                            event::Completion<Identity> done) = 0;
};

}  // namespace lateen::discovery
