// UdpRelay: datagrams from the machine into the cluster and their answers back. Each client has a
// socket of its own inside, which goes when the client is silent for a while.
#pragma once

#include <memory>

#include "event/loop.h"
#include "net/socket.h"

namespace lateen::cluster::balancer {

// Lives on one loop.
class UdpRelay {
 public:
  // `listening` is bound on the machine's side; `to` is inside.
  UdpRelay(event::Loop& loop, Fd listening, net::Address to);
  ~UdpRelay();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::cluster::balancer
