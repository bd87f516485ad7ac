// Networks other than the kernel's. A loop that is a Network too (a simulation's) gets every dial()
// of its loop; a stream of such a network that was redirected on its way knows where it meant to
// go.
#pragma once

#include "net/socket.h"

namespace lateen::net {

// Implemented beside event::Loop by the loops of a simulation (tests/mesh/world.h).
class Network {
 public:
  virtual ~Network() = default;
  // The contract of net::dial().
  virtual void dial(event::Scope& scope, const Address& to, milliseconds limit,
                    event::Completion<std::unique_ptr<Stream>> done,
                    const DialOptions& options) = 0;
};

// Implemented beside Stream by connections that came by redirection.
class Redirected {
 public:
  virtual ~Redirected() = default;
  virtual const Address& original_destination() const = 0;
};

// Where a connection was going before the kernel, or a simulated network, redirected it. An error
// when nobody can tell: then it went to its local address.
Result<Address> original_destination_of(const Stream& stream);

}  // namespace lateen::net
