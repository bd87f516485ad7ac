// A worker with its loop and its thread.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "event/epoll_loop.h"
#include "proxy/server/server.h"

namespace lateen::proxy {

struct Server::WorkerThread {
  static Result<std::unique_ptr<WorkerThread>> make(const Clock& clock, Shared& shared,
                                                    unsigned index);
  ~WorkerThread();
  void start();
  Worker& worker() { return *worker_; }
  std::atomic<std::size_t> connections{0};  // refreshed each second by the worker

 private:
  void count();
  std::unique_ptr<event::Loop> loop_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<event::Timer> counter_;
  std::thread thread_;
};

}  // namespace lateen::proxy
