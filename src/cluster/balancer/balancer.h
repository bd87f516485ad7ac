// Balancer keeps the kernel's NAT rules equal to the Services (what kube-proxy does) and gives
// LoadBalancer Services the machine's loopback ports.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "cluster/balancer/relay.h"
#include "cluster/balancer/rules.h"
#include "cluster/balancer/udp_relay.h"
#include "event/loop.h"
#include "kube/informer.h"
#include "linux/nft.h"

namespace lateen::cluster::balancer {

// Listening sockets on the machine's loopback, outside the cluster's namespaces. Thread-safe.
class HostPorts {
 public:
  virtual ~HostPorts() = default;
  // A socket for LoadBalancer port `port`; it may be bound to another port when that one cannot be
  // had, which whoever implements this tells the user. AlreadyExists or PermissionDenied when there
  // is none. A UDP port's number has kUdp added.
  static constexpr int kUdp = 1 << 16;
  virtual Result<Fd> listen(int port) = 0;
  virtual void close(int port) = 0;
};

class Balancer {
 public:
  // All outlive us. `host_ports` may be null: LoadBalancer Services then stay pending. The network
  // namespace is the calling thread's.
  Balancer(kube::Client& client, const Clock& clock, HostPorts* host_ports);
  ~Balancer();
  Result<> start();

 private:
  struct HostPort {
    std::string owner;  // "service ns/name", "pod ns/name"
    net::Address to;
    std::unique_ptr<Relay> relay;  // loop thread; either of both
    std::unique_ptr<UdpRelay> udp_relay;
  };
  struct Changes {
    std::set<kube::Key> services, pods;
    bool empty() const { return services.empty() && pods.empty(); }
  };
  void work();
  void apply(const Changes& changed);
  void update_load_balancer(const kube::Key& key, const Json* service);
  // Gives `owner` these ports of the machine and no others; false when none of `important` is open.
  bool update_ports(const std::string& owner, const std::map<int, net::Address>& wanted,
                    const std::set<int>& important);
  Result<> open_host_port(int port, const std::string& owner, const net::Address& to);
  void close_host_port(int port);
  void publish_ingress(const Json& service, bool is_reachable);
  std::vector<kube::ObjectPtr> slices_of(const kube::Key& service) const;

  kube::Client& client_;
  const Clock& clock_;
  HostPorts* host_ports_;
  std::unique_ptr<kube::Informer> services_, slices_, pods_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Changes dirty_;
  bool is_stopping_ = false;
  std::map<kube::Key, Rules> by_service_, by_pod_;  // worker thread
  Rules applied_;
  std::map<int, HostPort> host_port_table_;
  std::unique_ptr<event::Loop> loop_;
  std::thread loop_thread_;
  std::thread worker_;
};

}  // namespace lateen::cluster::balancer
