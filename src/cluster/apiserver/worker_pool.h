// Threads for request handlers. Handlers may block (webhooks), so the pool grows up to a bound
// while work waits.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/function.h"

namespace lateen::cluster::apiserver {

class WorkerPool {
 public:
  static constexpr std::size_t kMostThreads = 48;
  static constexpr std::size_t kMostQueued = 4096;
  ~WorkerPool() { stop(); }
  // False when the queue is full or the pool is stopping.
  bool submit(Function<void()> task);
  // Runs what is queued, then joins.
  void stop();

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Function<void()>> tasks_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool is_stopping_ = false;
};

}  // namespace lateen::cluster::apiserver
