// Connections are destroyed at the end of a turn, never inside their own callbacks.

#include "proxy/listener/worker_listener.h"

#include <algorithm>

namespace lateen::proxy {

WorkerListener::WorkerListener(Worker& worker, std::shared_ptr<const ListenerConfig> config,
                               net::Fd socket)
    : worker_(worker), config_(std::move(config)) {
  if (!socket.is_open()) return;
  listener_ = std::make_unique<net::Listener>(
      worker_.loop(), std::move(socket),
      [this](std::unique_ptr<net::Stream> stream) { accept(std::move(stream)); });
}

WorkerListener::~WorkerListener() = default;

void WorkerListener::accept(std::unique_ptr<net::Stream> stream) {
  if (config_->most_connections != 0 && connections_.size() >= config_->most_connections) {
    config_->stats->add(ListenerStat::kCxOverflow);
    return;
  }
  connections_.push_back(std::make_unique<DownstreamConnection>(*this, std::move(stream)));
  connections_.back()->start();
}

void WorkerListener::adopt(std::unique_ptr<DownstreamConnection> connection) {
  connections_.push_back(std::move(connection));
}

std::unique_ptr<DownstreamConnection> WorkerListener::release(DownstreamConnection& connection) {
  for (auto it = connections_.begin(); it != connections_.end(); ++it) {
    if (it->get() != &connection) continue;
    auto held = std::move(*it);
    connections_.erase(it);
    return held;
  }
  return nullptr;
}

void WorkerListener::retire(DownstreamConnection& connection) {
  auto held = release(connection);
  if (held == nullptr) return;
  retired_.push_back(std::move(held));
  if (retired_.size() > 1) return;
  worker_.loop().defer([this] {
    const auto gone = std::move(retired_);
    retired_.clear();
  });
}

void WorkerListener::stop_accepting() { listener_.reset(); }

void WorkerListener::drain() {
  for (auto it = connections_.begin(); it != connections_.end();) (*it++)->drain();
}

}  // namespace lateen::proxy
