// Loop: one thread's event loop. Two implementations: epoll (event/epoll_loop.h) and a simulated
// one with virtual time (event/sim_loop.h) for tests. All members but post(), stop() and wake-free
// reads of clock() are called on the loop's own thread. A loop never blocks outside its wait.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/function.h"
#include "base/random.h"
#include "event/scope.h"

namespace lateen::event {

class Loop;

// Fires once, on the loop, after arm()'s delay; re-arming moves it. Destroying or cancel() silences
// it.
class Timer {
 public:
  Timer(Loop& loop, Function<void()> fire) : loop_(loop), fire_(std::move(fire)) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  void arm(nanoseconds delay);
  void cancel();
  bool is_armed() const { return slot_ != kIdle; }

 private:
  friend class TimerQueue;
  static constexpr std::size_t kIdle = static_cast<std::size_t>(-1);
  Loop& loop_;
  Function<void()> fire_;
  SteadyTime due_{};
  std::uint64_t order_ = 0;  // breaks ties: first armed fires first
  std::size_t slot_ = kIdle;
};

// Binary heap of armed timers; shared by both loops.
class TimerQueue {
 public:
  void arm(Timer& timer, SteadyTime due);
  void cancel(Timer& timer);
  bool empty() const { return heap_.empty(); }
  SteadyTime next_due() const { return heap_.front()->due_; }
  // Fires all timers due at `now`; a timer armed while firing waits for the next call.
  void fire_due(SteadyTime now);

 private:
  void place(std::size_t slot, Timer* timer);
  void sift_up(std::size_t slot);
  void sift_down(std::size_t slot);
  std::vector<Timer*> heap_;
  std::uint64_t next_order_ = 0;
};

// Readiness of a file descriptor, edge-triggered: after a callback, read/write until EAGAIN.
class FdWatch {
 public:
  struct Ready {
    bool readable;
    bool writable;
    bool hung_up;  // peer closed or error; read to learn which
  };
  virtual ~FdWatch() = default;  // stops watching; does not close the descriptor
};

class Loop {
 public:
  virtual ~Loop() = default;

  // Time at the start of this turn; cheap. Monotonic.
  virtual SteadyTime now() const = 0;
  virtual const Clock& clock() const = 0;
  virtual Random& random() = 0;

  // Runs `task` on the loop's thread, in order of posting. Thread-safe. Tasks still queued when the
  // loop is destroyed are dropped unrun.
  virtual void post(Function<void()> task) = 0;
  // Runs `task` at the end of this turn (before the next wait). Loop thread only; cheaper than
  // post().
  virtual void defer(Function<void()> task) = 0;

  // Watches `fd` (non-blocking) until the returned object is destroyed.
  virtual std::unique_ptr<FdWatch> watch(int fd, Function<void(FdWatch::Ready)> on_ready) = 0;

  // Turns until stop(). stop() is thread-safe and async-signal-safe.
  virtual void run() = 0;
  virtual void stop() = 0;
  virtual bool is_loop_thread() const = 0;

  TimerQueue& timers() { return timers_; }

 protected:
  TimerQueue timers_;
};

// Runs `fire` after `delay` unless `scope` dies first.
void after(Scope& scope, Loop& loop, nanoseconds delay, Function<void()> fire);

}  // namespace lateen::event
