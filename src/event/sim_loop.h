// A loop with virtual time and no descriptors: tests and simulations run on in-memory pipes
// (net/pipe.h), the same seed gives the same run.
#pragma once

#include <deque>
#include <memory>

#include "event/loop.h"

namespace lateen::event {

class SimLoop final : public Loop {
 public:
  explicit SimLoop(std::uint64_t seed = 1);

  SteadyTime now() const override { return clock_.steady(); }
  const Clock& clock() const override { return clock_; }
  ManualClock& manual_clock() { return clock_; }
  Random& random() override { return *random_; }
  void post(Function<void()> task) override { tasks_.push_back(std::move(task)); }
  void defer(Function<void()> task) override { tasks_.push_back(std::move(task)); }
  // There are no descriptors in a simulation: calling this is a bug.
  std::unique_ptr<FdWatch> watch(int fd, Function<void(FdWatch::Ready)> on_ready) override;
  void run() override;
  void stop() override { is_stopped_ = true; }
  bool is_loop_thread() const override { return true; }

  // Runs what is ready now, without moving time. At most `most_tasks`, against livelock.
  void run_ready(int most_tasks = 1'000'000);
  // Runs ready tasks and timers for `span` of virtual time.
  void run_for(nanoseconds span);

 private:
  ManualClock clock_;
  std::unique_ptr<Random> random_;
  std::deque<Function<void()>> tasks_;
  bool is_stopped_ = false;
};

}  // namespace lateen::event
