// See worker_pool.h.
#include "cluster/apiserver/worker_pool.h"

namespace lateen::cluster::apiserver {

bool WorkerPool::submit(Function<void()> task) {
  std::lock_guard lock(mutex_);
  if (is_stopping_ || tasks_.size() >= kMostQueued) return false;
  tasks_.push_back(std::move(task));
  if (idle_ < tasks_.size() && threads_.size() < kMostThreads)
    threads_.emplace_back([this] { work(); });
  changed_.notify_one();
  return true;
}

void WorkerPool::stop() {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
    threads.swap(threads_);
  }
  changed_.notify_all();
  for (auto& thread : threads) thread.join();
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    changed_.wait(lock, [&] { return is_stopping_ || !tasks_.empty(); });
    --idle_;
    if (tasks_.empty()) return;
    Function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace lateen::cluster::apiserver
