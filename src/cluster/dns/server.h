// The cluster's DNS server: UDP and TCP on the given addresses, answers from informers' caches. One
// thread.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "cluster/dns/zone.h"
#include "event/loop.h"
#include "net/address.h"

namespace lateen::cluster::dns {

class DnsServer {
 public:
  // `client` and `clock` outlive us.
  DnsServer(kube::Client& client, const Clock& clock);
  ~DnsServer();
  // Makes the kube-dns Service at `cluster_ip` with `addresses[0]` as its endpoint when missing,
  // then serves on `addresses`, in the calling thread's network namespace.
  Result<> start(const std::vector<net::Address>& addresses, const net::Ip& cluster_ip);

 private:
  class InformerDirectory;
  class UdpPort;
  class TcpPort;
  std::string respond(std::string_view packet, bool is_udp) const;
  Result<> publish_service(const net::Address& endpoint, const net::Ip& cluster_ip);
  kube::Client& client_;
  const Clock& clock_;
  std::unique_ptr<InformerDirectory> directory_;
  std::unique_ptr<event::Loop> loop_;
  std::vector<std::unique_ptr<UdpPort>> udp_;
  std::vector<std::unique_ptr<TcpPort>> tcp_;
  std::thread thread_;
};

}  // namespace lateen::cluster::dns
