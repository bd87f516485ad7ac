// Sockets on a loop: listening, dialing, and plain streams over a connected descriptor.
#pragma once

#include <memory>

#include "base/fd.h"
#include "event/loop.h"
#include "net/address.h"
#include "net/stream.h"

namespace lateen::net {

// A stream over a connected, non-blocking socket; takes ownership of `fd`. TCP_NODELAY is set.
std::unique_ptr<Stream> make_socket_stream(event::Loop& loop, Fd fd);

struct ListenOptions {
  int backlog = 4096;
  bool is_reuse_port = false;   // SO_REUSEPORT: one socket per worker
  bool is_transparent = false;  // IP_TRANSPARENT (TPROXY)
  bool is_v6_only = true;
  int unix_mode = 0666;  // permissions of a Unix socket's path
};
// Binds and listens; a stale Unix path is replaced. The error names the address and says who may
// hold it.
Result<Fd> listen_on(const Address& address, const ListenOptions& options = {});
Result<Address> local_address_of(int fd);
// The address that a redirected connection was going to (SO_ORIGINAL_DST); the local address when
// not redirected.
Result<Address> original_destination_of(int fd);

// Accepts on one loop. Destroying it closes the listening socket.
class Listener {
 public:
  // `on_accept` receives each connection; `fd` listens already. Accept errors for want of
  // descriptors pause accepting for 100 ms and are logged once.
  Listener(event::Loop& loop, Fd fd, Function<void(std::unique_ptr<Stream>)> on_accept);
  ~Listener();
  const Address& address() const { return address_; }
  int fd() const { return fd_.get(); }
  void pause();
  void resume();

 private:
  void accept_ready();
  event::Loop& loop_;
  Fd fd_;
  Address address_;
  Function<void(std::unique_ptr<Stream>)> on_accept_;
  bool is_paused_ = false;
  event::Timer retry_;
  std::unique_ptr<event::FdWatch> watch_;
};

struct DialOptions {
  std::optional<Address> source;  // bind before connecting
  std::uint32_t mark = 0;         // SO_MARK when not 0
};
// Connects within `limit`. Fails with Unavailable/Upstream when refused, DeadlineExceeded when
// slow. Destroying `scope` closes the half-open socket and `done` never runs.
void dial(event::Scope& scope, event::Loop& loop, const Address& to, milliseconds limit,
          event::Completion<std::unique_ptr<Stream>> done, const DialOptions& options = {});

}  // namespace lateen::net
