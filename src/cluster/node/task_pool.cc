// The task pool.
#include "cluster/node/task_pool.h"

#include <thread>

namespace lateen::cluster::node {

namespace {
constexpr seconds kIdleLimit{10};
}

TaskPool::~TaskPool() {
  std::unique_lock lock(mutex_);
  is_stopping_ = true;
  tasks_.clear();
  changed_.notify_all();
  changed_.wait(lock, [this] { return threads_ == 0; });
}

void TaskPool::run(Function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (is_stopping_) return;
  tasks_.push_back(std::move(task));
  if (idle_ < static_cast<int>(tasks_.size()) && threads_ < most_threads_) {
    ++threads_;
    std::thread([this] { work(); }).detach();
  } else {
    changed_.notify_one();
  }
}

void TaskPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (tasks_.empty()) {
      ++idle_;
      const bool is_woken =
          changed_.wait_for(lock, kIdleLimit, [this] { return is_stopping_ || !tasks_.empty(); });
      --idle_;
      if (!is_woken || is_stopping_) break;
    }
    Function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
  --threads_;
  // Under the lock: the destructor may return, and the members go, as soon as it is released.
  changed_.notify_all();
}

}  // namespace lateen::cluster::node
