// Port resolution, grouping and sorting.
#include "cluster/controllers/endpoints.h"

#include <algorithm>
#include <map>

#include "cluster/controllers/pods.h"
#include "kube/selector.h"

namespace lateen::cluster::controllers {
namespace {

using data::JsonArray;
using data::JsonObject;

// The number of a Service port on this pod; nullopt when a named port is not there.
std::optional<std::int64_t> resolve_port(const Json& service_port, const Json& pod) {
  const Json* target = data::find(service_port, {"targetPort"});
  const auto protocol = data::get_string(service_port, {"protocol"}, "TCP");
  if (target == nullptr) return data::get_int(service_port, {"port"});
  if (const auto number = data::as_int(*target)) {
    return *number != 0 ? *number : data::get_int(service_port, {"port"});
  }
  const auto name = data::as_string(*target);
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const Json& container : data::get_array(pod, {"spec", list})) {
      // Of init containers only sidecars keep serving.
      if (list == "initContainers" && data::get_string(container, {"restartPolicy"}) != "Always")
        continue;
      for (const Json& port : data::get_array(container, {"ports"})) {
        if (data::get_string(port, {"name"}) == name &&
            data::get_string(port, {"protocol"}, "TCP") == protocol) {
          return data::get_int(port, {"containerPort"});
        }
      }
    }
  }
  return std::nullopt;
}

JsonArray ports_on(const Json& service, const Json& pod, bool names_are_kept) {
  JsonArray out;
  for (const Json& port : data::get_array(service, {"spec", "ports"})) {
    const auto number = resolve_port(port, pod);
    if (!number) continue;
    JsonObject entry;
    const auto name = data::get_string(port, {"name"});
    if (names_are_kept || !name.empty()) entry["name"] = name;
    entry["port"] = *number;
    entry["protocol"] = data::get_string(port, {"protocol"}, "TCP");
    if (const Json* application = data::find(port, {"appProtocol"}))
      entry["appProtocol"] = *application;
    out.push_back(Json(std::move(entry)));
  }
  std::sort(out.begin(), out.end(),
            [](const Json& a, const Json& b) { return canonical(a) < canonical(b); });
  return out;
}

bool publishes_not_ready(const Json& service) {
  return data::get_bool(service, {"spec", "publishNotReadyAddresses"}) ||
         kube::annotation(service, "service.alpha.kubernetes.io/tolerate-unready-endpoints") ==
             "true";
}

bool is_headless(const Json& service) {
  return data::get_string(service, {"spec", "clusterIP"}) == "None";
}

// hostname, where the pod's DNS name belongs to this Service.
std::string_view hostname_in(const Json& service, const Json& pod) {
  const auto hostname = data::get_string(pod, {"spec", "hostname"});
  return data::get_string(pod, {"spec", "subdomain"}) == kube::name_of(service)
             ? hostname
             : std::string_view();
}

Json pod_reference(const Json& pod) {
  return {{"kind", "Pod"},
          {"name", kube::name_of(pod)},
          {"namespace", kube::namespace_of(pod)},
          {"uid", kube::uid_of(pod)}};
}

bool is_v6(std::string_view ip) { return ip.find(':') != std::string_view::npos; }

Json slice_endpoint(const Json& service, const Json& pod) {
  const bool is_terminating = kube::is_deleting(pod);
  const bool is_serving = is_ready(pod);
  const bool is_usable = publishes_not_ready(service) || (is_serving && !is_terminating);
  JsonObject out;
  out["addresses"] = JsonArray{Json(data::get_string(pod, {"status", "podIP"}))};
  out["conditions"] = JsonObject{{"ready", is_usable},
                                 {"serving", is_serving || publishes_not_ready(service)},
                                 {"terminating", is_terminating}};
  if (const auto hostname = hostname_in(service, pod); !hostname.empty())
    out["hostname"] = hostname;
  if (const auto node = data::get_string(pod, {"spec", "nodeName"}); !node.empty())
    out["nodeName"] = node;
  out["targetRef"] = pod_reference(pod);
  return Json(std::move(out));
}

// Appends slices of at most kMaxSliceEndpoints.
void cut_slices(const JsonArray& ports, std::string_view family, const std::vector<Json>& endpoints,
                std::vector<Json>& out) {
  for (std::size_t start = 0; start == 0 || start < endpoints.size(); start += kMaxSliceEndpoints) {
    JsonArray part;
    for (std::size_t i = start; i < std::min(endpoints.size(), start + kMaxSliceEndpoints); ++i) {
      part.push_back(endpoints[i]);
    }
    out.push_back(Json{{"addressType", family}, {"ports", ports}, {"endpoints", std::move(part)}});
  }
}

}  // namespace

std::vector<ObjectPtr> backends_of(const Json& service, const std::vector<ObjectPtr>& pods) {
  const auto selector =
      kube::LabelSelector::from_map(data::get_object(service, {"spec", "selector"}));
  std::vector<ObjectPtr> out;
  for (const auto& pod : pods) {
    if (!selector.matches(kube::labels_of(*pod)) || is_finished(*pod)) continue;
    if (!data::get_string(*pod, {"status", "podIP"}).empty()) out.push_back(pod);
  }
  std::sort(out.begin(), out.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
    return kube::name_of(*a) < kube::name_of(*b);
  });
  return out;
}

JsonArray subsets_for(const Json& service, const std::vector<ObjectPtr>& pods) {
  struct Subset {
    JsonArray ports, ready, not_ready;
  };
  std::map<std::string, Subset> by_ports;
  for (const auto& pod : pods) {
    if (kube::is_deleting(*pod) && !publishes_not_ready(service)) continue;
    JsonArray ports = ports_on(service, *pod, false);
    if (ports.empty() && !data::get_array(service, {"spec", "ports"}).empty()) continue;
    if (ports.empty() && !is_headless(service)) continue;
    JsonObject address;
    address["ip"] = data::get_string(*pod, {"status", "podIP"});
    if (const auto hostname = hostname_in(service, *pod); !hostname.empty())
      address["hostname"] = hostname;
    if (const auto node = data::get_string(*pod, {"spec", "nodeName"}); !node.empty())
      address["nodeName"] = node;
    address["targetRef"] = pod_reference(*pod);
    Subset& subset = by_ports[canonical(Json(ports))];
    subset.ports = std::move(ports);
    const bool is_listed = is_ready(*pod) || publishes_not_ready(service);
    (is_listed ? subset.ready : subset.not_ready).push_back(Json(std::move(address)));
  }
  JsonArray out;
  for (auto& [key, subset] : by_ports) {
    JsonObject entry;
    if (!subset.ready.empty()) entry["addresses"] = std::move(subset.ready);
    if (!subset.not_ready.empty()) entry["notReadyAddresses"] = std::move(subset.not_ready);
    if (!subset.ports.empty()) entry["ports"] = std::move(subset.ports);
    out.push_back(Json(std::move(entry)));
  }
  return out;
}

std::vector<Json> slices_for(const Json& service, const std::vector<ObjectPtr>& pods) {
  struct Group {
    JsonArray ports;
    std::string_view family;
    std::vector<Json> endpoints;
  };
  std::map<std::string, Group> groups;
  for (const auto& pod : pods) {
    JsonArray ports = ports_on(service, *pod, true);
    const std::string_view family =
        is_v6(data::get_string(*pod, {"status", "podIP"})) ? "IPv6" : "IPv4";
    Group& group = groups[std::string(family) + canonical(Json(ports))];
    group.ports = std::move(ports);
    group.family = family;
    group.endpoints.push_back(slice_endpoint(service, *pod));
  }
  std::vector<Json> out;
  for (auto& [key, group] : groups) cut_slices(group.ports, group.family, group.endpoints, out);
  // A Service without pods has one empty slice: consumers learn that it has none.
  if (out.empty()) cut_slices({}, "IPv4", {}, out);
  return out;
}

std::vector<Json> mirrored_slices(const Json& endpoints) {
  std::vector<Json> out;
  for (const Json& subset : data::get_array(endpoints, {"subsets"})) {
    JsonArray ports;
    for (const Json& port : data::get_array(subset, {"ports"})) {
      Json entry = port;
      if (data::find(entry, {"name"}) == nullptr) data::set(entry, {"name"}, "");
      if (data::find(entry, {"protocol"}) == nullptr) data::set(entry, {"protocol"}, "TCP");
      ports.push_back(std::move(entry));
    }
    std::map<std::string_view, std::vector<Json>> families;
    for (const std::string_view list : {"addresses", "notReadyAddresses"}) {
      for (const Json& address : data::get_array(subset, {list})) {
        JsonObject entry;
        entry["addresses"] = JsonArray{Json(data::get_string(address, {"ip"}))};
        entry["conditions"] = JsonObject{{"ready", list == "addresses"}};
        for (const std::string_view field : {"hostname", "nodeName", "targetRef"}) {
          if (const Json* value = data::find(address, {field})) entry[field] = *value;
        }
        families[is_v6(data::get_string(address, {"ip"})) ? "IPv6" : "IPv4"].push_back(
            Json(std::move(entry)));
      }
    }
    for (const auto& [family, list] : families) cut_slices(ports, family, list, out);
  }
  return out;
}

std::string backend_view(const Json& pod) {
  std::string out = canonical(Json(kube::labels_of(pod)));
  for (const auto text :
       {data::get_string(pod, {"status", "podIP"}), data::get_string(pod, {"spec", "nodeName"}),
        data::get_string(pod, {"spec", "hostname"}),
        data::get_string(pod, {"spec", "subdomain"})}) {
    out.append("|").append(text);
  }
  return out + (is_ready(pod) ? "|r" : "|-") + (is_finished(pod) ? "f" : "-") +
         (kube::is_deleting(pod) ? "d" : "-");
}

}  // namespace lateen::cluster::controllers
