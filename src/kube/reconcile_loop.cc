// The queue of keys and the threads that work on them.
#include "base/log.h"
#include "kube/informer.h"

namespace lateen::kube {
namespace {

constexpr milliseconds kFirstRetry{5};
constexpr milliseconds kMaxRetry{30'000};

milliseconds back_off(int failures) {
  return failures > 12 ? kMaxRetry : std::min(kFirstRetry * (1 << failures), kMaxRetry);
}

}  // namespace

void WorkQueue::add(Key key) {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_) return;
    if (busy_.contains(key)) {
      again_.insert(std::move(key));
      return;
    }
    if (!waiting_.insert(key).second) return;
    ready_.push_back(std::move(key));
  }
  changed_.notify_one();
}

void WorkQueue::add_after(Key key, milliseconds delay) {
  if (delay <= milliseconds(0)) return add(std::move(key));
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_) return;
    // One pending timer a key: the earliest.
    const auto due = std::chrono::steady_clock::now() + delay;
    for (auto it = delayed_.begin(); it != delayed_.end(); ++it) {
      if (it->key != key) continue;
      if (it->due <= due) return;
      delayed_.erase(it);
      break;
    }
    delayed_.insert({due, std::move(key)});
  }
  changed_.notify_one();
}

std::optional<Key> WorkQueue::take() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (is_stopped_) return std::nullopt;
    const auto now = std::chrono::steady_clock::now();
    while (!delayed_.empty() && delayed_.begin()->due <= now) {
      Key key = delayed_.begin()->key;
      delayed_.erase(delayed_.begin());
      if (busy_.contains(key)) again_.insert(std::move(key));
      else if (waiting_.insert(key).second) ready_.push_back(std::move(key));
    }
    if (!ready_.empty()) {
      Key key = std::move(ready_.front());
      ready_.pop_front();
      waiting_.erase(key);
      busy_.insert(key);
      if (!ready_.empty()) changed_.notify_one();
      return key;
    }
    if (delayed_.empty()) changed_.wait(lock);
    else changed_.wait_until(lock, delayed_.begin()->due);
  }
}

void WorkQueue::finish(const Key& key) {
  {
    const std::lock_guard lock(mutex_);
    failures_.erase(key);
    busy_.erase(key);
    if (again_.erase(key) > 0 && waiting_.insert(key).second) ready_.push_back(key);
  }
  changed_.notify_one();
}

void WorkQueue::fail(const Key& key) {
  milliseconds delay;
  {
    const std::lock_guard lock(mutex_);
    delay = back_off(failures_[key]++);
    busy_.erase(key);
    // A change that came meanwhile waits for the back-off too: it will find the newest state
    // anyway.
    again_.erase(key);
  }
  add_after(key, delay);
}

void WorkQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
}

ReconcileLoop::ReconcileLoop(std::string name, int workers,
                             Function<Result<Requeue>(const Key&)> reconcile)
    : name_(std::move(name)), workers_(workers), reconcile_(std::move(reconcile)) {}

ReconcileLoop::~ReconcileLoop() { stop(); }

void ReconcileLoop::stop() {
  queue_.stop();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void ReconcileLoop::start() {
  for (int i = 0; i < workers_; ++i) threads_.emplace_back([this] { work(); });
}

void ReconcileLoop::work() {
  while (auto key = queue_.take()) {
    auto done = reconcile_(*key);
    if (done) {
      queue_.finish(*key);
      if (done->delay) queue_.add_after(*key, *done->delay);
      continue;
    }
    // Someone else wrote first, the object went away, or its namespace is going: expected, the
    // retry settles it.
    const Code code = done.error().code();
    const bool is_ending = code == Code::kPermissionDenied &&
                           done.error().message().find("being terminated") != std::string::npos;
    const bool is_race = code == Code::kAborted || code == Code::kNotFound || is_ending;
    if (is_race)
      LOG(kDebug, name_, "{}: {}; trying again", key->to_string(), done.error().message());
    else LOG(kWarn, name_, "{}: {}; trying again", key->to_string(), done.error().message());
    queue_.fail(*key);
  }
}

}  // namespace lateen::kube
