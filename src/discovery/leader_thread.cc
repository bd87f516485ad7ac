#include "discovery/leader_thread.h"

namespace lateen::discovery {

LeaderThread::LeaderThread(Turn turn) : turn_(std::move(turn)), thread_([this] { run(); }) {}

LeaderThread::~LeaderThread() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LeaderThread::wake() {
  {
    const std::lock_guard lock(mutex_);
    is_woken_ = true;
  }
  changed_.notify_all();
}

void LeaderThread::set_leading(bool is_leading) {
  {
    const std::lock_guard lock(mutex_);
    is_leading_ = is_leading;
    is_woken_ = true;
  }
  changed_.notify_all();
}

void LeaderThread::run() {
  std::unique_lock lock(mutex_);
  std::optional<nanoseconds> rest;
  const auto has_cause = [this] { return is_stopped_ || (is_leading_ && is_woken_); };
  while (true) {
    if (rest) changed_.wait_for(lock, *rest, has_cause);
    else changed_.wait(lock, has_cause);
    if (is_stopped_) return;
    rest.reset();
    if (!is_leading_) continue;
    is_woken_ = false;
    lock.unlock();
    rest = turn_();
    lock.lock();
  }
}

}  // namespace lateen::discovery
