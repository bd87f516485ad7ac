// Relay: connections from the machine into the cluster. The listening socket was made in the
// machine's network namespace and works here like any other; each connection is spliced to a
// service's address inside.
#pragma once

#include <memory>

#include "event/loop.h"
#include "net/socket.h"

namespace lateen::cluster::balancer {

// Lives on one loop. Destroying it stops accepting and ends its connections.
class Relay {
 public:
  // `listening` is non-blocking or made so. `to` is dialled for each connection.
  Relay(event::Loop& loop, Fd listening, net::Address to);
  ~Relay();

 private:
  class Connection;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::cluster::balancer
