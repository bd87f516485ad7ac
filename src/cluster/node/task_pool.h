// TaskPool runs blocking work (probes, hooks) on threads that come and go: one more is made when
// none is idle, up to a bound; beyond it tasks wait their turn.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/function.h"

namespace lateen::cluster::node {

class TaskPool {
 public:
  explicit TaskPool(int most_threads = 128);
  // Drops waiting tasks and gives running ones a moment to end; a stuck one keeps its thread and
  // must hold all it uses itself.
  ~TaskPool();
  void run(Function<void()> task);

 private:
  struct State;
  static void work(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

}  // namespace lateen::cluster::node
