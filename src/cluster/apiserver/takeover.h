// What happens to a connection after a 101: someone reads the client's bytes and writes its own.
// Lives on the network loop.
#pragma once

#include "event/loop.h"
#include "http/message.h"

namespace lateen::cluster::apiserver {

class Takeover {
 public:
  virtual ~Takeover() = default;
  // Called once, on the loop. The returned body is what goes to the client; destroying it ends
  // everything.
  virtual http::Body start(event::Loop& loop, http::Body from_client) = 0;
  // Sent with the 101.
  virtual std::string protocol() const = 0;  // Upgrade token
  virtual std::vector<std::pair<std::string, std::string>> headers() const { return {}; }
};

}  // namespace lateen::cluster::apiserver
