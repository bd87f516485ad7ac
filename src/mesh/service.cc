#include "mesh/service.h"

#include "base/strings.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

using data::get_array;
using data::get_int;
using data::get_string;

constexpr std::string_view kExportTo = "networking.istio.io/exportTo";

Labels labels_at(const data::Json& object, std::initializer_list<std::string_view> path) {
  Labels out;
  for (const auto& entry : data::get_object(object, path)) {
    out.emplace(std::string(entry.key()), std::string(data::as_string(entry.value())));
  }
  return out;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view item : split(text, ',')) {
    if (!trim(item).empty()) out.emplace_back(trim(item));
  }
  return out;
}

ServicePort port_of_kube(const data::Json& item) {
  ServicePort port;
  port.name = get_string(item, {"name"});
  port.number = static_cast<int>(get_int(item, {"port"}));
  port.protocol = select_protocol(port.number, port.name, get_string(item, {"protocol"}, "TCP"),
                                  get_string(item, {"appProtocol"}));
  port.node_port = static_cast<int>(get_int(item, {"nodePort"}));
  if (const data::Json* target = data::find(item, {"targetPort"})) {
    if (const auto number = data::as_int(*target)) {
      port.target = static_cast<int>(*number);
    } else {
      port.target_name = data::as_string(*target);
    }
  }
  if (port.target == 0 && port.target_name.empty()) port.target = port.number;
  return port;
}

}  // namespace

const ServicePort* Service::find_port(int number) const {
  for (const ServicePort& port : ports) {
    if (port.number == number) return &port;
  }
  return nullptr;
}

const ServicePort* Service::find_port_named(std::string_view wanted) const {
  for (const ServicePort& port : ports) {
    if (port.name == wanted) return &port;
  }
  return nullptr;
}

std::string Workload::spiffe_id(std::string_view trust_domain) const {
  return "spiffe://" + std::string(trust_domain) + "/ns/" + ns + "/sa/" + service_account;
}

std::string Workload::canonical_name() const {
  for (const std::string_view key :
       {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}) {
    if (const auto value = label_of(labels, key); !value.empty()) return std::string(value);
  }
  return workload_name;
}

std::string Workload::canonical_revision() const {
  for (const std::string_view key :
       {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"}) {
    if (const auto value = label_of(labels, key); !value.empty()) return std::string(value);
  }
  return "latest";
}

Service service_of_kube(const data::Json& object, std::string_view domain) {
  Service service;
  service.name = get_string(object, {"metadata", "name"});
  service.ns = get_string(object, {"metadata", "namespace"});
  service.host = service.name + "." + service.ns + ".svc." + std::string(domain);
  service.created = get_string(object, {"metadata", "creationTimestamp"});
  service.labels = read_labels(object);
  service.selector = labels_at(object, {"spec", "selector"});
  const std::string_view type = get_string(object, {"spec", "type"}, "ClusterIP");
  const std::string_view cluster_ip = get_string(object, {"spec", "clusterIP"});
  service.is_load_balancer = type == "LoadBalancer";
  if (type == "ExternalName") {
    service.external_name = get_string(object, {"spec", "externalName"});
    service.resolution = Service::Resolution::kDns;
    service.is_mesh_external = true;
  } else if (cluster_ip == "None" || cluster_ip.empty()) {
    service.is_headless = true;
    service.resolution = Service::Resolution::kPassthrough;
  } else {
    service.addresses.emplace_back(cluster_ip);
    for (const data::Json& ip : get_array(object, {"spec", "clusterIPs"})) {
      if (data::as_string(ip) != cluster_ip) service.addresses.emplace_back(data::as_string(ip));
    }
  }
  for (const data::Json& item : get_array(object, {"spec", "ports"})) {
    service.ports.push_back(port_of_kube(item));
  }
  for (const data::Json& ip : get_array(object, {"spec", "externalIPs"})) {
    service.external_ips.emplace_back(data::as_string(ip));
  }
  for (const data::Json& item : get_array(object, {"status", "loadBalancer", "ingress"})) {
    // A load balancer may be known by its name alone.
    const std::string_view at = get_string(item, {"ip"}, get_string(item, {"hostname"}));
    if (!at.empty()) service.external_ips.emplace_back(at);
  }
  const auto& annotations = data::get_object(object, {"metadata", "annotations"});
  if (const data::Json* to = annotations.if_contains(kExportTo)) {
    service.export_to = split_list(data::as_string(*to));
  }
  return service;
}

WorkloadOwner owner_of_pod(const data::Json& pod) {
  WorkloadOwner owner{std::string(get_string(pod, {"metadata", "name"})), "Pod", "v1"};
  for (const data::Json& reference : get_array(pod, {"metadata", "ownerReferences"})) {
    if (!data::get_bool(reference, {"controller"})) continue;
    owner.name = get_string(reference, {"name"});
    owner.kind = get_string(reference, {"kind"});
    owner.api_version = get_string(reference, {"apiVersion"});
    break;
  }
  if (owner.kind == "ReplicaSet") {
    const std::string_view hash = get_string(pod, {"metadata", "labels", "pod-template-hash"});
    if (!hash.empty() && owner.name.ends_with("-" + std::string(hash))) {
      owner.name.resize(owner.name.size() - hash.size() - 1);
      owner.kind = "Deployment";
    }
  } else if (owner.kind == "Job") {
    // A CronJob's jobs are "<name>-<minutes since 1970>".
    const std::size_t dash = owner.name.rfind('-');
    if (dash != std::string::npos && owner.name.size() - dash - 1 >= 8 &&
        parse_uint(std::string_view(owner.name).substr(dash + 1))) {
      owner.name.resize(dash);
      owner.kind = "CronJob";
    }
  } else if (owner.kind.empty() || owner.name.empty()) {
    owner.kind = "Pod";
  }
  return owner;
}

Workload workload_of_pod(const data::Json& pod) {
  Workload workload;
  workload.name = get_string(pod, {"metadata", "name"});
  workload.ns = get_string(pod, {"metadata", "namespace"});
  workload.labels = read_labels(pod);
  workload.ip = get_string(pod, {"status", "podIP"});
  for (const data::Json& ip : get_array(pod, {"status", "podIPs"})) {
    workload.ips.emplace_back(get_string(ip, {"ip"}));
  }
  if (workload.ips.empty() && !workload.ip.empty()) workload.ips.push_back(workload.ip);
  workload.service_account = get_string(pod, {"spec", "serviceAccountName"}, "default");
  workload.node = get_string(pod, {"spec", "nodeName"});
  workload.is_host_network = data::get_bool(pod, {"spec", "hostNetwork"});
  const WorkloadOwner owner = owner_of_pod(pod);
  workload.workload_name = label_of(workload.labels, "service.istio.io/workload-name", owner.name);
  workload.owner_kind = owner.kind;
  workload.has_mtls = label_of(workload.labels, "security.istio.io/tlsMode") == "istio";
  workload.network = label_of(workload.labels, "topology.istio.io/network");
  workload.locality = replace_all(label_of(workload.labels, "istio-locality"), ".", "/");
  for (const data::Json& condition : get_array(pod, {"status", "conditions"})) {
    if (get_string(condition, {"type"}) != "Ready") continue;
    workload.is_ready = get_string(condition, {"status"}) == "True";
  }
  for (const data::Json& container : get_array(pod, {"spec", "containers"})) {
    for (const data::Json& port : get_array(container, {"ports"})) {
      workload.ports.push_back({std::string(get_string(port, {"name"})),
                                static_cast<int>(get_int(port, {"containerPort"})),
                                std::string(get_string(port, {"protocol"}, "TCP"))});
    }
  }
  return workload;
}

std::string locality_of_node(const data::Json& node) {
  const Labels labels = read_labels(node);
  const std::string_view region = label_of(labels, "topology.kubernetes.io/region");
  const std::string_view zone = label_of(labels, "topology.kubernetes.io/zone");
  const std::string_view subzone = label_of(labels, "topology.istio.io/subzone");
  if (region.empty() && zone.empty() && subzone.empty()) return {};
  std::string out(region);
  if (!zone.empty() || !subzone.empty()) out.append("/").append(zone);
  if (!subzone.empty()) out.append("/").append(subzone);
  return out;
}

Endpoint endpoint_at(std::string address, int port, std::string port_name, const Workload* workload,
                     std::string_view ns) {
  Endpoint endpoint;
  endpoint.address = std::move(address);
  endpoint.port = port;
  endpoint.port_name = std::move(port_name);
  endpoint.ns = ns;
  if (workload == nullptr) return endpoint;
  endpoint.labels = workload->labels;
  endpoint.service_account = workload->service_account;
  endpoint.ns = workload->ns;
  endpoint.workload_name = workload->workload_name;
  endpoint.canonical_name = workload->canonical_name();
  endpoint.canonical_revision = workload->canonical_revision();
  endpoint.locality = workload->locality;
  endpoint.network = workload->network;
  endpoint.weight = workload->weight;
  endpoint.has_mtls = workload->has_mtls;
  endpoint.node = workload->node;
  return endpoint;
}

std::vector<Service> services_of_entry(const Config<ServiceEntry>& entry) {
  const ServiceEntry& spec = entry.spec;
  std::vector<Service> out;
  for (const std::string& host : spec.hosts) {
    Service service;
    service.host = host;
    service.name = host;
    service.ns = entry.meta.ns;
    service.created = entry.meta.created;
    service.registry = Service::Registry::kExternal;
    service.addresses = spec.addresses;
    service.export_to = spec.export_to;
    service.labels = entry.meta.labels;
    service.selector = spec.workload_selector;
    service.subject_alt_names = spec.subject_alt_names;
    service.is_mesh_external = spec.location == ServiceEntry::Location::kExternal;
    switch (spec.resolution) {
      case ServiceEntry::Resolution::kNone:
        service.resolution = Service::Resolution::kPassthrough;
        break;
      case ServiceEntry::Resolution::kStatic:
        service.resolution = Service::Resolution::kEndpoints;
        break;
      case ServiceEntry::Resolution::kDns: service.resolution = Service::Resolution::kDns; break;
      case ServiceEntry::Resolution::kDnsRoundRobin:
        service.resolution = Service::Resolution::kDnsRoundRobin;
        break;
    }
    for (const ServiceEntry::Port& port : spec.ports) {
      ServicePort& out_port = service.ports.emplace_back();
      out_port.name = port.name;
      out_port.number = static_cast<int>(port.number);
      out_port.protocol = parse_protocol(port.protocol);
      out_port.target = static_cast<int>(port.target_port != 0 ? port.target_port : port.number);
    }
    out.push_back(std::move(service));
  }
  return out;
}

// A WorkloadEntry's label decides; without it, one that has an identity takes mutual TLS.
static bool takes_mtls(const Labels& labels, std::string_view service_account) {
  const auto found = labels.find("security.istio.io/tlsMode");
  return found != labels.end() ? found->second == "istio" : !service_account.empty();
}

Workload workload_of_entry(const Config<WorkloadEntry>& entry) {
  Workload workload;
  workload.ip = entry.spec.address;
  workload.ips = {entry.spec.address};
  workload.name = entry.meta.name;
  workload.ns = entry.meta.ns;
  workload.labels = entry.spec.labels;
  for (const auto& [key, value] : entry.meta.labels) workload.labels.emplace(key, value);
  workload.service_account = entry.spec.service_account;
  workload.workload_name = entry.meta.name;
  workload.owner_kind = "WorkloadEntry";
  workload.locality = entry.spec.locality;
  workload.network = entry.spec.network;
  if (entry.spec.weight > 0) workload.weight = static_cast<std::uint32_t>(entry.spec.weight);
  workload.has_mtls = takes_mtls(workload.labels, entry.spec.service_account);
  workload.is_ready = true;
  for (const auto& [name, number] : entry.spec.ports) {
    workload.ports.push_back({name, static_cast<int>(number), "TCP"});
  }
  return workload;
}

std::vector<Endpoint> endpoints_of_entry(const Config<ServiceEntry>& entry, std::string_view host,
                                         const std::vector<WorkloadPtr>& selected) {
  const ServiceEntry& spec = entry.spec;
  std::vector<Endpoint> out;
  const auto target_of = [](const ServiceEntry::Port& port) {
    return static_cast<int>(port.target_port != 0 ? port.target_port : port.number);
  };
  for (const ServiceEntry::Port& port : spec.ports) {
    for (const WorkloadEntry& workload : spec.endpoints) {
      const auto own = workload.ports.find(port.name);
      const bool is_unix = workload.address.starts_with("unix://");
      Endpoint endpoint;
      endpoint.address = is_unix ? workload.address.substr(7) : workload.address;
      endpoint.port = own != workload.ports.end() ? static_cast<int>(own->second) : target_of(port);
      endpoint.port_name = port.name;
      endpoint.labels = workload.labels;
      endpoint.service_account = workload.service_account;
      endpoint.ns = entry.meta.ns;
      endpoint.locality = workload.locality;
      endpoint.network = workload.network;
      endpoint.weight = workload.weight > 0 ? static_cast<std::uint32_t>(workload.weight) : 1;
      endpoint.has_mtls = takes_mtls(workload.labels, workload.service_account);
      out.push_back(std::move(endpoint));
    }
    for (const WorkloadPtr& workload : selected) {
      int number = target_of(port);
      for (const Workload::Port& own : workload->ports) {
        if (own.name == port.name && workload->owner_kind == "WorkloadEntry") number = own.number;
      }
      out.push_back(endpoint_at(workload->ip, number, port.name, workload.get(), entry.meta.ns));
    }
    const bool is_dns = spec.resolution == ServiceEntry::Resolution::kDns ||
                        spec.resolution == ServiceEntry::Resolution::kDnsRoundRobin;
    if (is_dns && spec.endpoints.empty() && selected.empty() && !is_wildcard_host(host)) {
      Endpoint endpoint;
      endpoint.address = host;
      endpoint.port = target_of(port);
      endpoint.port_name = port.name;
      endpoint.ns = entry.meta.ns;
      out.push_back(std::move(endpoint));
    }
  }
  return out;
}

}  // namespace lateen::mesh
