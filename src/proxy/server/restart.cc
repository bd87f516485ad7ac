// The server's part in a hot restart: it takes the sockets of its parent, tells it to drain once it
// serves itself, and does the same for its own child.

#include "base/log.h"
#include "proxy/admin/admin.h"
#include "proxy/server/hot_restart.h"
#include "proxy/server/overload.h"
#include "proxy/server/server.h"

namespace lateen::proxy {

Result<> Server::join_parent() {
  stats_->set(ServerStat::kHotRestartEpoch, options_.restart_epoch);
  if (options_.restart_epoch == 0 || !options_.is_hot_restart_enabled) return {};
  auto parent = RestartParent::connect(options_.base_id, options_.restart_epoch - 1);
  if (!parent.ok()) {
    if (options_.is_missing_parent_accepted) return {};
    return std::move(parent).error();
  }
  parent_ = *std::move(parent);
  return parent_->stop_admin();  // Its address is ours now.
}

Result<> Server::await_child() {
  if (!options_.is_hot_restart_enabled) return {};
  RestartServer::Hooks hooks;
  hooks.take = [this](const net::Address& address, RestartServer::Sockets done) {
    collect_sockets(address, std::move(done));
  };
  hooks.stop_admin = [this] { admin_.reset(); };
  hooks.drain = [this] { hand_over(); };
  hooks.terminate = [this] { loop_.stop(); };
  auto made =
      RestartServer::listen(loop_, options_.base_id, options_.restart_epoch, std::move(hooks));
  if (made.ok()) {
    child_ = *std::move(made);
    return {};
  }
  if (options_.is_base_id_chosen || options_.restart_epoch > 0) return std::move(made).error();
  LOG(kInfo, "restart", "{}: this process cannot be restarted hot", made.error().message());
  return {};
}

// We serve: the parent's turn is over. What it has under way gets its time.
void Server::take_over() {
  if (parent_ == nullptr) return;
  if (auto told = parent_->drain(); !told.ok()) LOG(kWarn, "restart", "{}", told.error().message());
  parent_timer_ = std::make_unique<event::Timer>(loop_, [this] {
    if (auto told = parent_->terminate(); !told.ok())
      LOG(kDebug, "restart", "{}", told.error().message());  // Mostly: it is gone already.
    parent_.reset();
  });
  parent_timer_->arm(options_.parent_shutdown_time);
}

// Each worker copies its own; the last one's answer goes back to the main thread.
void Server::collect_sockets(const net::Address& address, Function<void(std::vector<Fd>)> done) {
  struct Collected {
    std::vector<Fd> sockets;
    std::size_t missing;
    Function<void(std::vector<Fd>)> done;
  };
  auto collected = std::make_shared<Collected>();
  collected->missing = threads_.size();
  collected->done = std::move(done);
  if (collected->missing == 0) return collected->done({});
  publisher_->to_workers([this, address, collected](Worker& worker) {
    auto copies = std::make_shared<std::vector<Fd>>(worker.copy_sockets(address));
    loop_.post([collected, copies] {
      for (Fd& one : *copies) collected->sockets.push_back(std::move(one));
      if (--collected->missing == 0) collected->done(std::move(collected->sockets));
    });
  });
}

// A child serves. Its sockets are ours too: what we do not accept any more, it does.
void Server::hand_over() {
  if (is_stopping_) return;
  is_stopping_ = true;
  LOG(kInfo, "restart", "the next process serves: draining");
  shared_.is_draining = true;
  if (state_ == ServerState::kLive) state_ = ServerState::kDraining;
  if (ads_ != nullptr) ads_.reset();
  publisher_->to_workers([](Worker& worker) {
    worker.stop_listeners(false);
    worker.drain_connections(false, true);
  });
  stop_deadline_ = loop_.now() + options_.parent_shutdown_time;
  // Counts of connections are a second old: the first look comes after that.
  stop_timer_.arm(milliseconds(2500));
}

}  // namespace lateen::proxy
