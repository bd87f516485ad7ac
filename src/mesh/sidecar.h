// networking.istio.io Sidecar: what a workload's proxy listens on and which hosts it sees.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/destination_rule.h"
#include "mesh/gateway.h"
#include "mesh/virtual_service.h"

namespace lateen::mesh {

struct SidecarPort {
  std::int64_t number = 0;
  std::string protocol, name;
};
struct Sidecar {
  struct Ingress {
    SidecarPort port;
    std::string bind, capture_mode, default_endpoint;
    std::optional<ServerTls> tls;
    std::optional<ConnectionPool> pool;
  };
  struct Egress {
    std::optional<SidecarPort> port;
    std::string bind, capture_mode;
    std::vector<std::string> hosts;  // "namespace/host", "./*", "~/*"
  };
  enum class Outbound : unsigned char { kUnset, kRegistryOnly, kAllowAny };

  Labels workload_selector;
  std::vector<Ingress> ingress;
  std::vector<Egress> egress;
  Outbound outbound = Outbound::kUnset;
  std::optional<Destination> egress_proxy;     // where unknown destinations go
  std::optional<ConnectionPool> inbound_pool;  // of all own ports
};

void read_spec(Reader& reader, Sidecar& spec);
void check_spec(const Meta& meta, const Sidecar& spec, Issues& issues);

}  // namespace lateen::mesh
