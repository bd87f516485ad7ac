// Moves bytes between two streams until both directions ended. Half-closes pass through; what one
// side does not take, the other is not read for.
#pragma once

#include <memory>

#include "base/function.h"
#include "net/stream.h"

namespace lateen::proxy {

class Relay {
 public:
  struct Events {
    Function<void(std::size_t from_left, std::size_t from_right)> on_bytes;
    // Once, from the loop; `error` tells why when it was no regular end. `is_left` says whose
    // stream broke.
    Function<void(std::string error, bool is_left)> on_end;
  };
  Relay(std::unique_ptr<net::Stream> left, std::unique_ptr<net::Stream> right, Events events);
  ~Relay();
  void start();
  const net::Stream& right() const { return *right_.stream; }

 private:
  static constexpr std::size_t kMostBuffered = 256 * 1024;
  struct Side {
    std::unique_ptr<net::Stream> stream;
    Buffer out;  // to be written to this side
    bool is_read_ended = false;
    bool is_write_shut = false;
  };
  void pump();
  // Bytes moved from `from` to `to`; false when broken.
  bool move(Side& from, Side& to, std::size_t& moved);
  void end(std::string error, bool is_left);

  Side left_;
  Side right_;
  Events events_;
  bool is_ended_ = false;
};

}  // namespace lateen::proxy
