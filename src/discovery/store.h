// Store: the control plane's own copy of what it needs of the Kubernetes API, parsed, and what a
// change can affect. Knows no client and no thread; the ingest guards it with a mutex, tests fill
// it from YAML.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "discovery/parts.h"
#include "discovery/translate/translation.h"

namespace lateen::discovery {

// What proxies must be told after a change.
struct Impact {
  bool is_full = false;           // config of any type may differ
  std::set<std::string> hosts;    // services whose endpoints changed, and nothing else did
  std::set<std::string> secrets;  // "ns/name"
  std::string reason;             // for pilot_push_triggers: "config", "endpoint", "service", …
  bool empty() const { return !is_full && hosts.empty() && secrets.empty(); }
  void add(const Impact& other);
};

class Store {
 public:
  struct Options {
    std::string domain = "cluster.local";
    std::string system_namespace = "istio-system";
    std::optional<double> default_sampling;  // percent, where the mesh config says nothing
    std::string revision;  // "" or "default": ConfigMap istio, else istio-<revision>
  };
  explicit Store(Options options);

  // Takes an object of any kind it knows; others are ignored. An Istio config that does not parse
  // replaces its earlier version by nothing, with a log line.
  Impact put(const data::Json& object);
  Impact remove(const data::Json& object);
  // Keys fetched from `uri`.
  Impact set_jwks(const std::string& uri, std::string keys);
  // jwksUri of all RequestAuthentications (an issuer when it has none).
  std::set<std::string> wanted_jwks() const;

  SnapshotInput input(std::string version) const;
  const mesh::MeshConfig& mesh_config() const { return *mesh_; }
  std::size_t config_count() const;
  std::uint64_t rejected_count() const { return rejected_; }

 private:
  using Name = std::pair<std::string, std::string>;  // namespace, name
  template <typename Spec>
  using Table = std::map<Name, mesh::ConfigPtr<Spec>>;

  Impact apply(const data::Json& object, bool is_removed);
  Impact changed(PartSet parts, std::string reason);
  template <typename Spec>
  Impact apply_config(const data::Json& object, bool is_removed, Table<Spec>& table, Part part);
  Impact apply_service(const data::Json& object, bool is_removed);
  Impact apply_slice(const data::Json& object, bool is_removed);
  Impact apply_pod(const data::Json& object, bool is_removed);
  Impact apply_node(const data::Json& object, bool is_removed);
  Impact apply_secret(const data::Json& object, bool is_removed);
  Impact apply_mesh_config(const data::Json& object, bool is_removed);
  Impact apply_networks(const data::Json& object, bool is_removed);
  Impact apply_namespace(const data::Json& object, bool is_removed);
  Impact apply_translated(const data::Json& object, bool is_removed);
  void note_health(const data::Json& entry, bool is_removed);
  Impact rebuild_endpoints(const std::string& ns);
  Impact rebuild_service(const mesh::Service& service);
  void rebuild_entries();
  Impact replace_endpoints(const mesh::Service& service, std::vector<mesh::Endpoint> endpoints);
  std::vector<mesh::WorkloadPtr> select_workloads(const std::string& ns,
                                                  const mesh::Labels& selector) const;

  Options options_;
  Versions versions_;
  std::shared_ptr<const mesh::MeshConfig> mesh_;
  std::shared_ptr<const mesh::MeshNetworks> networks_;
  std::string networks_text_;
  std::string network_;
  // Ingresses and the Gateway API's objects, which become Gateways and VirtualServices.
  Translation::Objects translated_;
  mutable std::shared_ptr<const Translation> translation_;  // null: to be made anew
  std::set<Name> unhealthy_entries_;                        // WorkloadEntries
  std::map<Name, mesh::ServicePtr> services_;
  std::map<Name, std::vector<mesh::ServicePtr>> entry_services_;
  std::map<Name, data::Json> slices_;
  std::map<Name, std::set<std::string>> slices_of_service_;
  std::map<Name, mesh::WorkloadPtr> pods_;
  std::map<std::string, Name, std::less<>> pod_by_ip_;
  std::map<Name, mesh::WorkloadPtr> entries_;
  std::map<std::string, std::string, std::less<>> node_localities_;
  std::map<std::string, TlsSecretPtr> secrets_;
  ByName<mesh::EndpointSetPtr> endpoints_;
  mutable std::shared_ptr<const EndpointIndex> shared_endpoints_;
  ByName<std::string> jwks_;
  std::uint64_t rejected_ = 0;

  Table<mesh::VirtualService> virtual_services_;
  Table<mesh::DestinationRule> destination_rules_;
  Table<mesh::Gateway> gateways_;
  Table<mesh::ServiceEntry> service_entries_;
  Table<mesh::WorkloadEntry> workload_entries_;
  Table<mesh::Sidecar> sidecars_;
  Table<mesh::PeerAuthentication> peer_authentications_;
  Table<mesh::RequestAuthentication> request_authentications_;
  Table<mesh::AuthorizationPolicy> authorization_policies_;
  Table<mesh::EnvoyFilter> envoy_filters_;
  Table<mesh::Telemetry> telemetries_;
  Table<mesh::WasmPlugin> wasm_plugins_;
  Table<mesh::ProxyConfigSpec> proxy_configs_;
};

}  // namespace lateen::discovery
