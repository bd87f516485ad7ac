// How the lists of built-in kinds merge: the Go types' patchMergeKey and listMapKey tags as one
// table.
#include <optional>

#include "base/strings.h"
#include "kube/patch.h"

namespace lateen::kube {
namespace {

constexpr std::string_view kAtomic = "";
constexpr std::string_view kSet = "*";

struct Rule {
  std::string_view scope;      // a kind, or "any", "pod" (a PodSpec), "container"
  std::string_view path;       // below the scope
  std::string_view strategic;  // kAtomic, kSet or the key
  std::string_view apply;      // kAtomic, kSet or the keys, comma-separated
};

constexpr Rule kRules[] = {
    {"any", "metadata.ownerReferences", "uid", "uid"},
    {"any", "metadata.finalizers", kSet, kSet},
    {"CustomResourceDefinition", "status.conditions", kAtomic, "type"},
    {"any", "status.conditions", "type", "type"},
    {"pod", "containers", "name", "name"},
    {"pod", "initContainers", "name", "name"},
    {"pod", "ephemeralContainers", "name", "name"},
    {"pod", "volumes", "name", "name"},
    {"pod", "imagePullSecrets", "name", "name"},
    {"pod", "hostAliases", "ip", "ip"},
    {"pod", "topologySpreadConstraints", "topologyKey", "topologyKey,whenUnsatisfiable"},
    {"pod", "resourceClaims", "name", "name"},
    {"pod", "schedulingGates", "name", "name"},
    {"container", "ports", "containerPort", "containerPort,protocol"},
    {"container", "env", "name", "name"},
    {"container", "volumeMounts", "mountPath", "mountPath"},
    {"container", "volumeDevices", "devicePath", "devicePath"},
    {"container", "resources.claims", kAtomic, "name"},
    {"Pod", "status.podIPs", "ip", "ip"},
    {"Pod", "status.hostIPs", "ip", kAtomic},
    {"Pod", "status.resourceClaimStatuses", "name", "name"},
    {"Service", "spec.ports", "port", "port,protocol"},
    {"ServiceAccount", "secrets", "name", "name"},
    {"Node", "spec.podCIDRs", kSet, kSet},
    {"Node", "status.addresses", "type", "type"},
    {"MutatingWebhookConfiguration", "webhooks", "name", "name"},
    {"MutatingWebhookConfiguration", "webhooks.matchConditions", "name", "name"},
    {"ValidatingWebhookConfiguration", "webhooks", "name", "name"},
    {"ValidatingWebhookConfiguration", "webhooks.matchConditions", "name", "name"},
    {"ValidatingAdmissionPolicy", "spec.matchConditions", "name", "name"},
    {"ValidatingAdmissionPolicy", "spec.variables", "name", "name"},
    {"CSINode", "spec.drivers", "name", "name"},
};

// By the field's own name, wherever it stands.
constexpr std::string_view kAtomicObjects[] = {
    "selector",        "labelSelector",    "namespaceSelector",
    "objectSelector",  "podSelector",      "nodeSelector",
    "configMapKeyRef", "secretKeyRef",     "fieldRef",
    "fileKeyRef",      "resourceFieldRef", "secretRef",
    "involvedObject",  "roleRef",          "requiredDuringSchedulingIgnoredDuringExecution",
    "dataSource",
};

std::string_view pod_spec_path(std::string_view kind) {
  if (kind == "Pod") return "spec.";
  if (kind == "CronJob") return "spec.jobTemplate.spec.template.spec.";
  if (kind == "PodTemplate") return "template.spec.";
  for (const std::string_view workload :
       {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"}) {
    if (kind == workload) return "spec.template.spec.";
  }
  return "-";
}

// The path below a container list, or nullopt.
std::optional<std::string_view> below_container(std::string_view pod_path) {
  for (const std::string_view list : {"containers.", "initContainers.", "ephemeralContainers."}) {
    if (pod_path.starts_with(list)) return pod_path.substr(list.size());
  }
  return std::nullopt;
}

const Rule* find_rule(std::string_view kind, std::string_view path) {
  const auto prefix = pod_spec_path(kind);
  const bool is_in_pod = path.starts_with(prefix);
  const auto pod_path = is_in_pod ? path.substr(prefix.size()) : std::string_view();
  const auto container_path = is_in_pod ? below_container(pod_path) : std::nullopt;
  for (const Rule& rule : kRules) {
    const bool is_match =
        (rule.scope == "any" &&
         (path == rule.path || (path.ends_with(rule.path) && rule.path.starts_with("metadata.") &&
                                path[path.size() - rule.path.size() - 1] == '.'))) ||
        (rule.scope == kind && path == rule.path) ||
        (rule.scope == "pod" && is_in_pod && pod_path == rule.path) ||
        (rule.scope == "container" && container_path == rule.path);
    if (is_match) return &rule;
  }
  return nullptr;
}

ListKind to_list_kind(std::string_view keys) {
  if (keys == kAtomic) return {};
  if (keys == kSet) return {ListKind::Type::kSet, {}};
  ListKind out{ListKind::Type::kMap, {}};
  for (const auto key : split(keys, ',')) out.keys.emplace_back(key);
  return out;
}

}  // namespace

ListKind strategic_list(std::string_view kind, std::string_view path) {
  const Rule* rule = find_rule(kind, path);
  return rule != nullptr ? to_list_kind(rule->strategic) : ListKind{};
}

ListKind apply_list(std::string_view kind, std::string_view path) {
  const Rule* rule = find_rule(kind, path);
  return rule != nullptr ? to_list_kind(rule->apply) : ListKind{};
}

bool is_atomic_object(std::string_view, std::string_view path) {
  const auto dot = path.rfind('.');
  const auto last = dot == std::string_view::npos ? path : path.substr(dot + 1);
  if (path.find("metadata.") != std::string_view::npos) return false;
  for (const auto name : kAtomicObjects) {
    if (name == last) return true;
  }
  return false;
}

}  // namespace lateen::kube
