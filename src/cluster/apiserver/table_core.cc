// Cells of the kinds that are not workloads: services, nodes, namespaces, events, storage, RBAC,
// registrations.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cluster/apiserver/table_cells.h"
#include "kube/selector.h"

namespace lateen::cluster::apiserver {
namespace {

std::string text_at(const Json& object, std::initializer_list<std::string_view> path) {
  return std::string(data::get_string(object, path));
}

// ---- services, endpoints ----

std::string external_ip(const Json& service) {
  const auto type = data::get_string(service, {"spec", "type"});
  std::vector<std::string> ips;
  for (const auto& ip : data::get_array(service, {"spec", "externalIPs"}))
    ips.emplace_back(data::as_string(ip));
  if (type == "ExternalName") return text_at(service, {"spec", "externalName"});
  if (type == "LoadBalancer") {
    std::vector<std::string> all;
    for (const auto& ingress : data::get_array(service, {"status", "loadBalancer", "ingress"})) {
      const auto ip = text_at(ingress, {"ip"});
      all.push_back(ip.empty() ? text_at(ingress, {"hostname"}) : ip);
    }
    all.insert(all.end(), ips.begin(), ips.end());
    return all.empty() ? "<pending>" : join(all, ",");
  }
  return or_none(join(ips, ","));
}

std::string port_list(const Json& service) {
  std::vector<std::string> parts;
  for (const auto& port : data::get_array(service, {"spec", "ports"})) {
    const auto number = data::get_int(port, {"port"});
    const auto node_port = data::get_int(port, {"nodePort"});
    const auto protocol = data::get_string(port, {"protocol"}, "TCP");
    parts.push_back(node_port > 0 ? fmt::format("{}:{}/{}", number, node_port, protocol)
                                  : fmt::format("{}/{}", number, protocol));
  }
  return or_none(join(parts, ","));
}

JsonArray service_cells(const Json& service, WallTime now) {
  return {Json(kube::name_of(service)),
          Json(text_at(service, {"spec", "type"})),
          Json(or_none(text_at(service, {"spec", "clusterIP"}))),
          Json(external_ip(service)),
          Json(port_list(service)),
          Json(age_of(service, now)),
          Json(label_text(data::get_object(service, {"spec", "selector"})))};
}

std::string shorten(const std::vector<std::string>& all, std::size_t most) {
  if (all.empty()) return "<none>";
  const std::vector<std::string> first(
      all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(most, all.size())));
  std::string text = join(first, ",");
  if (all.size() > most) text += fmt::format(" + {} more...", all.size() - most);
  return text;
}

JsonArray endpoints_cells(const Json& endpoints, WallTime now) {
  std::vector<std::string> all;
  for (const auto& subset : data::get_array(endpoints, {"subsets"})) {
    const auto& ports = data::get_array(subset, {"ports"});
    for (const auto& address : data::get_array(subset, {"addresses"})) {
      const auto ip = text_at(address, {"ip"});
      if (ports.empty()) all.push_back(ip);
      for (const auto& port : ports)
        all.push_back(fmt::format("{}:{}", ip, data::get_int(port, {"port"})));
    }
  }
  return {Json(kube::name_of(endpoints)), Json(shorten(all, 3)), Json(age_of(endpoints, now))};
}

JsonArray slice_cells(const Json& slice, WallTime now) {
  std::vector<std::string> ports;
  for (const auto& port : data::get_array(slice, {"ports"})) {
    ports.push_back(fmt::format("{}", data::get_int(port, {"port"})));
  }
  std::vector<std::string> addresses;
  for (const auto& endpoint : data::get_array(slice, {"endpoints"})) {
    for (const auto& address : data::get_array(endpoint, {"addresses"}))
      addresses.emplace_back(data::as_string(address));
  }
  const auto unset = [](std::string text) {
    return text == "<none>" ? std::string("<unset>") : text;
  };
  return {Json(kube::name_of(slice)), Json(text_at(slice, {"addressType"})),
          Json(unset(shorten(ports, 3))), Json(unset(shorten(addresses, 3))),
          Json(age_of(slice, now))};
}

JsonArray ingress_cells(const Json& ingress, WallTime now) {
  std::vector<std::string> hosts;
  for (const auto& rule : data::get_array(ingress, {"spec", "rules"})) {
    const auto host = text_at(rule, {"host"});
    if (!host.empty() && std::find(hosts.begin(), hosts.end(), host) == hosts.end())
      hosts.push_back(host);
  }
  std::vector<std::string> addresses;
  for (const auto& one : data::get_array(ingress, {"status", "loadBalancer", "ingress"})) {
    const auto ip = text_at(one, {"ip"});
    addresses.push_back(ip.empty() ? text_at(one, {"hostname"}) : ip);
  }
  const bool has_tls = !data::get_array(ingress, {"spec", "tls"}).empty();
  return {Json(kube::name_of(ingress)),
          Json(or_none(text_at(ingress, {"spec", "ingressClassName"}))),
          Json(hosts.empty() ? "*" : shorten(hosts, 3)),
          Json(join(addresses, ",")),
          Json(has_tls ? "80, 443" : "80"),
          Json(age_of(ingress, now))};
}

// ---- nodes, namespaces, events ----

std::string node_address(const Json& node, std::string_view type) {
  for (const auto& address : data::get_array(node, {"status", "addresses"})) {
    if (data::get_string(address, {"type"}) == type) return text_at(address, {"address"});
  }
  return "<none>";
}

JsonArray node_cells(const Json& node, WallTime now) {
  std::string status = "Unknown";
  if (const Json* ready = kube::condition(node, "Ready")) {
    status = data::get_string(*ready, {"status"}) == "True" ? "Ready" : "NotReady";
  }
  if (data::get_bool(node, {"spec", "unschedulable"})) status += ",SchedulingDisabled";
  std::vector<std::string> roles;
  constexpr std::string_view kRolePrefix = "node-role.kubernetes.io/";
  for (const auto& [key, value] : kube::labels_of(node)) {
    const std::string_view name(key);
    if (name.starts_with(kRolePrefix) && name.size() > kRolePrefix.size()) {
      roles.emplace_back(name.substr(kRolePrefix.size()));
    } else if (name == "kubernetes.io/role" && !data::as_string(value).empty()) {
      roles.emplace_back(data::as_string(value));
    }
  }
  std::sort(roles.begin(), roles.end());
  const auto info = [&](std::string_view field) {
    const auto text = text_at(node, {"status", "nodeInfo", field});
    return text.empty() ? std::string("<unknown>") : text;
  };
  return {Json(kube::name_of(node)),
          Json(status),
          Json(or_none(join(roles, ","))),
          Json(age_of(node, now)),
          Json(info("kubeletVersion")),
          Json(node_address(node, "InternalIP")),
          Json(node_address(node, "ExternalIP")),
          Json(info("osImage")),
          Json(info("kernelVersion")),
          Json(info("containerRuntimeVersion"))};
}

JsonArray namespace_cells(const Json& ns, WallTime now) {
  return {Json(kube::name_of(ns)), Json(text_at(ns, {"status", "phase"})), Json(age_of(ns, now))};
}

JsonArray event_cells(const Json& event, WallTime now) {
  const auto since =
      [&](std::initializer_list<std::initializer_list<std::string_view>> paths) -> std::string {
    for (const auto& path : paths) {
      if (!data::get_string(event, path).empty()) return age_of(event, path, now);
    }
    return "<unknown>";
  };
  std::string first = since({{"firstTimestamp"}, {"eventTime"}});
  std::string last = since({{"series", "lastObservedTime"}, {"lastTimestamp"}});
  if (last == "<unknown>") last = first;
  std::int64_t count =
      data::get_int(event, {"series", "count"}, data::get_int(event, {"count"}, 1));
  const auto kind = to_lower(data::get_string(event, {"involvedObject", "kind"}));
  const auto name = text_at(event, {"involvedObject", "name"});
  std::string source = text_at(event, {"source", "component"});
  if (source.empty()) source = text_at(event, {"reportingComponent"});
  if (const auto host = text_at(event, {"source", "host"}); !host.empty()) source += ", " + host;
  return {Json(last),
          Json(text_at(event, {"type"})),
          Json(text_at(event, {"reason"})),
          Json(kind.empty() ? name : kind + "/" + name),
          Json(text_at(event, {"involvedObject", "fieldPath"})),
          Json(source),
          Json(std::string(trim(data::get_string(event, {"message"})))),
          Json(first),
          Json(std::max<std::int64_t>(count, 1)),
          Json(kube::name_of(event))};
}

// ---- configuration, storage ----

std::int64_t size_at(const Json& object, std::string_view field) {
  return static_cast<std::int64_t>(data::get_object(object, {field}).size());
}

JsonArray config_map_cells(const Json& object, WallTime now) {
  return {Json(kube::name_of(object)),
          Json(size_at(object, "data") + size_at(object, "binaryData")), Json(age_of(object, now))};
}
JsonArray secret_cells(const Json& object, WallTime now) {
  return {Json(kube::name_of(object)), Json(text_at(object, {"type"})),
          Json(size_at(object, "data")), Json(age_of(object, now))};
}
JsonArray account_cells(const Json& object, WallTime now) {
  return {Json(kube::name_of(object)),
          Json(static_cast<std::int64_t>(data::get_array(object, {"secrets"}).size())),
          Json(age_of(object, now))};
}

std::string access_modes(const JsonArray& modes) {
  std::vector<std::string> parts;
  for (const auto& mode : modes) {
    const auto name = data::as_string(mode);
    parts.emplace_back(name == "ReadWriteOnce"   ? "RWO"
                       : name == "ReadOnlyMany"  ? "ROX"
                       : name == "ReadWriteMany" ? "RWX"
                                                 : "RWOP");
  }
  return join(parts, ",");
}
JsonArray claim_cells(const Json& object, WallTime now) {
  const bool is_bound = !text_at(object, {"spec", "volumeName"}).empty();
  return {Json(kube::name_of(object)),
          Json(kube::is_deleting(object) ? "Terminating" : text_at(object, {"status", "phase"})),
          Json(text_at(object, {"spec", "volumeName"})),
          Json(is_bound ? text_at(object, {"status", "capacity", "storage"}) : ""),
          Json(is_bound ? access_modes(data::get_array(object, {"status", "accessModes"})) : ""),
          Json(text_at(object, {"spec", "storageClassName"})),
          Json("<unset>"),
          Json(age_of(object, now)),
          Json(text_at(object, {"spec", "volumeMode"}))};
}
JsonArray volume_cells(const Json& object, WallTime now) {
  const auto claim = text_at(object, {"spec", "claimRef", "name"});
  return {
      Json(kube::name_of(object)),
      Json(text_at(object, {"spec", "capacity", "storage"})),
      Json(access_modes(data::get_array(object, {"spec", "accessModes"}))),
      Json(text_at(object, {"spec", "persistentVolumeReclaimPolicy"})),
      Json(text_at(object, {"status", "phase"})),
      Json(claim.empty() ? "" : text_at(object, {"spec", "claimRef", "namespace"}) + "/" + claim),
      Json(text_at(object, {"spec", "storageClassName"})),
      Json("<unset>"),
      Json(text_at(object, {"status", "reason"})),
      Json(age_of(object, now)),
      Json(text_at(object, {"spec", "volumeMode"}))};
}
JsonArray class_cells(const Json& object, WallTime now) {
  std::string name(kube::name_of(object));
  if (kube::annotation(object, "storageclass.kubernetes.io/is-default-class") == "true")
    name += " (default)";
  return {Json(name),
          Json(text_at(object, {"provisioner"})),
          Json(data::get_string(object, {"reclaimPolicy"}, "Delete")),
          Json(data::get_string(object, {"volumeBindingMode"}, "Immediate")),
          Json(data::get_bool(object, {"allowVolumeExpansion"})),
          Json(age_of(object, now))};
}

// ---- RBAC, registrations, the rest ----

JsonArray created_cells(const Json& object, WallTime) {
  return {Json(kube::name_of(object)), Json(text_at(object, {"metadata", "creationTimestamp"}))};
}
JsonArray binding_cells(const Json& object, WallTime now) {
  std::vector<std::string> users, groups, accounts;
  for (const auto& subject : data::get_array(object, {"subjects"})) {
    const auto kind = data::get_string(subject, {"kind"});
    if (kind == "User") users.push_back(text_at(subject, {"name"}));
    else if (kind == "Group") groups.push_back(text_at(subject, {"name"}));
    else accounts.push_back(text_at(subject, {"namespace"}) + "/" + text_at(subject, {"name"}));
  }
  return {Json(kube::name_of(object)),
          Json(fmt::format("{}/{}", text_at(object, {"roleRef", "kind"}),
                           text_at(object, {"roleRef", "name"}))),
          Json(age_of(object, now)),
          Json(join(users, ", ")),
          Json(join(groups, ", ")),
          Json(join(accounts, ", "))};
}
JsonArray webhook_cells(const Json& object, WallTime now) {
  return {Json(kube::name_of(object)),
          Json(static_cast<std::int64_t>(data::get_array(object, {"webhooks"}).size())),
          Json(age_of(object, now))};
}
JsonArray policy_cells(const Json& object, WallTime now) {
  return {Json(kube::name_of(object)), Json(selector_text(object, {"spec", "podSelector"})),
          Json(age_of(object, now))};
}
JsonArray lease_cells(const Json& object, WallTime now) {
  return {Json(kube::name_of(object)), Json(text_at(object, {"spec", "holderIdentity"})),
          Json(age_of(object, now))};
}
JsonArray ingress_class_cells(const Json& object, WallTime now) {
  return {Json(kube::name_of(object)), Json(text_at(object, {"spec", "controller"})),
          Json(or_none(text_at(object, {"spec", "parameters", "name"}))),
          Json(age_of(object, now))};
}
JsonArray priority_cells(const Json& object, WallTime now) {
  return {Json(kube::name_of(object)), Json(data::get_int(object, {"value"})),
          Json(data::get_bool(object, {"globalDefault"})), Json(age_of(object, now)),
          Json(data::get_string(object, {"preemptionPolicy"}, "PreemptLowerPriority"))};
}

}  // namespace

const TableKind* core_table_kind(std::string_view bucket) {
  constexpr std::string_view kBinding = "Name|Role|Age|!Users|!Groups|!ServiceAccounts";
  static constexpr auto kKinds = std::to_array<TableKind>({
      {"/services", "Name|Type|Cluster-IP|External-IP|Port(s)|Age|!Selector", service_cells},
      {"/endpoints", "Name|Endpoints|Age", endpoints_cells},
      {"discovery.k8s.io/endpointslices", "Name|AddressType|Ports|Endpoints|Age", slice_cells},
      {"networking.k8s.io/ingresses", "Name|Class|Hosts|Address|Ports|Age", ingress_cells},
      {"networking.k8s.io/ingressclasses", "Name|Controller|Parameters|Age", ingress_class_cells},
      {"networking.k8s.io/networkpolicies", "Name|Pod-Selector|Age", policy_cells},
      {"/nodes",
       "Name|Status|Roles|Age|Version|!Internal-IP|!External-IP|!OS-Image|!Kernel-Version|!"
       "Container-Runtime",
       node_cells},
      {"/namespaces", "Name|Status|Age", namespace_cells},
      {"/events",
       "Last Seen|Type|Reason|Object|!Subobject|!Source|Message|!First Seen|!#Count|!Name",
       event_cells},
      {"/configmaps", "Name|#Data|Age", config_map_cells},
      {"/secrets", "Name|Type|#Data|Age", secret_cells},
      {"/serviceaccounts", "Name|#Secrets|Age", account_cells},
      {"/persistentvolumeclaims",
       "Name|Status|Volume|Capacity|Access "
       "Modes|StorageClass|VolumeAttributesClass|Age|!VolumeMode",
       claim_cells},
      {"/persistentvolumes",
       "Name|Capacity|Access Modes|Reclaim "
       "Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|!VolumeMode",
       volume_cells},
      {"storage.k8s.io/storageclasses",
       "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age", class_cells},
      {"rbac.authorization.k8s.io/clusterroles", "Name|Created At", created_cells},
      {"rbac.authorization.k8s.io/roles", "Name|Created At", created_cells},
      {"rbac.authorization.k8s.io/clusterrolebindings", kBinding, binding_cells},
      {"rbac.authorization.k8s.io/rolebindings", kBinding, binding_cells},
      {"apiextensions.k8s.io/customresourcedefinitions", "Name|Created At", created_cells},
      {"admissionregistration.k8s.io/mutatingwebhookconfigurations", "Name|#Webhooks|Age",
       webhook_cells},
      {"admissionregistration.k8s.io/validatingwebhookconfigurations", "Name|#Webhooks|Age",
       webhook_cells},
      {"coordination.k8s.io/leases", "Name|Holder|Age", lease_cells},
      {"scheduling.k8s.io/priorityclasses", "Name|#Value|Global-Default|Age|PreemptionPolicy",
       priority_cells},
  });
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const TableKind& kind) { return kind.bucket == bucket; });
  return found == kKinds.end() ? nullptr : &*found;
}

}  // namespace lateen::cluster::apiserver
