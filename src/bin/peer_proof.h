// Who is at the other end of a discovery stream: a certificate of the mesh's says it, else the API
// server of a token.
#pragma once

#include "ca/token_reviewer.h"
#include "discovery/peer.h"

namespace lateen::bin {

class PeerProof final : public discovery::Authenticator {
 public:
  explicit PeerProof(ca::TokenReviewer& reviewer) : reviewer_(reviewer) {}
  void authenticate(event::Scope& scope, event::Loop& loop, discovery::Credentials credentials,
                    event::Completion<discovery::Identity> done) override {
    for (const std::string& uri : credentials.peer_uris) {
      auto caller = ca::parse_spiffe(uri);
      if (!caller.ok()) continue;
      event::after(scope, loop, nanoseconds(0),
                   [done = std::move(done), caller = *std::move(caller)]() mutable {
                     done(discovery::Identity{caller.ns, caller.service_account});
                   });
      return;
    }
    reviewer_.review(scope, loop, std::move(credentials.token),
                     [done = std::move(done)](Result<ca::Caller> caller) {
                       if (!caller.ok()) return done(std::move(caller).error());
                       done(discovery::Identity{caller->ns, caller->service_account});
                     });
  }

 private:
  ca::TokenReviewer& reviewer_;
};

}  // namespace lateen::bin
