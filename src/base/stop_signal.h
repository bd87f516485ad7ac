// "End now", told by one thread to others that wait in different places: each leaves a way to wake
// it.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <utility>

namespace lateen {

// Thread-safe.
class StopSignal {
 public:
  // Lasts as long as somebody waits; begins before the waiting one's lock is taken and ends without
  // it.
  class Listener {
   public:
    // `wake` runs on the thread that calls set(); it may take the waiting one's lock. Not called
    // when the signal was set before: ask is_set() before waiting.
    Listener(StopSignal& signal, std::function<void()> wake)
        : signal_(signal), wake_(std::move(wake)) {
      const std::lock_guard lock(signal_.mutex_);
      signal_.listeners_.insert(this);
    }
    ~Listener() {
      const std::lock_guard lock(signal_.mutex_);
      signal_.listeners_.erase(this);
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    friend class StopSignal;
    StopSignal& signal_;
    std::function<void()> wake_;
  };

  bool is_set() const { return is_set_.load(); }
  void set() {
    const std::lock_guard lock(mutex_);
    if (is_set_.exchange(true)) return;
    for (Listener* listener : listeners_) listener->wake_();
  }

 private:
  std::atomic<bool> is_set_{false};
  std::mutex mutex_;
  std::set<Listener*> listeners_;
};

}  // namespace lateen
