// A listener on one worker: its socket (when it binds) and its connections.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "proxy/listener/downstream_connection.h"

namespace lateen::proxy {

class WorkerListener {
 public:
  WorkerListener(Worker& worker, std::shared_ptr<const ListenerConfig> config,
                 std::vector<Fd> sockets);
  ~WorkerListener();

  Worker& worker() { return worker_; }
  const std::shared_ptr<const ListenerConfig>& config() const { return config_; }
  // New connections use `config`; those whose chain it does not have any more drain.
  void set_config(std::shared_ptr<const ListenerConfig> config);

  void accept(std::unique_ptr<net::Stream> stream);
  void accept_internal(std::unique_ptr<net::Stream> stream, InternalFacts facts);
  void adopt(std::unique_ptr<DownstreamConnection> connection);
  std::unique_ptr<DownstreamConnection> release(DownstreamConnection& connection);
  // Destroys the connection at the end of this turn.
  void retire(DownstreamConnection& connection);

  void stop_accepting();
  void copy_sockets(std::vector<Fd>& into) const;
  void drain(bool is_gentle);
  std::size_t connection_count() const { return connections_.size(); }

 private:
  Worker& worker_;
  std::shared_ptr<const ListenerConfig> config_;
  std::list<std::unique_ptr<DownstreamConnection>> connections_;
  std::vector<std::unique_ptr<DownstreamConnection>> retired_;
  std::vector<std::unique_ptr<net::Listener>> accepting_;
};

}  // namespace lateen::proxy
