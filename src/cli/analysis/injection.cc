// Checks of injection (IST0102, IST0103, IST0123), schemas (IST0106, IST0133) and of what pods must
// not do.
#include <map>

#include "base/strings.h"
#include "cli/analysis/world.h"
#include "mesh/kinds.h"

namespace lateen::cli {
namespace {

bool is_injected(const Json& ns) {
  return kube::label(ns, "istio-injection") == "enabled" ||
         !kube::label(ns, "istio.io/rev").empty();
}

bool has_proxy(const Json& pod) {
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const Json& container : data::get_array(pod, {"spec", list})) {
      if (data::get_string(container, {"name"}) == "istio-proxy") return true;
    }
  }
  return false;
}

}  // namespace

void check_schemas(const World& world, std::vector<Message>& out) {
  for (const auto& kind : mesh::kinds()) {
    for (const Subject& subject : world.all(kind.kind)) {
      if (!kube::api_version_of(subject.object).starts_with(kind.group)) continue;
      const mesh::Issues issues = mesh::validate(subject.object);
      for (const auto& error : issues.errors)
        out.push_back(
            about(subject, "IST0106", Severity::kError, "Schema validation error: " + error));
      for (const auto& warning : issues.warnings)
        out.push_back(
            about(subject, "IST0133", Severity::kWarning, "Schema validation warning: " + warning));
    }
  }
}

void check_injection(const World& world, std::vector<Message>& out) {
  for (const Subject& ns : world.all("Namespace")) {
    const std::string name(kube::name_of(ns.object));
    if (is_system_namespace(world, name)) continue;
    const auto injection = kube::label(ns.object, "istio-injection");
    const auto revision = kube::label(ns.object, "istio.io/rev");
    if (!injection.empty() && !revision.empty()) {
      out.push_back(about(ns, "IST0123", Severity::kWarning,
                          "The namespace has more than one type of injection labels "
                          "[istio-injection istio.io/rev], which may lead to undefined behavior. "
                          "Make sure only one injection label exists."));
      continue;
    }
    if (!injection.empty() || !revision.empty() ||
        kube::label(ns.object, "istio.io/dataplane-mode") == "ambient")
      continue;
    out.push_back(about(
        ns, "IST0102", Severity::kInfo,
        "The namespace is not enabled for Istio injection. Run 'kubectl label namespace " + name +
            " istio-injection=enabled' to enable it, or 'kubectl label namespace " + name +
            " istio-injection=disabled' to explicitly mark it as not needing injection."));
  }
}

void check_pods(const World& world, std::vector<Message>& out) {
  for (const Subject& pod : world.all("Pod")) {
    const auto phase = data::get_string(pod.object, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed" || kube::is_deleting(pod.object)) continue;
    const Subject* ns = world.find("Namespace", {"", std::string(kube::namespace_of(pod.object))});
    const auto wish = kube::label(pod.object, "sidecar.istio.io/inject");
    const bool is_refused = wish == "false" ||
                            kube::annotation(pod.object, "sidecar.istio.io/inject") == "false" ||
                            data::get_bool(pod.object, {"spec", "hostNetwork"});
    if (ns != nullptr && is_injected(ns->object) && !is_refused && !has_proxy(pod.object)) {
      out.push_back(about(pod, "IST0103", Severity::kWarning,
                          "The pod " + std::string(kube::namespace_of(pod.object)) + "/" +
                              std::string(kube::name_of(pod.object)) +
                              " is missing the Istio proxy. This can often be resolved by "
                              "restarting or redeploying the workload."));
    }
    for (const Json& container : data::get_array(pod.object, {"spec", "containers"})) {
      const bool is_reserved = data::get_string(container, {"name"}) != "istio-proxy" &&
                               data::get_int(container, {"securityContext", "runAsUser"}) == 1337;
      if (is_reserved && has_proxy(pod.object))
        out.push_back(about(pod, "IST0144", Severity::kWarning,
                            "User ID (UID) 1337 is reserved for the sidecar proxy."));
    }
  }
}

}  // namespace lateen::cli
