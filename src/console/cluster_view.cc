// Lists from the API server, folded into what a page needs.
#include "console/cluster_view.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "console/object_issues.h"
#include "data/yaml.h"
#include "mesh/kinds.h"

namespace lateen::console {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr milliseconds kIstiodLimit{3'000};
constexpr std::size_t kMaxLogBytes = 4u << 20;

std::string text(const Json& value, std::initializer_list<std::string_view> path) {
  return std::string(data::get_string(value, path));
}

const JsonArray& items_of(const Json& list) { return data::get_array(list, {"items"}); }

bool selects(const JsonObject& selector, const JsonObject& labels) {
  if (selector.empty()) return false;
  return std::all_of(selector.begin(), selector.end(), [&](const auto& pair) {
    const Json* found = labels.if_contains(pair.key());
    return found != nullptr && data::equal(*found, pair.value());
  });
}

bool is_proxy(const Json& container) {
  return data::get_string(container, {"name"}) == "istio-proxy";
}

bool has_sidecar(const Json& pod) {
  const auto& containers = data::get_array(pod, {"spec", "containers"});
  const auto& init = data::get_array(pod, {"spec", "initContainers"});
  return std::any_of(containers.begin(), containers.end(), is_proxy) ||
         std::any_of(init.begin(), init.end(), is_proxy);
}

// What kubectl's STATUS column says, for the cases that people meet.
std::string status_of(const Json& pod) {
  if (kube::is_deleting(pod)) return "Terminating";
  for (const Json& one : data::get_array(pod, {"status", "containerStatuses"})) {
    for (const char* state : {"waiting", "terminated"}) {
      const auto reason = data::get_string(one, {"state", state, "reason"});
      if (!reason.empty() && reason != "Completed") return std::string(reason);
    }
  }
  return text(pod, {"status", "phase"});
}

Json pod_summary(const Json& pod) {
  int ready = 0, all = 0;
  std::int64_t restarts = 0;
  JsonArray containers;
  for (const Json& one : data::get_array(pod, {"spec", "containers"})) {
    containers.push_back({{"name", text(one, {"name"})}, {"image", text(one, {"image"})}});
    ++all;
  }
  for (const Json& one : data::get_array(pod, {"status", "containerStatuses"})) {
    ready += data::get_bool(one, {"ready"});
    restarts += data::get_int(one, {"restartCount"});
  }
  return {{"name", std::string(kube::name_of(pod))},
          {"status", status_of(pod)},
          {"ready", fmt::format("{}/{}", ready, all)},
          {"isReady", ready == all},
          {"restarts", restarts},
          {"ip", text(pod, {"status", "podIP"})},
          {"node", text(pod, {"spec", "nodeName"})},
          {"created", text(pod, {"metadata", "creationTimestamp"})},
          {"sidecar", has_sidecar(pod)},
          {"revision", std::string(kube::label(pod, "istio.io/rev"))},
          {"containers", std::move(containers)}};
}

Json workload_summary(const Json& workload, std::string_view kind, const JsonArray& pods) {
  const auto& selector = data::get_object(workload, {"spec", "selector", "matchLabels"});
  JsonArray mine;
  for (const Json& pod : pods) {
    const bool is_here = kube::namespace_of(pod) == kube::namespace_of(workload);
    if (is_here && selects(selector, kube::labels_of(pod))) mine.push_back(pod_summary(pod));
  }
  const bool is_daemon_set = kind == "DaemonSet";
  const auto wanted = is_daemon_set ? data::get_int(workload, {"status", "desiredNumberScheduled"})
                                    : data::get_int(workload, {"spec", "replicas"}, 1);
  const auto ready = is_daemon_set ? data::get_int(workload, {"status", "numberReady"})
                                   : data::get_int(workload, {"status", "readyReplicas"});
  const auto& labels = data::get_object(workload, {"spec", "template", "metadata", "labels"});
  return {{"namespace", std::string(kube::namespace_of(workload))},
          {"name", std::string(kube::name_of(workload))},
          {"kind", Json(kind)},
          {"replicas", wanted},
          {"ready", ready},
          {"labels", labels},
          {"created", text(workload, {"metadata", "creationTimestamp"})},
          {"pods", std::move(mine)}};
}

// VirtualService and Gateway name hosts, DestinationRule one.
JsonArray hosts_of(const Json& object) {
  JsonArray hosts = data::get_array(object, {"spec", "hosts"});
  if (const auto host = data::get_string(object, {"spec", "host"}); !host.empty()) {
    hosts.emplace_back(std::string(host));
  }
  for (const Json& server : data::get_array(object, {"spec", "servers"})) {
    for (const Json& host : data::get_array(server, {"hosts"})) hosts.push_back(host);
  }
  for (const Json& host : data::get_array(object, {"spec", "hostnames"})) hosts.push_back(host);
  return hosts;
}

struct ShownKind {
  std::string_view group, kind;
  std::array<std::string_view, 3> versions;  // newest first
};
constexpr ShownKind kMoreKinds[] = {
    {"install.istio.io", "IstioOperator", {"v1alpha1"}},
    {"gateway.networking.k8s.io", "Gateway", {"v1", "v1beta1"}},
    {"gateway.networking.k8s.io", "HTTPRoute", {"v1", "v1beta1"}},
    {"gateway.networking.k8s.io", "GRPCRoute", {"v1"}},
};

std::vector<ShownKind> shown_kinds() {
  std::vector<ShownKind> kinds;
  for (const mesh::Kind& kind : mesh::kinds()) {
    kinds.push_back({kind.group, kind.kind, {kind.version, "v1beta1", "v1alpha3"}});
  }
  kinds.insert(kinds.end(), std::begin(kMoreKinds), std::end(kMoreKinds));
  return kinds;
}

// The first version that the server has; NotFound when the CRD is not installed.
Result<kube::Resource> served(kube::Client& kube, const ShownKind& kind) {
  Error last = not_found(fmt::format("{} is not installed", kind.kind));
  for (const std::string_view version : kind.versions) {
    if (version.empty()) continue;
    auto resource = kube.resource_for(fmt::format("{}/{}", kind.group, version), kind.kind);
    if (resource.ok()) return resource;
    last = std::move(resource).error();
    if (last.code() != Code::kNotFound) return last;
  }
  return last;
}

}  // namespace

Result<Json> ClusterView::namespaces() {
  const Json list = TRY(kube_.list(kube::resources::namespaces(), ""));
  JsonArray out;
  for (const Json& ns : items_of(list)) {
    out.push_back({{"name", std::string(kube::name_of(ns))},
                   {"labels", kube::labels_of(ns)},
                   {"injection", std::string(kube::label(ns, "istio-injection"))},
                   {"revision", std::string(kube::label(ns, "istio.io/rev"))},
                   {"created", text(ns, {"metadata", "creationTimestamp"})}});
  }
  return out;
}

Result<Json> ClusterView::workloads(std::string_view ns) {
  const Json pods = TRY(kube_.list(kube::resources::pods(), ns));
  JsonArray out;
  const kube::Resource* const kinds[] = {&kube::resources::deployments(),
                                         &kube::resources::stateful_sets(),
                                         &kube::resources::daemon_sets()};
  for (const kube::Resource* resource : kinds) {
    const Json list = TRY(kube_.list(*resource, ns));
    for (const Json& one : items_of(list)) {
      out.push_back(workload_summary(one, resource->kind, items_of(pods)));
    }
  }
  for (const Json& pod : items_of(pods)) {
    if (kube::controller_of(pod) != nullptr) continue;
    JsonArray itself;
    itself.push_back(pod_summary(pod));
    const bool is_ready = data::get_bool(itself[0], {"isReady"});
    out.push_back({{"namespace", std::string(kube::namespace_of(pod))},
                   {"name", std::string(kube::name_of(pod))},
                   {"kind", "Pod"},
                   {"replicas", 1},
                   {"ready", is_ready ? 1 : 0},
                   {"labels", kube::labels_of(pod)},
                   {"created", text(pod, {"metadata", "creationTimestamp"})},
                   {"pods", std::move(itself)}});
  }
  return out;
}

Result<Json> ClusterView::services(std::string_view ns) {
  const Json list = TRY(kube_.list(kube::resources::services(), ns));
  JsonArray out;
  for (const Json& one : items_of(list)) {
    out.push_back({{"namespace", std::string(kube::namespace_of(one))},
                   {"name", std::string(kube::name_of(one))},
                   {"type", text(one, {"spec", "type"})},
                   {"clusterIP", text(one, {"spec", "clusterIP"})},
                   {"ports", data::get_array(one, {"spec", "ports"})},
                   {"selector", data::get_object(one, {"spec", "selector"})},
                   {"labels", kube::labels_of(one)},
                   {"created", text(one, {"metadata", "creationTimestamp"})}});
  }
  return out;
}

// Lists every kind shown, and the services: what references may lead to.
Result<std::vector<Json>> ClusterView::all_objects(Neighbours& neighbours) {
  std::vector<Json> found;
  for (const ShownKind& kind : shown_kinds()) {
    const auto resource = served(kube_, kind);
    if (!resource.ok()) {
      if (resource.error().code() == Code::kNotFound) continue;
      return resource.error();
    }
    const Json list = TRY(kube_.list(resource.value(), ""));
    for (const Json& one : items_of(list)) {
      neighbours.add(one);
      found.push_back(one);
    }
  }
  const Json services = TRY(kube_.list(kube::resources::services(), ""));
  for (const Json& one : items_of(services)) neighbours.add(one);
  return found;
}

Result<Json> ClusterView::objects(std::string_view ns) {
  JsonArray out;
  Neighbours neighbours;
  const std::vector<Json> found = TRY(all_objects(neighbours));
  for (const Json& one : found) {
    if (!ns.empty() && kube::namespace_of(one) != ns) continue;
    out.push_back({{"apiVersion", std::string(kube::api_version_of(one))},
                   {"kind", std::string(kube::kind_of(one))},
                   {"namespace", std::string(kube::namespace_of(one))},
                   {"name", std::string(kube::name_of(one))},
                   {"created", text(one, {"metadata", "creationTimestamp"})},
                   {"hosts", hosts_of(one)},
                   {"issues", issues_of(one, neighbours)}});
  }
  return out;
}

Result<Json> ClusterView::object(std::string_view kind, std::string_view ns,
                                 std::string_view name) {
  for (const ShownKind& shown : shown_kinds()) {
    if (fmt::format("{}.{}", shown.kind, shown.group) != kind && shown.kind != kind) continue;
    auto resource = served(kube_, shown);
    if (!resource.ok() && resource.error().code() == Code::kNotFound) continue;
    const kube::Resource found = TRY(std::move(resource));
    Json object = TRY(kube_.get(found, {std::string(ns), std::string(name)}));
    data::erase(object, {"metadata", "managedFields"});
    Neighbours neighbours;
    TRY(all_objects(neighbours));
    const JsonArray issues = issues_of(object, neighbours);
    return Json{{"yaml", data::dump_yaml(object, false)}, {"issues", issues}};
  }
  return not_found(fmt::format("kind {} is not shown here or not installed", kind));
}

Result<std::string> ClusterView::get_text(const std::string& url) {
  http::PlainRequest request;
  request.url = url;
  request.timeout = kIstiodLimit;
  const auto response = TRY(http_.call(request));
  if (response.status != 200)
    return unavailable(fmt::format("{} answered {}", url, response.status));
  return response.body;
}

Result<Json> ClusterView::mesh() {
  kube::ListOptions options;
  options.label_selector = "app=istiod";
  const Json pods = TRY(kube_.list(kube::resources::pods(), istio_namespace_, options));
  JsonArray istiods, proxies;
  for (const Json& pod : items_of(pods)) {
    const std::string ip = text(pod, {"status", "podIP"});
    JsonObject istiod{{"pod", std::string(kube::name_of(pod))},
                      {"revision", std::string(kube::label(pod, "istio.io/rev"))},
                      {"summary", pod_summary(pod)}};
    if (!ip.empty()) {
      if (auto version = get_text(fmt::format("http://{}:15014/version", ip)); version.ok()) {
        istiod["version"] = std::string(trim(version.value()));
      }
      auto synced = get_text(fmt::format("http://{}:15014/debug/syncz", ip));
      auto list = synced.ok() ? data::parse_json(synced.value()) : Result<Json>(synced.error());
      if (list.ok()) {
        const auto* entries = list.value().if_array();
        for (const Json& one : entries == nullptr ? JsonArray() : *entries) {
          JsonObject proxy = one.if_object() == nullptr ? JsonObject() : *one.if_object();
          proxy["istiod"] = std::string(kube::name_of(pod));
          proxies.push_back(std::move(proxy));
        }
      } else {
        istiod["error"] = list.error().message();
      }
    }
    istiods.push_back(std::move(istiod));
  }
  return Json{{"istiods", std::move(istiods)}, {"proxies", std::move(proxies)}};
}

Result<std::string> ClusterView::logs(std::string_view ns, std::string_view pod,
                                      std::string_view container, int lines) {
  http::PlainRequest request;
  request.url = fmt::format("{}?container={}&tailLines={}&limitBytes={}",
                            kube::resources::pods().path(ns, pod, "log"), percent_encode(container),
                            lines, kMaxLogBytes);
  const auto response = TRY(kube_.raw(request));
  if (response.status != 200) return kube::error_of(response);
  return response.body;
}

}  // namespace lateen::console
