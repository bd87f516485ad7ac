// Virtual time: run what is ready, then jump to the next timer.
#include "event/sim_loop.h"

namespace lateen::event {

SimLoop::SimLoop(std::uint64_t seed) : random_(seeded_random(seed)) {}

std::unique_ptr<FdWatch> SimLoop::watch(int, Function<void(FdWatch::Ready)>) {
  CHECK(!"a simulated loop has no descriptors");
  return nullptr;
}

void SimLoop::run_ready(int most_tasks) {
  timers_.fire_due(now());
  while (!tasks_.empty() && most_tasks-- > 0) {
    Function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }
  CHECK(most_tasks > 0);
}

void SimLoop::run_for(nanoseconds span) {
  const SteadyTime end = now() + span;
  run_ready();
  while (!timers_.empty() && timers_.next_due() <= end) {
    if (timers_.next_due() > now()) clock_.advance(timers_.next_due() - now());
    run_ready();
  }
  if (end > now()) clock_.advance(end - now());
  run_ready();
}

void SimLoop::run() {
  is_stopped_ = false;
  while (!is_stopped_) {
    run_ready();
    if (is_stopped_ || timers_.empty()) return;
    if (timers_.next_due() > now()) clock_.advance(timers_.next_due() - now());
  }
}

}  // namespace lateen::event
