// MeshSnapshot: everything that config for proxies is made of, at one instant, immutable once
// built. Built on the ingest thread, shared by pointer; unchanged parts are shared between
// snapshots.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/strings.h"
#include "discovery/parts.h"
#include "discovery/proxy.h"
#include "mesh/destination_rule.h"
#include "mesh/envoy_filter.h"
#include "mesh/gateway.h"
#include "mesh/mesh_config.h"
#include "mesh/networks.h"
#include "mesh/security.h"
#include "mesh/service.h"
#include "mesh/sidecar.h"
#include "mesh/virtual_service.h"
#include "mesh/wasm_plugin.h"

namespace lateen::discovery {

template <typename Spec>
using Configs = std::vector<mesh::ConfigPtr<Spec>>;

template <typename Value>
using ByName = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

// Endpoints by service host and namespace: "host/ns".
using EndpointIndex = ByName<mesh::EndpointSetPtr>;
std::string endpoint_key(const mesh::Service& service);

// A TLS secret for gateways, by "namespace/name". Never logged.
struct TlsSecret {
  std::string certificate_pem, key_pem, ca_pem, crl_pem;
};
using TlsSecretPtr = std::shared_ptr<const TlsSecret>;

// What the ingest knows, before it is indexed.
struct SnapshotInput {
  std::string version;  // of the push: RFC 3339 time, '/', counter
  Versions versions;
  std::string domain = "cluster.local";
  std::shared_ptr<const mesh::MeshConfig> mesh;
  std::shared_ptr<const mesh::MeshNetworks> networks;  // null: one network
  std::string network;  // of this cluster: the system namespace's label
  std::vector<mesh::ServicePtr> services;
  std::shared_ptr<const EndpointIndex> endpoints;
  std::vector<mesh::WorkloadPtr> workloads;
  Configs<mesh::VirtualService> virtual_services;
  Configs<mesh::DestinationRule> destination_rules;
  Configs<mesh::Gateway> gateways;
  Configs<mesh::Sidecar> sidecars;
  Configs<mesh::PeerAuthentication> peer_authentications;
  Configs<mesh::RequestAuthentication> request_authentications;
  Configs<mesh::AuthorizationPolicy> authorization_policies;
  Configs<mesh::EnvoyFilter> envoy_filters;
  Configs<mesh::Telemetry> telemetries;
  Configs<mesh::WasmPlugin> wasm_plugins;
  Configs<mesh::ProxyConfigSpec> proxy_configs;
  ByName<TlsSecretPtr> secrets;
  ByName<std::string> jwks;  // by URI: the key set's JSON
};

// A service port that a proxy's own workload serves.
struct Target {
  mesh::ServicePtr service;
  const mesh::ServicePort* port;
  int number;  // on the workload
};

class MeshSnapshot {
 public:
  // `before`: an earlier one of the same store; what did not change since is shared with it.
  explicit MeshSnapshot(SnapshotInput input, const MeshSnapshot* before = nullptr);

  const std::string& version() const { return in_.version; }
  const std::string& domain() const { return in_.domain; }
  const mesh::MeshConfig& mesh() const { return *in_.mesh; }
  const SnapshotInput& input() const { return in_; }
  std::uint64_t stamp(PartSet parts) const { return in_.versions.stamp(parts); }
  const std::vector<mesh::ServicePtr>& services() const { return in_.services; }

  // The service that `ns` means by `host`: its own namespace's first, then any that is exported to
  // it.
  const mesh::Service* find_service(std::string_view host, std::string_view ns) const;
  mesh::EndpointSetPtr endpoints_of(const mesh::Service& service) const;
  const mesh::Workload* find_workload(std::string_view ip) const;
  const mesh::Workload* find_pod(std::string_view ns, std::string_view name) const;
  // The one that the proxy runs beside, by its address or name; null when it is not known.
  mesh::WorkloadPtr workload_of(const Proxy& proxy) const;
  // Kubernetes services and internal entries whose selector picks this proxy's labels.
  std::vector<Target> targets_of(const Proxy& proxy) const;

  // Virtual services with delegates merged and hosts resolved, oldest first; of a gateway
  // ("ns/name" or "mesh").
  const Configs<mesh::VirtualService>& virtual_services_of(std::string_view gateway) const;
  // The rule that a client in `ns` obeys for `service` (client's namespace, service's, then the
  // root's), rules for one host merged; null when none.
  mesh::ConfigPtr<mesh::DestinationRule> find_rule(std::string_view host, std::string_view ns,
                                                   std::string_view service_ns,
                                                   const mesh::Labels& client) const;
  mesh::ConfigPtr<mesh::Sidecar> find_sidecar(const Proxy& proxy) const;
  Configs<mesh::Gateway> gateways_of(const Proxy& proxy) const;
  // mTLS mode on a port of the workload with these labels, as PeerAuthentications say.
  mesh::MtlsMode mtls_mode(std::string_view ns, const mesh::Labels& labels, int port) const;
  // Whether a client may speak mutual TLS to it: it has a sidecar, and no policy switches that off.
  bool takes_mtls(const mesh::Endpoint& endpoint) const;
  Configs<mesh::RequestAuthentication> request_authentications_of(const Proxy& proxy) const;
  Configs<mesh::AuthorizationPolicy> authorization_policies_of(const Proxy& proxy) const;
  Configs<mesh::EnvoyFilter> envoy_filters_of(const Proxy& proxy) const;
  Configs<mesh::Telemetry> telemetries_of(const Proxy& proxy) const;
  Configs<mesh::WasmPlugin> wasm_plugins_of(const Proxy& proxy) const;
  // The network an endpoint of `cluster` is in; "" when nobody says.
  std::string network_of(const mesh::Endpoint& endpoint, std::string_view cluster) const;
  // Addresses and ports of the gateways into a network.
  using Gateways = std::vector<std::pair<std::string, int>>;
  const Gateways& gateways_to(std::string_view network) const;
  TlsSecretPtr find_secret(std::string_view ns, std::string_view name) const;

  // Some DestinationRule holds for some of its namespace's clients only.
  bool has_rule_selectors() const { return rules_->has_selectors; }
  // Some config prefers endpoints by the client's labels (failoverPriority).
  bool has_label_failover() const { return has_label_failover_; }
  // Some virtual service has routes for some clients only, by their labels.
  bool has_source_labels() const { return virtual_services_->has_source_labels; }
  bool has_network_gateways() const { return !gateways_by_network_->empty(); }
  // An endpoint of a headless service: its own proxy has no listener for it.
  bool is_headless_address(std::string_view ip) const { return headless_->contains(ip); }

 private:
  struct ServiceIndex {
    ByName<std::vector<mesh::ServicePtr>> by_host;
    ByName<std::vector<mesh::ServicePtr>> with_selector;   // by namespace
    ByName<std::vector<mesh::ServicePtr>> with_addresses;  // of ServiceEntries, by namespace
  };
  struct WorkloadIndex {
    ByName<mesh::WorkloadPtr> by_ip, by_name;
  };
  struct RoutingIndex {
    ByName<Configs<mesh::VirtualService>> by_gateway;
    // What was made of each config that stands by itself, to be taken over by the next snapshot.
    std::unordered_map<const void*, mesh::ConfigPtr<mesh::VirtualService>> resolved;
    Configs<mesh::VirtualService> sources;  // keeps the keys of `resolved` alive
    bool has_source_labels = false;
  };
  struct RulesOfNamespace {
    ByName<Configs<mesh::DestinationRule>> by_host;
    Configs<mesh::DestinationRule> wildcards;
  };
  struct RuleIndex {
    ByName<RulesOfNamespace> by_ns;
    bool has_selectors = false;
    bool has_label_failover = false;
  };
  using HeadlessIndex = ByName<char>;

  void sort_configs();
  void index(const MeshSnapshot* before);
  std::shared_ptr<const ServiceIndex> index_services();
  std::shared_ptr<const RoutingIndex> index_virtual_services(const RoutingIndex* before);
  std::shared_ptr<const RuleIndex> index_rules();
  std::shared_ptr<const ByName<Gateways>> index_gateways();
  std::shared_ptr<const WorkloadIndex> index_workloads();
  std::shared_ptr<const HeadlessIndex> index_headless();

  SnapshotInput in_;
  std::shared_ptr<const ServiceIndex> services_;
  std::shared_ptr<const WorkloadIndex> workloads_;
  std::shared_ptr<const RoutingIndex> virtual_services_;
  std::shared_ptr<const RuleIndex> rules_;
  std::shared_ptr<const ByName<Gateways>> gateways_by_network_;
  std::shared_ptr<const HeadlessIndex> headless_;
  bool has_label_failover_ = false;
};
// A policy with targetRefs holds for the Gateway API objects that it names.
bool hits_target(const std::vector<mesh::TargetRef>& targets, const Proxy& proxy);
using SnapshotPtr = std::shared_ptr<const MeshSnapshot>;

}  // namespace lateen::discovery
