// Services as nftables rules. Pure: a Service and its EndpointSlices in, chains and map elements
// out; and the smallest transaction between two sets of rules.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kube/informer.h"

namespace lateen::cluster::balancer {

using data::Json;

struct Endpoint {
  std::string ip;
  int port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

// The endpoints that traffic of a service port goes to: ready ones; when there are none, those that
// still serve while terminating. Sorted, without duplicates.
std::vector<Endpoint> endpoints_of(const Json& service, const Json& port,
                                   const std::vector<kube::ObjectPtr>& slices);

// What one service (or all of them together) needs in the table.
struct Rules {
  std::map<std::string, std::string> chains;       // name: body
  std::map<std::string, std::string> sets;         // name: declaration (client affinity)
  std::map<std::string, std::string> cluster_ips;  // "10.96.1.2 . tcp . 80": chain
  std::map<std::string, std::string> node_ports;   // "tcp . 30080": chain
  std::set<std::string> endpoint_ips;              // may talk to themselves through a service

  void add(const Rules& other);
  bool operator==(const Rules&) const = default;
};
// A pod's hostPorts: on the node's address they lead to the pod.
Rules rules_of_pod(const Json& pod);
// hostPorts of a pod that can be reached: (is UDP, port on the host): "ip:port" of the container.
std::map<std::pair<bool, int>, Endpoint> host_ports_of(const Json& pod);
Rules rules_of(const Json& service, const std::vector<kube::ObjectPtr>& slices);

// The table with its fixed chains, replacing whatever was there.
std::string table_setup();
// Commands that turn `before` into `after`, atomically; empty when they are equal.
std::string transaction(const Rules& before, const Rules& after);

}  // namespace lateen::cluster::balancer
