// The API server's own chores, on one thread: instances of deleted CustomResourceDefinitions, old
// Events.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cluster/apiserver/catalog.h"
#include "cluster/apiserver/resources.h"

namespace lateen::cluster::apiserver {

class Housekeeping {
 public:
  // `ensure` makes what a cluster must have and somebody deleted; called every few seconds.
  Housekeeping(Resources& resources, const Catalog& catalog, Function<void()> ensure)
      : resources_(resources), catalog_(catalog), ensure_(std::move(ensure)) {}
  ~Housekeeping() { stop(); }
  void start();
  void stop();

 private:
  void run();
  void finish_definitions();
  void drop_old_events();
  Resources& resources_;
  const Catalog& catalog_;
  Function<void()> ensure_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace lateen::cluster::apiserver
