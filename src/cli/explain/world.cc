#include "cli/explain/world.h"

#include <algorithm>

#include "base/strings.h"
#include "cli/proxy_admin.h"

namespace lateen::cli::explain {
namespace {

const Json* named(const std::vector<Json>& list, std::string_view name) {
  for (const Json& each : list) {
    if (text_at(each, {"name"}) == name) return &each;
  }
  return nullptr;
}

// Every certificate of the mesh carries spiffe://TRUST-DOMAIN/…; any matcher of one tells it.
std::string find_trust_domain(const Json& value, int depth = 0) {
  constexpr std::string_view kScheme = "spiffe://";
  constexpr int kDeepest = 40;
  if (depth > kDeepest) return {};
  if (value.is_string()) {
    const std::string_view text = data::as_string(value);
    if (!text.starts_with(kScheme)) return {};
    const std::string_view rest = text.substr(kScheme.size());
    return std::string(rest.substr(0, rest.find('/')));
  }
  if (const auto* list = value.if_array()) {
    for (const Json& each : *list) {
      if (auto found = find_trust_domain(each, depth + 1); !found.empty()) return found;
    }
  }
  if (const auto* object = value.if_object()) {
    for (const auto& entry : *object) {
      if (auto found = find_trust_domain(entry.value(), depth + 1); !found.empty()) return found;
    }
  }
  return {};
}

std::string mode_at(const Json& object, std::initializer_list<std::string_view> path) {
  const std::string mode(data::get_string(object, path));
  return mode == "UNSET" ? "" : mode;
}

bool is_older(const Json& a, const Json* b) {
  return b == nullptr || data::get_string(a, {"metadata", "creationTimestamp"}) <
                             data::get_string(*b, {"metadata", "creationTimestamp"});
}

}  // namespace

AdminGet by_forward(kube::Client& client, int port) {
  return [&client, port](const Json& pod, const std::string& path) -> Result<Json> {
    return proxy_json(client, pod, port, path);
  };
}

const Json* Loaded::listener(std::string_view name) const { return named(listeners, name); }
const Json* Loaded::route(std::string_view name) const { return named(routes, name); }
const Json* Loaded::cluster(std::string_view name) const { return named(clusters, name); }

const std::vector<Json>& World::all(const kube::Resource& resource) {
  const auto [slot, is_new] = lists_.try_emplace(resource);
  if (!is_new) return slot->second;
  auto list = client_.list(resource, "");
  if (list) {
    for (const Json& item : data::get_array(*list, {"items"})) slot->second.push_back(item);
  } else if (list.error().code() != Code::kNotFound) {
    troubles_.push_back("cannot list " + resource.plural + ": " + list.error().message());
  }
  return slot->second;
}

const Json* World::pod_at(std::string_view ip) {
  for (const Json& pod : pods()) {
    const auto phase = data::get_string(pod, {"status", "phase"});
    if (data::get_string(pod, {"status", "podIP"}) == ip && phase != "Failed" &&
        phase != "Succeeded" && !data::get_bool(pod, {"spec", "hostNetwork"}))
      return &pod;
  }
  return nullptr;
}

const Json* World::find(const kube::Resource& resource, std::string_view ns,
                        std::string_view name) {
  for (const Json& each : all(resource)) {
    if (kube::name_of(each) == name && kube::namespace_of(each) == ns) return &each;
  }
  return nullptr;
}

Result<const Loaded*> World::loaded(const Json& pod) {
  const kube::Key key = kube::key_of(pod);
  if (const auto found = proxies_.find(key); found != proxies_.end()) return &found->second;
  const Json dump = TRY(admin_(pod, "/config_dump?include_eds"));
  Loaded out;
  out.statuses = TRY(admin_(pod, "/clusters?format=json"));
  out.listeners = listeners_in(dump);
  out.routes = routes_in(dump);
  out.clusters = clusters_in(dump);
  if (const Json* found = section(dump, "EndpointsConfigDump")) out.endpoints = *found;
  for (const auto* list : {&out.listeners, &out.clusters}) {
    for (const Json& each : *list) {
      const std::string domain = find_trust_domain(each);
      if (domain.empty()) continue;
      out.trust_domain = domain;
      break;
    }
  }
  return &proxies_.emplace(key, std::move(out)).first->second;
}

kube::Resource istio_networking(std::string_view plural, std::string_view kind) {
  return {"networking.istio.io", "v1beta1", std::string(plural), std::string(kind), true};
}

kube::Resource istio_security(std::string_view plural, std::string_view kind) {
  return {"security.istio.io", "v1beta1", std::string(plural), std::string(kind), true};
}

std::string pod_name(const Json& pod) {
  return std::string(kube::name_of(pod)) + "." + std::string(kube::namespace_of(pod));
}

namespace {

const Json* proxy_container(const Json& pod) {
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const Json& container : data::get_array(pod, {"spec", list})) {
      if (data::get_string(container, {"name"}) == "istio-proxy") return &container;
    }
  }
  return nullptr;
}

}  // namespace

bool has_proxy(const Json& pod) { return proxy_container(pod) != nullptr; }

bool is_gateway(const Json& pod) {
  const Json* container = proxy_container(pod);
  if (container == nullptr) return false;
  for (const Json& each : data::get_array(*container, {"args"})) {
    if (data::as_string(each) == "router") return true;
  }
  return false;
}

std::vector<std::string> why_no_proxy(World& world, const Json& pod) {
  if (data::get_bool(pod, {"spec", "hostNetwork"}))
    return {"pods in the host's network get no sidecar"};
  for (const auto text : {kube::label(pod, "sidecar.istio.io/inject"),
                          kube::annotation(pod, "sidecar.istio.io/inject")}) {
    if (text == "false") return {"the pod says sidecar.istio.io/inject: \"false\""};
  }
  const Json* ns = world.find(kube::resources::namespaces(), "", kube::namespace_of(pod));
  const std::string name(kube::namespace_of(pod));
  const auto injects = ns == nullptr ? "" : kube::label(*ns, "istio-injection");
  const auto revision = ns == nullptr ? "" : kube::label(*ns, "istio.io/rev");
  if (injects == "disabled") return {"namespace " + name + " is labelled istio-injection=disabled"};
  if (injects.empty() && revision.empty())
    return {"namespace " + name + " is not labelled for injection: kubectl label namespace " +
            name + " istio-injection=enabled, then restart the workload"};
  return {"namespace " + name +
          " is labelled, the pod was made without: restart the workload, and "
          "see the injection webhook if that does not help"};
}

bool lists_port(std::string_view list, int port) {
  for (const auto each : split(list, ',')) {
    if (trim(each) == "*" || parse_int(trim(each)) == port) return true;
  }
  return false;
}

bool selects(const data::JsonObject& selector, const Json& object) {
  const auto& labels = kube::labels_of(object);
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const Json* found = labels.if_contains(wanted.key());
    return found != nullptr && *found == wanted.value();
  });
}

PeerRule peer_rule_for(World& world, const Json& pod, int port) {
  const Json *workload = nullptr, *ns_wide = nullptr, *mesh_wide = nullptr;
  for (const Json& each : world.all(istio_security("peerauthentications", "PeerAuthentication"))) {
    const auto& selector = data::get_object(each, {"spec", "selector", "matchLabels"});
    const bool is_here = kube::namespace_of(each) == kube::namespace_of(pod);
    if (!selector.empty()) {
      if (is_here && selects(selector, pod) && is_older(each, workload)) workload = &each;
    } else if (kube::namespace_of(each) == world.root_ns()) {
      if (is_older(each, mesh_wide)) mesh_wide = &each;
    }
    if (selector.empty() && is_here && is_older(each, ns_wide)) ns_wide = &each;
  }
  const auto rule = [](std::string mode, const Json& from, std::string level) {
    return PeerRule{std::move(mode),
                    {"PeerAuthentication", std::string(kube::namespace_of(from)),
                     std::string(kube::name_of(from))},
                    std::move(level)};
  };
  if (workload != nullptr) {
    const std::string number = std::to_string(port);
    if (auto mode = mode_at(*workload, {"spec", "portLevelMtls", number, "mode"}); !mode.empty())
      return rule(mode, *workload, "for port " + number + " of this workload");
    if (auto mode = mode_at(*workload, {"spec", "mtls", "mode"}); !mode.empty())
      return rule(mode, *workload, "for this workload");
  }
  for (const auto& [from, level] :
       {std::pair{ns_wide, "for the namespace"}, std::pair{mesh_wide, "for the mesh"}}) {
    if (from == nullptr) continue;
    if (auto mode = mode_at(*from, {"spec", "mtls", "mode"}); !mode.empty())
      return rule(mode, *from, level);
  }
  return {"PERMISSIVE", {}, "by default"};
}

}  // namespace lateen::cli::explain
