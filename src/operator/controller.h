// Keeps a cluster as its IstioOperators say: renders each, applies its parts in order, repairs what
// others change or delete, removes what is no longer asked for, and reports in status.
//
// Several IstioOperators live side by side. When two ask for the same object (canary control planes
// with one gateway), the newest has it; when that one goes, the other takes it over, so that
// nothing is removed that somebody still wants.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "install/charts.h"
#include "install/manifest.h"
#include "kube/informer.h"

namespace lateen::op {

using data::Json;

struct ControllerOptions {
  std::vector<std::string> namespaces;  // watched; empty: all
  std::string revision;               // of this operator; only IstioOperators of it when not empty
  milliseconds ready_limit{300'000};  // until a part that is not ready is an ERROR
  milliseconds ready_poll{1'000};
  int workers = 2;
};

// Threads: informers and reconcile workers of its own.
class Controller {
 public:
  // All outlive the controller.
  Controller(kube::Client& client, const Clock& clock, install::Charts& charts,
             ControllerOptions options);
  ~Controller();

  void start();
  // For metrics: reconciliations done and failed, objects applied, pruned.
  struct Counts {
    std::uint64_t reconciled = 0, failed = 0, applied = 0, pruned = 0;
    std::size_t operators = 0;
  };
  Counts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::op
