// networking.istio.io EnvoyFilter: patches to generated Envoy config.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"
#include "mesh/security.h"
#include "mesh/telemetry.h"

namespace lateen::mesh {

struct EnvoyFilter {
  enum class ApplyTo : unsigned char {
    kInvalid,
    kListener,
    kFilterChain,
    kNetworkFilter,
    kHttpFilter,
    kRouteConfiguration,
    kVirtualHost,
    kHttpRoute,
    kCluster,
    kExtensionConfig,
    kBootstrap,
    kListenerFilter,
  };
  enum class Context : unsigned char {
    kAny,
    kSidecarInbound,
    kSidecarOutbound,
    kGateway,
    kWaypoint,
  };
  enum class Operation : unsigned char {
    kInvalid,
    kMerge,
    kAdd,
    kRemove,
    kInsertBefore,
    kInsertAfter,
    kInsertFirst,
    kReplace,
    kMergeReplacingLists,
  };
  struct ListenerMatch {
    int port = 0;
    std::string name, listener_filter;
    bool has_chain = false;
    std::string chain_name, chain_sni, chain_transport, chain_application_protocols,
        chain_transport_socket;
    int chain_destination_port = 0;
    std::string filter, sub_filter;
  };
  struct RouteMatch {
    int port = 0;
    std::string port_name, gateway, name;
    std::string vhost, vhost_domain;
    bool has_route = false;
    std::string route, action;
  };
  struct ClusterMatch {
    int port = 0;
    std::string service, subset, name;
  };
  struct Patch {
    ApplyTo apply_to = ApplyTo::kInvalid;
    Context context = Context::kAny;
    std::string proxy_version;  // regex
    Labels proxy_metadata;
    std::optional<ListenerMatch> listener;
    std::optional<RouteMatch> route;
    std::optional<ClusterMatch> cluster;
    Operation operation = Operation::kInvalid;
    data::Json value;  // an Envoy message in JSON
  };
  Labels workload_selector;
  std::vector<TargetRef> targets;
  std::int64_t priority = 0;
  std::vector<Patch> patches;
};

void read_spec(Reader& reader, EnvoyFilter& spec);
void check_spec(const Meta& meta, const EnvoyFilter& spec, Issues& issues);

}  // namespace lateen::mesh
