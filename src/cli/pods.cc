// Resource names as kubectl and istioctl accept them.
#include "cli/pods.h"

#include "base/strings.h"
#include "kube/selector.h"

namespace lateen::cli {
namespace {

bool is_running(const kube::Json& pod) {
  return data::get_string(pod, {"status", "phase"}) == "Running" && !kube::is_deleting(pod);
}

Result<kube::Key> first_running(Context& context, const std::string& ns,
                                const std::string& selector, const std::string& what) {
  kube::Client* client = TRY(context.client());
  const kube::Json list = TRY(client->list(kube::resources::pods(), ns, {selector, ""}));
  for (const kube::Json& pod : data::get_array(list, {"items"})) {
    if (is_running(pod)) return kube::key_of(pod);
  }
  return not_found("no running pod of " + what + " in namespace " + ns);
}

const kube::Resource* workload_resource(std::string_view kind) {
  if (kind == "deployment" || kind == "deploy" || kind == "deployments")
    return &kube::resources::deployments();
  if (kind == "replicaset" || kind == "rs") return &kube::resources::replica_sets();
  if (kind == "statefulset" || kind == "sts") return &kube::resources::stateful_sets();
  if (kind == "daemonset" || kind == "ds") return &kube::resources::daemon_sets();
  if (kind == "job") return &kube::resources::jobs();
  return nullptr;
}

}  // namespace

Result<kube::Key> resolve_pod(Context& context, const std::string& what) {
  std::string kind = "pod", name = what;
  if (const auto pair = split_once(what, "/")) {
    kind = to_lower(pair->first);
    name = pair->second;
  }
  std::string ns = TRY(context.effective_namespace());
  kube::Client* client = TRY(context.client());
  if (kind == "pod" || kind == "pods" || kind == "po") {
    auto exact = client->get(kube::resources::pods(), {ns, name});
    if (exact) return kube::key_of(*exact);
    const auto dot = name.rfind('.');
    if (exact.error().code() != Code::kNotFound || dot == std::string::npos)
      return std::move(exact).error();
    const kube::Json pod =
        TRY(client->get(kube::resources::pods(), {name.substr(dot + 1), name.substr(0, dot)}));
    return kube::key_of(pod);
  }
  if (const auto dot = name.rfind('.'); dot != std::string::npos) {
    ns = name.substr(dot + 1);
    name.resize(dot);
  }
  if (kind == "service" || kind == "svc" || kind == "services") {
    const kube::Json service = TRY(client->get(kube::resources::services(), {ns, name}));
    return first_running(
        context, ns,
        kube::LabelSelector::from_map(data::get_object(service, {"spec", "selector"})).to_string(),
        what);
  }
  const kube::Resource* resource = workload_resource(kind);
  if (resource == nullptr)
    return invalid(
        "\"" + kind +
        "\" is not a kind that has pods; try pod, deployment, statefulset, daemonset, service");
  const kube::Json object = TRY(client->get(*resource, {ns, name}));
  const auto* selector = data::find(object, {"spec", "selector"});
  if (selector == nullptr) return invalid(what + " has no selector");
  return first_running(context, ns, TRY(kube::LabelSelector::from_object(*selector)).to_string(),
                       what);
}

Result<std::vector<kube::Key>> istiod_pods(Context& context, const std::string& revision) {
  kube::Client* client = TRY(context.client());
  std::string selector = "app=istiod";
  if (!revision.empty()) selector += ",istio.io/rev=" + revision;
  const kube::Json list =
      TRY(client->list(kube::resources::pods(), context.istio_namespace, {selector, ""}));
  std::vector<kube::Key> keys;
  for (const kube::Json& pod : data::get_array(list, {"items"})) {
    if (is_running(pod)) keys.push_back(kube::key_of(pod));
  }
  if (keys.empty()) {
    return unavailable(
        "no running istiod" + (revision.empty() ? std::string() : " of revision " + revision) +
        " in namespace " + context.istio_namespace +
        "; install one with `istioctl operator init` and an IstioOperator, or `istioctl install`");
  }
  return keys;
}

}  // namespace lateen::cli
