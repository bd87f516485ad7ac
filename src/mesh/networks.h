// MeshNetworks (ConfigMap istio, key "meshNetworks"): networks that cannot reach each other's
// endpoints directly, and the gateways between them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mesh/reader.h"

namespace lateen::mesh {

struct MeshNetworks {
  struct Gateway {
    std::string service;  // registryServiceName: its load balancer's addresses
    std::string address;  // or an address of its own
    int port = 0;
    std::string locality;
  };
  struct Network {
    std::vector<Gateway> gateways;
    std::vector<std::string> cidrs;       // endpoints in these belong to it
    std::vector<std::string> registries;  // clusters whose endpoints do
  };
  std::map<std::string, Network, std::less<>> networks;

  // The network of an endpoint that says nothing of its own; "" when none claims it.
  std::string_view network_of(std::string_view ip, std::string_view cluster) const;
};

// `yaml` is the ConfigMap's text; unknown fields are warnings.
Result<MeshNetworks> parse_mesh_networks(std::string_view yaml, Issues& issues);

}  // namespace lateen::mesh
