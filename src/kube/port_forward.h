// Port-forward to a pod through any API server, over WebSocket with the subprotocol
// v4.channel.k8s.io (kubelet's streaming API): channel 0 carries the bytes, channel 1 the error.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "kube/client.h"
#include "net/socket.h"

namespace lateen::kube {

// One connection to a port of a pod. Two threads may use it: one reads, one writes.
class PodStream {
 public:
  // `client` outlives it. The error says whether the pod, the port or the API server was the
  // trouble.
  static Result<std::unique_ptr<PodStream>> open(Client& client, const Key& pod, int port);
  // "" at the end. An error of the forward itself ("connection refused in the pod") comes as
  // Unavailable.
  Result<std::string> read();
  Result<> write(std::string_view bytes);
  // Asks the other side to end; read() then comes to the end.
  void close();

 private:
  explicit PodStream(std::unique_ptr<http::BlockingClient::Tunnel> tunnel)
      : tunnel_(std::move(tunnel)) {}
  Result<std::optional<std::pair<int, std::string>>> next_frame();
  Result<bool> fill(std::size_t bytes);

  std::unique_ptr<http::BlockingClient::Tunnel> tunnel_;
  std::string buffer_;
  int skipped_[2] = {0, 0};  // bytes of the port echo each channel opens with
};

// Listens on loopback and forwards every connection to the pod. Threads of its own; destroying it
// ends them.
class PortForwarder {
 public:
  // `local_port` 0 picks one. `client` outlives it.
  static Result<std::unique_ptr<PortForwarder>> start(Client& client, const Key& pod,
                                                      int remote_port, int local_port);
  ~PortForwarder();
  int local_port() const { return local_port_; }

 private:
  PortForwarder(Client& client, Key pod, int remote_port, Fd listening, int local_port);
  void accept_all();

  Client& client_;
  Key pod_;
  int remote_port_;
  Fd listening_;
  int local_port_;
  struct Relay;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

// One GET of `path` on a pod's port, by way of a forward.
Result<http::PlainResponse> pod_get(Client& client, const Key& pod, int port,
                                    const std::string& path);

}  // namespace lateen::kube
