// One target group per target: Prometheus merges what becomes equal after relabelling.
#include "console/prometheus/target_groups.h"

#include <fmt/core.h>

#include "kube/object.h"

namespace lateen::console {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kMeta = "__meta_kubernetes_";

// Prometheus' label names know letters, digits and '_'.
std::string label_name(std::string_view name) {
  std::string safe(name);
  for (char& c : safe) {
    const bool is_plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_plain) c = '_';
  }
  return safe;
}

class LabelSet {
 public:
  void set(std::string_view name, std::string_view value) {
    labels_[fmt::format("{}{}", kMeta, name)] = Json(value);
  }
  // Labels and annotations of an object: pod_label_X and pod_labelpresent_X.
  void add_object(std::string_view kind, const Json& object) {
    add_map(kind, "label", kube::labels_of(object));
    add_map(kind, "annotation", kube::annotations_of(object));
  }
  void add_pod(const Json& pod) {
    set("namespace", kube::namespace_of(pod));
    set("pod_name", kube::name_of(pod));
    set("pod_ip", data::get_string(pod, {"status", "podIP"}));
    set("pod_node_name", data::get_string(pod, {"spec", "nodeName"}));
    set("pod_host_ip", data::get_string(pod, {"status", "hostIP"}));
    set("pod_phase", data::get_string(pod, {"status", "phase"}));
    set("pod_uid", kube::uid_of(pod));
    const Json* ready = kube::condition(pod, "Ready");
    const bool is_ready = ready != nullptr && data::get_string(*ready, {"status"}) == "True";
    set("pod_ready", is_ready ? "true" : "false");
    if (const Json* owner = kube::controller_of(pod)) {
      set("pod_controller_kind", data::get_string(*owner, {"kind"}));
      set("pod_controller_name", data::get_string(*owner, {"name"}));
    }
    add_object("pod", pod);
  }
  void add_container(const Json& container, const Json* port, bool is_init) {
    set("pod_container_name", data::get_string(container, {"name"}));
    set("pod_container_image", data::get_string(container, {"image"}));
    set("pod_container_init", is_init ? "true" : "false");
    if (port == nullptr) return;
    set("pod_container_port_name", data::get_string(*port, {"name"}));
    set("pod_container_port_number", std::to_string(data::get_int(*port, {"containerPort"})));
    set("pod_container_port_protocol", data::get_string(*port, {"protocol"}, "TCP"));
  }
  Json group(const std::string& address) const {
    JsonArray targets;
    targets.emplace_back(address);
    return {{"targets", std::move(targets)}, {"labels", labels_}};
  }

 private:
  void add_map(std::string_view kind, std::string_view what, const JsonObject& from) {
    for (const auto& [key, value] : from) {
      const std::string name = label_name(key);
      set(fmt::format("{}_{}_{}", kind, what, name), data::as_string(value));
      set(fmt::format("{}_{}present_{}", kind, what, name), "true");
    }
  }
  JsonObject labels_;
};

std::string address(std::string_view ip, std::int64_t port) {
  if (ip.find(':') != std::string_view::npos) return fmt::format("[{}]:{}", ip, port);
  return fmt::format("{}:{}", ip, port);
}

void add_container_targets(const Json& pod, const Json& container, bool is_init,
                           JsonArray& groups) {
  const auto ip = data::get_string(pod, {"status", "podIP"});
  LabelSet labels;
  labels.add_pod(pod);
  const auto& ports = data::get_array(container, {"ports"});
  if (ports.empty()) {
    labels.add_container(container, nullptr, is_init);
    groups.push_back(labels.group(std::string(ip)));
    return;
  }
  for (const Json& port : ports) {
    LabelSet with_port = labels;
    with_port.add_container(container, &port, is_init);
    groups.push_back(with_port.group(address(ip, data::get_int(port, {"containerPort"}))));
  }
}

const Json* find_named(const std::vector<Json>& list, std::string_view ns, std::string_view name) {
  for (const Json& one : list) {
    if (kube::name_of(one) == name && kube::namespace_of(one) == ns) return &one;
  }
  return nullptr;
}

void add_service(LabelSet& labels, const Json& service) {
  labels.set("service_name", kube::name_of(service));
  labels.add_object("service", service);
}

// The pod behind an endpoint, with the container that has the port.
void add_endpoint_pod(LabelSet& labels, const Json& reference, std::int64_t port,
                      const ClusterObjects& objects) {
  labels.set("endpoint_address_target_kind", data::get_string(reference, {"kind"}));
  labels.set("endpoint_address_target_name", data::get_string(reference, {"name"}));
  if (data::get_string(reference, {"kind"}) != "Pod") return;
  const Json* pod = find_named(objects.pods, data::get_string(reference, {"namespace"}),
                               data::get_string(reference, {"name"}));
  if (pod == nullptr) return;
  labels.add_pod(*pod);
  for (const Json& container : data::get_array(*pod, {"spec", "containers"})) {
    for (const Json& one : data::get_array(container, {"ports"})) {
      if (data::get_int(one, {"containerPort"}) == port) {
        return labels.add_container(container, &one, false);
      }
    }
  }
}

void add_subset(const Json& endpoints, const Json& subset, bool is_ready,
                const ClusterObjects& objects, JsonArray& groups) {
  const auto ns = kube::namespace_of(endpoints);
  const Json* service = find_named(objects.services, ns, kube::name_of(endpoints));
  const char* const list = is_ready ? "addresses" : "notReadyAddresses";
  for (const Json& one : data::get_array(subset, {list})) {
    for (const Json& port : data::get_array(subset, {"ports"})) {
      const auto number = data::get_int(port, {"port"});
      LabelSet labels;
      labels.set("namespace", ns);
      labels.set("endpoints_name", kube::name_of(endpoints));
      labels.set("endpoint_ready", is_ready ? "true" : "false");
      labels.set("endpoint_port_name", data::get_string(port, {"name"}));
      labels.set("endpoint_port_protocol", data::get_string(port, {"protocol"}, "TCP"));
      labels.set("endpoint_node_name", data::get_string(one, {"nodeName"}));
      labels.set("endpoint_hostname", data::get_string(one, {"hostname"}));
      labels.add_object("endpoints", endpoints);
      if (service != nullptr) add_service(labels, *service);
      if (const Json* target = data::find(one, {"targetRef"})) {
        add_endpoint_pod(labels, *target, number, objects);
      }
      groups.push_back(labels.group(address(data::get_string(one, {"ip"}), number)));
    }
  }
}

}  // namespace

JsonArray pod_targets(const ClusterObjects& objects) {
  JsonArray groups;
  for (const Json& pod : objects.pods) {
    if (data::get_string(pod, {"status", "podIP"}).empty()) continue;
    for (const Json& one : data::get_array(pod, {"spec", "containers"})) {
      add_container_targets(pod, one, false, groups);
    }
    for (const Json& one : data::get_array(pod, {"spec", "initContainers"})) {
      add_container_targets(pod, one, true, groups);
    }
  }
  return groups;
}

JsonArray service_targets(const ClusterObjects& objects) {
  JsonArray groups;
  for (const Json& service : objects.services) {
    for (const Json& port : data::get_array(service, {"spec", "ports"})) {
      LabelSet labels;
      labels.set("namespace", kube::namespace_of(service));
      labels.set("service_cluster_ip", data::get_string(service, {"spec", "clusterIP"}));
      labels.set("service_type", data::get_string(service, {"spec", "type"}));
      labels.set("service_port_name", data::get_string(port, {"name"}));
      labels.set("service_port_number", std::to_string(data::get_int(port, {"port"})));
      labels.set("service_port_protocol", data::get_string(port, {"protocol"}, "TCP"));
      add_service(labels, service);
      groups.push_back(
          labels.group(fmt::format("{}.{}.svc:{}", kube::name_of(service),
                                   kube::namespace_of(service), data::get_int(port, {"port"}))));
    }
  }
  return groups;
}

JsonArray endpoints_targets(const ClusterObjects& objects) {
  JsonArray groups;
  for (const Json& endpoints : objects.endpoints) {
    for (const Json& subset : data::get_array(endpoints, {"subsets"})) {
      add_subset(endpoints, subset, true, objects, groups);
      add_subset(endpoints, subset, false, objects, groups);
    }
  }
  return groups;
}

JsonArray endpoint_slice_targets(const ClusterObjects& objects) {
  JsonArray groups;
  for (const Json& slice : objects.endpoint_slices) {
    const auto ns = kube::namespace_of(slice);
    const Json* service =
        find_named(objects.services, ns, kube::label(slice, "kubernetes.io/service-name"));
    for (const Json& endpoint : data::get_array(slice, {"endpoints"})) {
      for (const Json& port : data::get_array(slice, {"ports"})) {
        const auto number = data::get_int(port, {"port"});
        for (const Json& ip : data::get_array(endpoint, {"addresses"})) {
          LabelSet labels;
          labels.set("namespace", ns);
          labels.set("endpointslice_name", kube::name_of(slice));
          labels.set("endpointslice_address_type", data::get_string(slice, {"addressType"}));
          labels.set("endpointslice_port", std::to_string(number));
          labels.set("endpointslice_port_name", data::get_string(port, {"name"}));
          labels.set("endpointslice_port_protocol", data::get_string(port, {"protocol"}, "TCP"));
          const bool is_ready = data::get_bool(endpoint, {"conditions", "ready"}, true);
          labels.set("endpointslice_endpoint_conditions_ready", is_ready ? "true" : "false");
          if (service != nullptr) add_service(labels, *service);
          if (const Json* target = data::find(endpoint, {"targetRef"})) {
            add_endpoint_pod(labels, *target, number, objects);
          }
          groups.push_back(labels.group(address(data::as_string(ip), number)));
        }
      }
    }
  }
  return groups;
}

JsonArray node_targets(const ClusterObjects& objects) {
  constexpr std::int64_t kKubeletPort = 10250;
  JsonArray groups;
  for (const Json& node : objects.nodes) {
    LabelSet labels;
    labels.set("node_name", kube::name_of(node));
    std::string ip;
    for (const Json& one : data::get_array(node, {"status", "addresses"})) {
      const auto type = data::get_string(one, {"type"});
      labels.set("node_address_" + label_name(type), data::get_string(one, {"address"}));
      if (type == "InternalIP" && ip.empty()) ip = data::get_string(one, {"address"});
    }
    if (ip.empty()) continue;
    labels.add_object("node", node);
    const auto port =
        data::get_int(node, {"status", "daemonEndpoints", "kubeletEndpoint", "Port"}, kKubeletPort);
    groups.push_back(labels.group(address(ip, port)));
  }
  return groups;
}

JsonArray ingress_targets(const ClusterObjects& objects) {
  JsonArray groups;
  for (const Json& ingress : objects.ingresses) {
    for (const Json& rule : data::get_array(ingress, {"spec", "rules"})) {
      const auto host = data::get_string(rule, {"host"});
      for (const Json& path : data::get_array(rule, {"http", "paths"})) {
        LabelSet labels;
        labels.set("namespace", kube::namespace_of(ingress));
        labels.set("ingress_name", kube::name_of(ingress));
        labels.set("ingress_scheme",
                   data::get_array(ingress, {"spec", "tls"}).empty() ? "http" : "https");
        labels.set("ingress_host", host);
        labels.set("ingress_path", data::get_string(path, {"path"}, "/"));
        labels.add_object("ingress", ingress);
        groups.push_back(labels.group(std::string(host)));
      }
    }
  }
  return groups;
}

}  // namespace lateen::console
