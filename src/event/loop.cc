// Timers: a binary heap with back-pointers so that cancel is O(log n).
#include "event/loop.h"

namespace lateen::event {

void Timer::arm(nanoseconds delay) {
  loop_.timers().arm(*this, loop_.now() + (delay.count() > 0 ? delay : nanoseconds(0)));
}
void Timer::cancel() {
  if (slot_ != kIdle) loop_.timers().cancel(*this);
}

void TimerQueue::arm(Timer& timer, SteadyTime due) {
  if (timer.slot_ != Timer::kIdle) cancel(timer);
  timer.due_ = due;
  timer.order_ = next_order_++;
  heap_.push_back(&timer);
  timer.slot_ = heap_.size() - 1;
  sift_up(timer.slot_);
}

void TimerQueue::cancel(Timer& timer) {
  const std::size_t slot = timer.slot_;
  CHECK(slot < heap_.size() && heap_[slot] == &timer);
  timer.slot_ = Timer::kIdle;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  place(slot, last);
  sift_up(slot);
  sift_down(last->slot_);
}

void TimerQueue::fire_due(SteadyTime now) {
  const std::uint64_t until = next_order_;
  while (!heap_.empty()) {
    Timer* timer = heap_.front();
    if (timer->due_ > now || timer->order_ >= until) return;
    cancel(*timer);
    timer->fire_();  // May destroy the timer.
  }
}

void TimerQueue::place(std::size_t slot, Timer* timer) {
  heap_[slot] = timer;
  timer->slot_ = slot;
}

static bool before(SteadyTime a, std::uint64_t a_order, SteadyTime b, std::uint64_t b_order) {
  return a != b ? a < b : a_order < b_order;
}

void TimerQueue::sift_up(std::size_t slot) {
  Timer* timer = heap_[slot];
  while (slot > 0) {
    const std::size_t parent = (slot - 1) / 2;
    if (!before(timer->due_, timer->order_, heap_[parent]->due_, heap_[parent]->order_)) break;
    place(slot, heap_[parent]);
    slot = parent;
  }
  place(slot, timer);
}

void TimerQueue::sift_down(std::size_t slot) {
  Timer* timer = heap_[slot];
  for (;;) {
    std::size_t child = 2 * slot + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(heap_[child + 1]->due_, heap_[child + 1]->order_,
                                           heap_[child]->due_, heap_[child]->order_)) {
      ++child;
    }
    if (!before(heap_[child]->due_, heap_[child]->order_, timer->due_, timer->order_)) break;
    place(slot, heap_[child]);
    slot = child;
  }
  place(slot, timer);
}

namespace {
class Delay final : public Scope::Operation {
 public:
  Delay(Scope& scope, Loop& loop, nanoseconds delay, Function<void()> fire)
      : Operation(scope), fire_(std::move(fire)), timer_(loop, [this] { fire_now(); }) {
    timer_.arm(delay);
  }

 private:
  void fire_now() {
    Function<void()> fire = std::move(fire_);
    delete this;
    fire();
  }
  void cancel() override { delete this; }

  Function<void()> fire_;
  Timer timer_;
};
}  // namespace

void after(Scope& scope, Loop& loop, nanoseconds delay, Function<void()> fire) {
  new Delay(scope, loop, delay, std::move(fire));
}

}  // namespace lateen::event
