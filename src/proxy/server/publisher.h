// Gives the same change to every worker, the main thread's own included.
#pragma once

#include <functional>
#include <vector>

#include "proxy/worker/worker.h"

namespace lateen::proxy {

class Publisher {
 public:
  // Workers outlive us; the first is the main thread's.
  explicit Publisher(Worker& main) : main_(main) {}
  void add(Worker& worker) { workers_.push_back(&worker); }
  Worker& main() { return main_; }
  const std::vector<Worker*>& workers() const { return workers_; }

  // On the main thread at once, on the others when their turn comes, in the order of the calls.
  void to_all(std::function<void(Worker&)> change) {
    change(main_);
    to_workers(std::move(change));
  }
  void to_workers(std::function<void(Worker&)> change) {
    for (Worker* worker : workers_) worker->loop().post([change, worker] { change(*worker); });
  }

 private:
  Worker& main_;
  std::vector<Worker*> workers_;
};

}  // namespace lateen::proxy
