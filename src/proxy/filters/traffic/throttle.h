// Bodies that flow at most at some rate: bytes wait for tokens, and with them their sender.
#pragma once

#include <memory>
#include <mutex>

#include "event/loop.h"
#include "http/message.h"

namespace lateen::proxy {

// Bytes that may pass now. Refilled by time in small steps; at most one second's worth is kept.
// Thread-safe: streams of all workers may share one.
class ByteBucket {
 public:
  ByteBucket(std::uint64_t bytes_per_second, nanoseconds step);
  // How many of `wanted` may pass.
  std::size_t take(std::size_t wanted, SteadyTime now);
  nanoseconds step() const { return step_; }

 private:
  std::uint64_t per_second_;
  nanoseconds step_;
  std::mutex mutex_;
  double tokens_;
  SteadyTime filled_{};
};

http::Body throttle(event::Loop& loop, http::Body body, std::shared_ptr<ByteBucket> bucket);

}  // namespace lateen::proxy
