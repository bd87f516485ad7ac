// TaskPool runs blocking work (probes, hooks) on threads that come and go: one more is made when
// none is idle, up to a bound; beyond it tasks wait their turn.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/clock.h"
#include "base/function.h"

namespace lateen::cluster::node {

class TaskPool {
 public:
  explicit TaskPool(int most_threads = 128) : most_threads_(most_threads) {}
  ~TaskPool();  // drops waiting tasks, waits for running ones
  void run(Function<void()> task);

 private:
  void work();
  const int most_threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Function<void()>> tasks_;
  int threads_ = 0;
  int idle_ = 0;
  bool is_stopping_ = false;
};

}  // namespace lateen::cluster::node
