// A token bucket that all workers share without a lock. Private to this folder.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace lateen::proxy {

// Tokens are worked out from the time of the last fill; whoever comes first after an interval
// fills. Thread-safe.
class TokenBucket {
 public:
  TokenBucket(std::uint32_t most, std::uint32_t per_fill, nanoseconds interval)
      : most_(most), per_fill_(per_fill), interval_(interval), tokens_(most) {}

  bool take(SteadyTime now, std::uint64_t count = 1) {
    refill(now.time_since_epoch().count());
    const auto wanted = static_cast<std::int64_t>(count);
    std::int64_t left = tokens_.load(std::memory_order_relaxed);
    while (left >= wanted)
      if (tokens_.compare_exchange_weak(left, left - wanted, std::memory_order_relaxed))
        return true;
    return false;
  }
  std::uint32_t most() const { return most_; }
  std::int64_t left() const {
    return std::max<std::int64_t>(0, tokens_.load(std::memory_order_relaxed));
  }
  double per_second() const {
    return static_cast<double>(per_fill_) * 1e9 / static_cast<double>(interval_.count());
  }
  // Whole seconds to the next fill.
  std::int64_t reset_seconds(SteadyTime now) const {
    const std::int64_t next = filled_.load(std::memory_order_relaxed) + interval_.count();
    const std::int64_t left_nanos = next - now.time_since_epoch().count();
    return left_nanos <= 0 ? 0 : (left_nanos + 999'999'999) / 1'000'000'000;
  }

 private:
  void refill(std::int64_t now) {
    std::int64_t last = filled_.load(std::memory_order_relaxed);
    if (last == 0) {
      filled_.compare_exchange_strong(last, now, std::memory_order_relaxed);
      return;
    }
    const std::int64_t fills = (now - last) / interval_.count();
    if (fills <= 0) return;
    if (!filled_.compare_exchange_strong(last, last + fills * interval_.count(),
                                         std::memory_order_relaxed))
      return;
    const std::int64_t room = most_;
    const std::int64_t add = fills > room ? room : std::min<std::int64_t>(room, fills * per_fill_);
    std::int64_t have = tokens_.load(std::memory_order_relaxed);
    while (!tokens_.compare_exchange_weak(have, std::min<std::int64_t>(room, have + add),
                                          std::memory_order_relaxed)) {
    }
  }
  std::uint32_t most_;
  std::uint32_t per_fill_;
  nanoseconds interval_;
  std::atomic<std::int64_t> tokens_;
  std::atomic<std::int64_t> filled_{0};
};

}  // namespace lateen::proxy
