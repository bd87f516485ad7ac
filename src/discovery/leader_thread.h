// A thread for what only one of several replicas does: it works while its replica leads.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/function.h"

namespace lateen::discovery {

class LeaderThread {
 public:
  // Runs in the thread. Returns after how long to run again though nobody wakes it.
  using Turn = Function<std::optional<nanoseconds>()>;
  // What `turn` uses outlives it: let it be its owner's last member.
  explicit LeaderThread(Turn turn);
  ~LeaderThread();  // stops after the turn under way, and joins

  // Thread-safe. There is something to do: now, or once the replica leads.
  void wake();
  // Thread-safe. Who comes to lead has everything to do.
  void set_leading(bool is_leading);

 private:
  void run();

  Turn turn_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_leading_ = false, is_woken_ = false, is_stopped_ = false;
  std::thread thread_;
};

}  // namespace lateen::discovery
