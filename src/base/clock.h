// Time comes in from outside: only bin/ and tests make a Clock.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lateen {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, nanoseconds>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, nanoseconds>;

// Thread-safe. `steady` never jumps (time-outs); `wall` is UTC and may jump (certificates, stamps).
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime steady() const = 0;
  virtual WallTime wall() const = 0;
};

// The machine's clocks.
class SystemClock final : public Clock {
 public:
  SteadyTime steady() const override;
  WallTime wall() const override;
};

// Stands still until told; for tests and simulation.
class ManualClock final : public Clock {
 public:
  SteadyTime steady() const override { return steady_; }
  WallTime wall() const override { return wall_; }
  void advance(nanoseconds by) {
    steady_ += by;
    wall_ += by;
  }
  void set_wall(WallTime to) { wall_ = to; }

 private:
  SteadyTime steady_{hours(1)};
  WallTime wall_{seconds(1'700'000'000)};
};

// RFC 3339 in UTC. `digits` of the fraction: 0 ("2026-01-02T03:04:05Z"), 3, 6 or 9.
std::string format_rfc3339(WallTime time, int digits = 0);
Result<WallTime> parse_rfc3339(std::string_view text);

// Go's duration syntax ("1h30m", "250ms", "1.5s", "0"), as all Kubernetes and Istio APIs use it.
Result<nanoseconds> parse_duration(std::string_view text);
std::string format_duration(nanoseconds duration);

// kubectl's age column: "45s", "3m10s", "2h5m", "3d4h", "412d" (k8s.io/apimachinery HumanDuration).
std::string human_duration(nanoseconds duration);

}  // namespace lateen
