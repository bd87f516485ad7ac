// networking.istio.io EnvoyFilter: patches to generated Envoy config; and extension and telemetry
// kinds that are kept close to their JSON: Telemetry and ProxyConfig.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"
#include "mesh/security.h"

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
  };
  struct ListenerMatch {
    int port = 0;
    std::string name, listener_filter;
    bool has_chain = false;
    std::string chain_name, chain_sni, chain_transport, chain_application_protocols;
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

struct Telemetry {
  struct Tracing {
    std::vector<std::string> providers;
    std::optional<double> sampling_percent;
    std::optional<bool> is_reporting_disabled;
    data::JsonObject custom_tags;
  };
  struct AccessLogging {
    std::string mode;  // "", CLIENT, SERVER, CLIENT_AND_SERVER
    std::vector<std::string> providers;
    std::optional<bool> is_disabled;
    std::string filter;  // CEL
  };
  struct Override {
    std::string metric, mode;
    std::optional<bool> is_disabled;
    std::map<std::string, std::optional<std::string>, std::less<>> tags;  // nullopt: REMOVE
  };
  struct Metrics {
    std::vector<std::string> providers;
    std::vector<Override> overrides;
  };
  Labels selector;
  std::vector<TargetRef> targets;
  std::vector<Tracing> tracing;
  std::vector<AccessLogging> access_logging;
  std::vector<Metrics> metrics;
};

struct ProxyConfigSpec {
  Labels selector;
  std::optional<std::int64_t> concurrency;
  Labels environment;
  std::string image_type;
};

void read_spec(Reader& reader, EnvoyFilter& spec);
void read_spec(Reader& reader, Telemetry& spec);
void read_spec(Reader& reader, ProxyConfigSpec& spec);
void check_spec(const Meta& meta, const EnvoyFilter& spec, Issues& issues);
void check_spec(const Meta& meta, const Telemetry& spec, Issues& issues);
void check_spec(const Meta& meta, const ProxyConfigSpec& spec, Issues& issues);

}  // namespace lateen::mesh
