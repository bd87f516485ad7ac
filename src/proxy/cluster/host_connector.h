// Connects to one host as its cluster says: over the network, by name, or to an internal listener;
// PROXY protocol, TLS with the current secrets, SNI, ALPN. Counts.
#pragma once

#include "http/client.h"
#include "proxy/cluster/upstream.h"

namespace lateen::proxy {

class HostConnector final : public http::Connector {
 public:
  // `loop` and `surroundings` outlive us and what we start.
  HostConnector(event::Loop& loop, Surroundings& surroundings, ClusterRef cluster, HostRef host,
                std::vector<std::string> alpn, std::string server_name, PassageRef passage);
  void connect(event::Scope& scope, milliseconds limit,
               event::Completion<std::unique_ptr<net::Stream>> done) override;

 private:
  event::Loop& loop_;
  Surroundings& surroundings_;
  ClusterRef cluster_;
  HostRef host_;
  std::vector<std::string> alpn_;
  std::string server_name_;
  PassageRef passage_;
};

}  // namespace lateen::proxy
