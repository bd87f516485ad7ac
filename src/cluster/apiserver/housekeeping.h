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
  Housekeeping(Resources& resources, const Catalog& catalog)
      : resources_(resources), catalog_(catalog) {}
  ~Housekeeping() { stop(); }
  void start();
  void stop();

 private:
  void run();
  void finish_definitions();
  void drop_old_events();
  Resources& resources_;
  const Catalog& catalog_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace lateen::cluster::apiserver
