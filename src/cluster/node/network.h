// The cluster's network, all inside its own namespace: the node's addresses on the loopback, a
// routed veth per pod, blackholes for whatever is not assigned. No bridge and no ARP: neighbours
// are permanent entries, so that every packet between pods passes the node's routing and thereby
// the services' NAT.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "linux/fd.h"
#include "linux/links.h"
#include "net/address.h"

namespace lateen::cluster::node {

// Host-order IPv4.
inline constexpr std::uint32_t kNodeIp = 0xac120002;      // 172.18.0.2
inline constexpr std::uint32_t kPodNetwork = 0x0af40000;  // 10.244.0.0/24
inline constexpr int kPodNetworkBits = 24;
inline constexpr std::uint32_t kServiceNetwork = 0x0a600000;  // 10.96.0.0/16
inline constexpr int kServiceNetworkBits = 16;
inline constexpr std::uint32_t kDnsIp = 0x0a60000a;  // 10.96.0.10

// Prepares the network namespace of the calling thread: once, before the first pod.
Result<> set_up_node_network();

// Addresses of pods. Thread-safe; hands a freed address out last.
class IpPool {
 public:
  // ResourceExhausted when all 253 are taken.
  Result<std::uint32_t> take();
  void give_back(std::uint32_t ip);

 private:
  std::mutex mutex_;
  std::set<std::uint32_t> taken_;
  std::uint32_t last_ = kPodNetwork + 1;
};

// A pod's network, IPC and UTS namespaces, kept by descriptors. Destroying it takes the pod off the
// network at once; processes still inside keep an unconnected namespace.
class Sandbox {
 public:
  static Result<std::unique_ptr<Sandbox>> make(IpPool& pool, const std::string& hostname);
  // Of a pod with hostNetwork: the node's own network, IPC and UTS namespaces.
  static Result<std::unique_ptr<Sandbox>> make_on_node();
  ~Sandbox();
  int net_fd() const { return net_.get(); }
  int ipc_fd() const { return ipc_.get(); }
  int uts_fd() const { return uts_.get(); }
  net::Ip ip() const { return net::Ip::v4(ip_); }

 private:
  Sandbox() = default;
  Result<> connect();
  Result<> open_namespaces();
  IpPool* pool_ = nullptr;
  std::uint32_t ip_ = kNodeIp;
  std::string link_;
  Fd net_, ipc_, uts_;
};

}  // namespace lateen::cluster::node
