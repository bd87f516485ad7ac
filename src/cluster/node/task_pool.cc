// The task pool. Threads share its state, so that one that is stuck in a task may outlive the pool.
#include "cluster/node/task_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace lateen::cluster::node {

namespace {
constexpr seconds kIdleLimit{10};
constexpr seconds kGoodbyeLimit{3};
}  // namespace

struct TaskPool::State {
  explicit State(int most) : most_threads(most) {}
  const int most_threads;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Function<void()>> tasks;
  int threads = 0;
  int idle = 0;
  bool is_stopping = false;
};

TaskPool::TaskPool(int most_threads) : state_(std::make_shared<State>(most_threads)) {}

TaskPool::~TaskPool() {
  std::deque<Function<void()>> dropped;
  std::unique_lock lock(state_->mutex);
  state_->is_stopping = true;
  dropped.swap(state_->tasks);
  state_->changed.notify_all();
  state_->changed.wait_for(lock, kGoodbyeLimit, [this] { return state_->threads == 0; });
}

void TaskPool::run(Function<void()> task) {
  const std::lock_guard lock(state_->mutex);
  if (state_->is_stopping) return;
  state_->tasks.push_back(std::move(task));
  if (state_->idle < static_cast<int>(state_->tasks.size()) &&
      state_->threads < state_->most_threads) {
    ++state_->threads;
    std::thread([state = state_] { work(state); }).detach();
  } else {
    state_->changed.notify_one();
  }
}

void TaskPool::work(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (true) {
    if (state->tasks.empty()) {
      ++state->idle;
      const bool is_woken = state->changed.wait_for(
          lock, kIdleLimit, [&] { return state->is_stopping || !state->tasks.empty(); });
      --state->idle;
      if (!is_woken || state->is_stopping) break;
    }
    Function<void()> task = std::move(state->tasks.front());
    state->tasks.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    if (state->is_stopping) break;
  }
  --state->threads;
  state->changed.notify_all();
}

}  // namespace lateen::cluster::node
