// Connections are destroyed at the end of a turn, never inside their own callbacks.

#include "proxy/listener/worker_listener.h"

#include <fcntl.h>

#include <algorithm>

namespace lateen::proxy {

WorkerListener::WorkerListener(Worker& worker, std::shared_ptr<const ListenerConfig> config,
                               std::vector<Fd> sockets)
    : worker_(worker), config_(std::move(config)) {
  for (Fd& socket : sockets)
    accepting_.push_back(std::make_unique<net::Listener>(
        worker_.loop(), std::move(socket),
        [this](std::unique_ptr<net::Stream> stream) { accept(std::move(stream)); }));
}

WorkerListener::~WorkerListener() = default;

void WorkerListener::accept(std::unique_ptr<net::Stream> stream) {
  const Shared& shared = worker_.shared();
  if (!config_->is_overload_bypassed &&
      shared.is_refusing_connections.load(std::memory_order_relaxed)) {
    config_->stats->add(ListenerStat::kCxOverloadReject);
    return stream->reset();
  }
  if (!config_->is_limit_ignored &&
      shared.connections.load(std::memory_order_relaxed) >= shared.most_connections) {
    config_->stats->add(ListenerStat::kGlobalCxOverflow);
    return;
  }
  if (config_->most_connections != 0 &&
      config_->stats->value(ListenerStat::kCxActive) >= config_->most_connections) {
    config_->stats->add(ListenerStat::kCxOverflow);
    return;
  }
  connections_.push_back(std::make_unique<DownstreamConnection>(*this, std::move(stream)));
  connections_.back()->start();
}

void WorkerListener::accept_internal(std::unique_ptr<net::Stream> stream, InternalFacts facts) {
  connections_.push_back(std::make_unique<DownstreamConnection>(*this, std::move(stream)));
  connections_.back()->come_from(std::move(facts));
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

void WorkerListener::stop_accepting() { accepting_.clear(); }

void WorkerListener::copy_sockets(std::vector<Fd>& into) const {
  for (const auto& one : accepting_)
    if (Fd copy(::fcntl(one->fd(), F_DUPFD_CLOEXEC, 0)); copy.is_open())
      into.push_back(std::move(copy));
}

void WorkerListener::set_config(std::shared_ptr<const ListenerConfig> config) {
  config_ = std::move(config);
  for (auto it = connections_.begin(); it != connections_.end();) (*it++)->update(config_);
}

void WorkerListener::drain(bool is_gentle) {
  for (auto it = connections_.begin(); it != connections_.end();) (*it++)->drain(is_gentle);
}

}  // namespace lateen::proxy
