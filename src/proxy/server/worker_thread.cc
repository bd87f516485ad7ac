// The worker's objects are made here and destroyed on the worker's thread, where their timers live.

#include "proxy/server/worker_thread.h"

#include "base/random.h"

namespace lateen::proxy {

namespace {
constexpr milliseconds kCountInterval{1000};
}

Result<std::unique_ptr<Server::WorkerThread>> Server::WorkerThread::make(const Clock& clock,
                                                                         Shared& shared,
                                                                         unsigned index) {
  auto made = std::make_unique<WorkerThread>();
  made->loop_ = TRY(event::make_epoll_loop(clock, system_random()));
  made->worker_ = std::make_unique<Worker>(*made->loop_, shared, index);
  return made;
}

void Server::WorkerThread::start() {
  thread_ = std::thread([this] {
    counter_ = std::make_unique<event::Timer>(*loop_, [this] { count(); });
    count();
    loop_->run();
    counter_.reset();
    worker_.reset();
  });
}

void Server::WorkerThread::count() {
  connections = worker_->connection_count();
  counter_->arm(kCountInterval);
}

Server::WorkerThread::~WorkerThread() {
  loop_->stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace lateen::proxy
