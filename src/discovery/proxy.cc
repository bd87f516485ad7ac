#include "discovery/proxy.h"

#include "base/strings.h"
#include "mesh/hostname.h"

namespace lateen::discovery {
namespace {

using data::get_string;

Proxy::Type type_of(std::string_view text) {
  if (text == "sidecar") return Proxy::Type::kSidecar;
  if (text == "router") return Proxy::Type::kRouter;
  if (text == "waypoint") return Proxy::Type::kWaypoint;
  return Proxy::Type::kOther;
}

// POD_PORTS is JSON inside a string: [{"containerPort":9080,"protocol":"TCP"}].
std::vector<int> read_pod_ports(std::string_view text) {
  std::vector<int> ports;
  const auto list = data::parse_json(text);
  if (!list || !list->is_array()) return ports;
  for (const data::Json& item : *list->if_array()) {
    if (get_string(item, {"protocol"}, "TCP") != "TCP") continue;
    ports.push_back(static_cast<int>(data::get_int(item, {"containerPort"})));
  }
  return ports;
}

}  // namespace

std::string Proxy::identity() const {
  return "spiffe://" + trust_domain + "/ns/" + ns + "/sa/" + service_account;
}

Result<Proxy> read_proxy(std::string_view node_id, const data::Json& metadata,
                         std::string_view locality) {
  const auto parts = split(node_id, '~');
  if (parts.size() != 4) {
    return invalid("node id \"" + std::string(node_id) +
                       "\" must have four parts: type~ip~name.namespace~domain",
                   Blame::kDownstream);
  }
  Proxy proxy;
  proxy.id = node_id;
  proxy.type = type_of(parts[0]);
  proxy.name = parts[2];
  proxy.dns_domain = parts[3];
  const std::size_t dot = proxy.name.rfind('.');
  proxy.pod = proxy.name.substr(0, dot);
  proxy.ns = get_string(metadata, {"NAMESPACE"});
  if (proxy.ns.empty() && dot != std::string::npos) proxy.ns = proxy.name.substr(dot + 1);
  for (const std::string_view ip : split(get_string(metadata, {"INSTANCE_IPS"}), ',')) {
    if (mesh::is_ip(trim(ip))) proxy.ips.emplace_back(trim(ip));
  }
  if (proxy.ips.empty() && mesh::is_ip(parts[1])) proxy.ips.emplace_back(parts[1]);
  if (proxy.ips.empty()) {
    return invalid("node id \"" + std::string(node_id) + "\" has no valid IP address",
                   Blame::kDownstream);
  }
  for (const auto& entry : data::get_object(metadata, {"LABELS"})) {
    proxy.labels.emplace(std::string(entry.key()), std::string(data::as_string(entry.value())));
  }
  proxy.service_account = get_string(metadata, {"SERVICE_ACCOUNT"}, "default");
  proxy.cluster_id = get_string(metadata, {"CLUSTER_ID"}, "Kubernetes");
  proxy.network = get_string(metadata, {"NETWORK"});
  proxy.version = get_string(metadata, {"ISTIO_VERSION"});
  proxy.locality = locality;
  proxy.pod_ports = read_pod_ports(get_string(metadata, {"POD_PORTS"}));
  proxy.has_istio_filters = !get_string(metadata, {"ISTIO_PROXY_BUILD"}).empty() ||
                            !get_string(metadata, {"ISTIO_PROXY_SHA"}).empty();
  proxy.is_lateen = get_string(metadata, {"ISTIO_PROXY_BUILD"}) == "lateen";
  proxy.is_intercepting = get_string(metadata, {"INTERCEPTION_MODE"}) != "NONE";
  proxy.uses_auto_addresses = get_string(metadata, {"DNS_CAPTURE"}) == "true" &&
                              get_string(metadata, {"DNS_AUTO_ALLOCATE"}) != "false";
  proxy.is_http10_accepted =
      !get_string(metadata, {"HTTP10"}).empty() && get_string(metadata, {"HTTP10"}) != "0";
  proxy.metadata = metadata;
  data::Json shared = metadata;
  for (const char* own : {"NAME", "INSTANCE_IPS", "NODE_NAME"}) data::erase(shared, {own});
  proxy.shared_metadata = data::dump_json(shared);
  return proxy;
}

}  // namespace lateen::discovery
