// The service registry's values: services, their ports, the workloads (pods, WorkloadEntries) and
// endpoints behind them, whatever registry they came from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mesh/protocol.h"
#include "mesh/service_entry.h"

namespace lateen::mesh {

struct ServicePort {
  std::string name;
  int number = 0;
  Protocol protocol = Protocol::kUnsupported;
  std::string target_name;  // a named targetPort
  int target = 0;           // a numeric one; 0 when named
  int node_port = 0;
  bool operator==(const ServicePort&) const = default;
};

struct Service {
  enum class Resolution : unsigned char {
    kEndpoints,  // balanced by the proxy over known endpoints (EDS)
    kDns,
    kDnsRoundRobin,
    kPassthrough,  // to the address that the client dialled
  };
  enum class Registry : unsigned char { kKubernetes, kExternal };

  std::string host;  // reviews.default.svc.cluster.local
  std::string name;  // reviews; the host itself for an external service
  std::string ns;
  std::string created;
  std::vector<std::string> addresses;  // virtual IPs or CIDRs; empty: none
  // One that we gave it, for proxies that answer DNS themselves; empty: none.
  std::string auto_address;
  std::vector<ServicePort> ports;
  Resolution resolution = Resolution::kEndpoints;
  Registry registry = Registry::kKubernetes;
  bool is_headless = false;
  bool is_mesh_external = false;
  std::string external_name;  // of an ExternalName service
  std::vector<std::string> export_to;
  Labels selector;
  Labels labels;
  std::vector<std::string> subject_alt_names;
  bool is_load_balancer = false;
  std::vector<std::string> external_ips;  // status.loadBalancer.ingress and spec.externalIPs

  const ServicePort* find_port(int number) const;
  const ServicePort* find_port_named(std::string_view name) const;
  bool operator==(const Service&) const = default;
};
using ServicePtr = std::shared_ptr<const Service>;

// A pod or WorkloadEntry: what stands behind an address.
struct Workload {
  std::string ip;
  std::vector<std::string> ips;
  std::string name;  // of the pod
  std::string ns;
  Labels labels;
  std::string service_account;
  std::string node;
  std::string workload_name;  // of the Deployment, StatefulSet, …
  std::string owner_kind;
  std::string locality;  // region/zone/subzone
  std::string network;
  std::uint32_t weight = 1;  // of a WorkloadEntry
  bool has_mtls = false;     // label security.istio.io/tlsMode: istio
  bool is_ready = false;
  bool is_host_network = false;
  struct Port {
    std::string name;
    int number = 0;
    std::string transport;
    bool operator==(const Port&) const = default;
  };
  std::vector<Port> ports;  // container ports
  std::string spiffe_id(std::string_view trust_domain) const;
  std::string canonical_name() const;
  std::string canonical_revision() const;
  bool operator==(const Workload&) const = default;
};
using WorkloadPtr = std::shared_ptr<const Workload>;

struct Endpoint {
  std::string address;  // IP, DNS name, or unix path (starts with '/')
  int port = 0;
  std::string port_name;  // the service port it serves
  Labels labels;
  std::string service_account;  // "spiffe://…" is made of ns and this
  std::string ns;
  std::string workload_name;
  std::string canonical_name, canonical_revision;
  std::string locality;
  std::string network;
  std::uint32_t weight = 1;
  bool has_mtls = false;
  bool is_healthy = true;
  std::string hostname, node;  // of the pod (StatefulSet members)
  bool operator==(const Endpoint&) const = default;
};
struct EndpointSet {
  std::vector<Endpoint> endpoints;  // of one service, all ports
};
using EndpointSetPtr = std::shared_ptr<const EndpointSet>;

// From Kubernetes objects.
Service service_of_kube(const data::Json& service, std::string_view domain);
Workload workload_of_pod(const data::Json& pod);
std::string locality_of_node(const data::Json& node);
// Name and kind of what runs a pod: a ReplicaSet's Deployment, a Job's CronJob.
struct WorkloadOwner {
  std::string name;
  std::string kind;
  std::string api_version;
};
WorkloadOwner owner_of_pod(const data::Json& pod);

// From ServiceEntry: one service per host; endpoints of inline workloads (none of selected ones).
std::vector<Service> services_of_entry(const Config<ServiceEntry>& entry);
// `entry`'s endpoints for one of its hosts. `selected` are workloads that its selector picks.
std::vector<Endpoint> endpoints_of_entry(const Config<ServiceEntry>& entry, std::string_view host,
                                         const std::vector<WorkloadPtr>& selected);
Workload workload_of_entry(const Config<WorkloadEntry>& entry);

// Adds the endpoints of an EndpointSlice. `find` gives the workload of an IP, or null.
template <typename Find>
void append_slice(const data::Json& slice, Find find, std::vector<Endpoint>& out);
Endpoint endpoint_at(std::string address, int port, std::string port_name, const Workload* workload,
                     std::string_view ns);

template <typename Find>
void append_slice(const data::Json& slice, Find find, std::vector<Endpoint>& out) {
  for (const data::Json& item : data::get_array(slice, {"endpoints"})) {
    const bool is_ready = data::get_bool(item, {"conditions", "ready"}, true);
    const bool is_terminating = data::get_bool(item, {"conditions", "terminating"}, false);
    if (!is_ready || is_terminating) continue;
    for (const data::Json& address : data::get_array(item, {"addresses"})) {
      const std::string ip(data::as_string(address));
      const Workload* workload = find(ip);
      for (const data::Json& port : data::get_array(slice, {"ports"})) {
        if (data::get_string(port, {"protocol"}, "TCP") == "UDP") continue;
        Endpoint endpoint = endpoint_at(ip, static_cast<int>(data::get_int(port, {"port"})),
                                        std::string(data::get_string(port, {"name"})), workload,
                                        data::get_string(slice, {"metadata", "namespace"}));
        endpoint.hostname = data::get_string(item, {"hostname"});
        out.push_back(std::move(endpoint));
      }
    }
  }
}

}  // namespace lateen::mesh
