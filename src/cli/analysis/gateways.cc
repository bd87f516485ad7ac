// Checks of Gateways (IST0101, IST0162, IST0145) and of selectors of Sidecars, policies and filters
// (IST0101, IST0110, IST0111, IST0127).
#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "cli/analysis/world.h"

namespace lateen::cli {
namespace {

std::vector<const Subject*> pods_of(const World& world, const data::JsonObject& selector,
                                    std::string_view ns) {
  std::vector<const Subject*> out;
  for (const Subject& pod : world.all("Pod")) {
    if ((ns.empty() || kube::namespace_of(pod.object) == ns) && labels_match(selector, pod.object))
      out.push_back(&pod);
  }
  return out;
}

// Files alone hold no pods: then nothing can be said about selectors.
bool has_pods(const World& world) { return !world.all("Pod").empty(); }

std::set<std::int64_t> ports_of(const World& world, const Json& pod) {
  std::set<std::int64_t> out;
  for (const Subject& service : world.all("Service")) {
    if (kube::namespace_of(service.object) != kube::namespace_of(pod)) continue;
    const auto& selector = data::get_object(service.object, {"spec", "selector"});
    if (selector.empty() || !labels_match(selector, pod)) continue;
    for (const Json& port : data::get_array(service.object, {"spec", "ports"})) {
      out.insert(data::get_int(port, {"port"}));
      out.insert(data::get_int(port, {"targetPort"}, data::get_int(port, {"port"})));
    }
  }
  return out;
}

void check_credentials(const World& world, const Subject& gateway,
                       const std::vector<const Subject*>& pods, std::vector<Message>& out) {
  // Secrets may not be readable for whoever analyses: then there are none at all.
  if (pods.empty() || world.all("Secret").empty()) return;
  const std::string ns(kube::namespace_of(pods[0]->object));
  for (const Json& server : data::get_array(gateway.object, {"spec", "servers"})) {
    const std::string name(data::get_string(server, {"tls", "credentialName"}));
    if (name.empty() || name.find("://") != std::string::npos ||
        world.find("Secret", {ns, name}) != nullptr)
      continue;
    out.push_back(about(gateway, "IST0101", Severity::kError,
                        "Referenced credentialName not found: " + quoted(name)));
  }
}

const data::JsonObject& selector_of(const Json& object) {
  const Json* legacy = data::find(object, {"spec", "workloadSelector", "labels"});
  if (legacy != nullptr && legacy->is_object()) return *legacy->if_object();
  return data::get_object(object, {"spec", "selector", "matchLabels"});
}

void check_sidecars(const World& world, std::vector<Message>& out) {
  std::map<std::string, std::vector<const Subject*>> unselective;
  std::map<kube::Key, std::vector<const Subject*>> by_pod;
  for (const Subject& sidecar : world.all("Sidecar")) {
    const std::string ns(kube::namespace_of(sidecar.object));
    const auto& selector = selector_of(sidecar.object);
    if (selector.empty()) {
      unselective[ns].push_back(&sidecar);
      continue;
    }
    for (const Subject* pod : pods_of(world, selector, ns))
      by_pod[kube::key_of(pod->object)].push_back(&sidecar);
  }
  const auto names = [](const std::vector<const Subject*>& list) {
    std::vector<std::string> out;
    for (const Subject* each : list) out.emplace_back(kube::name_of(each->object));
    std::sort(out.begin(), out.end());
    return "[" + join(out, " ") + "]";
  };
  for (const auto& [ns, list] : unselective) {
    for (const Subject* each : list) {
      if (list.size() > 1)
        out.push_back(
            about(*each, "IST0111", Severity::kError,
                  "The Sidecars " + names(list) + " in namespace " + quoted(ns) +
                      " have no workload selector, which can lead to undefined behavior."));
    }
  }
  for (const auto& [pod, list] : by_pod) {
    for (const Subject* each : list) {
      if (list.size() > 1)
        out.push_back(about(*each, "IST0110", Severity::kError,
                            "The Sidecars " + names(list) + " in namespace " + quoted(pod.ns) +
                                " select the same workload pod " + quoted(pod.name) +
                                ", which can lead to undefined behavior."));
    }
  }
}

}  // namespace

void check_gateways(const World& world, std::vector<Message>& out) {
  std::map<std::string, std::vector<std::pair<const Subject*, std::string>>> by_port;
  for (const Subject& gateway : world.all("Gateway")) {
    if (!kube::api_version_of(gateway.object).starts_with("networking.istio.io")) continue;
    const auto& selector = data::get_object(gateway.object, {"spec", "selector"});
    const std::string selector_text = join_labels(selector);
    const auto pods = pods_of(world, selector, "");
    if (pods.empty() && has_pods(world) && !selector.empty()) {
      out.push_back(about(gateway, "IST0101", Severity::kError,
                          "Referenced selector not found: " + quoted(selector_text)));
      continue;
    }
    check_credentials(world, gateway, pods, out);
    const auto known = pods.empty() ? std::set<std::int64_t>() : ports_of(world, pods[0]->object);
    for (const Json& server : data::get_array(gateway.object, {"spec", "servers"})) {
      const auto port = data::get_int(server, {"port", "number"});
      if (!known.empty() && !known.contains(port)) {
        out.push_back(about(gateway, "IST0162", Severity::kWarning,
                            "The gateway is listening on a target port (port " +
                                std::to_string(port) +
                                ") that is not defined in the Service associated with its workload "
                                "instances (Pod selector " +
                                selector_text +
                                "). If you need to access the gateway port through the gateway "
                                "Service, it will not be available."));
      }
      std::vector<std::string> hosts;
      for (const Json& host : data::get_array(server, {"hosts"}))
        hosts.emplace_back(data::as_string(host));
      std::sort(hosts.begin(), hosts.end());
      by_port[selector_text + "|" + std::to_string(port) + "|" + join(hosts, " ")].emplace_back(
          &gateway, std::string(data::get_string(server, {"bind"})));
    }
  }
  for (const auto& [key, users] : by_port) {
    const auto parts = split(key, '|');
    for (const auto& [gateway, bind] : users) {
      std::vector<std::string> others;
      for (const auto& [other, other_bind] : users) {
        if (other != gateway && bind == other_bind)
          others.push_back(kube::key_of(other->object).to_string());
      }
      if (!others.empty()) {
        out.push_back(about(*gateway, "IST0145", Severity::kError,
                            "Conflict with gateways " + join(others, ",") + " (workload selector " +
                                std::string(parts[0]) + ", port " + std::string(parts[1]) +
                                ", hosts " + std::string(parts[2]) + ")."));
      }
    }
  }
}

void check_selectors(const World& world, std::vector<Message>& out) {
  check_sidecars(world, out);
  if (!has_pods(world)) return;
  for (const std::string_view kind : {"Sidecar", "EnvoyFilter", "AuthorizationPolicy",
                                      "RequestAuthentication", "PeerAuthentication", "Telemetry"}) {
    for (const Subject& subject : world.all(kind)) {
      const auto& selector = selector_of(subject.object);
      const bool is_everywhere = kube::namespace_of(subject.object) == world.istio_ns;
      if (selector.empty() ||
          !pods_of(world, selector, is_everywhere ? "" : kube::namespace_of(subject.object))
               .empty())
        continue;
      if (kind == "Sidecar" || kind == "Telemetry")
        out.push_back(about(subject, "IST0101", Severity::kError,
                            "Referenced selector not found: " + quoted(join_labels(selector))));
      else
        out.push_back(about(subject, "IST0127", Severity::kWarning,
                            "No matching workloads for this resource with the following labels: " +
                                join_labels(selector)));
    }
  }
}

}  // namespace lateen::cli
