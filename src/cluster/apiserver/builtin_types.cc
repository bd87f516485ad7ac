// The table of built-in resources: group, versions, names, scope and subresources, as a stock API
// server lists them.
#include <array>

#include "base/strings.h"
#include "cluster/apiserver/registry.h"

namespace lateen::cluster::apiserver {
namespace {

// Letters of `flags`: n namespaced, s status, c scale, g metadata.generation, v virtual (create
// only).
struct Row {
  std::string_view group;
  std::string_view versions;
  std::string_view plural;
  std::string_view singular;
  std::string_view kind;
  std::string_view flags;
  std::string_view short_names = {};
  std::string_view categories = {};
  std::string_view subresources = {};
  std::string_view bucket = {};
};

constexpr std::string_view kAuthn = "authentication.k8s.io";
constexpr std::string_view kAuthz = "authorization.k8s.io";
constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
constexpr std::string_view kAdmission = "admissionregistration.k8s.io";

constexpr auto kRows = std::to_array<Row>({
    {"", "v1", "bindings", "binding", "Binding", "nv"},
    {"", "v1", "configmaps", "configmap", "ConfigMap", "n", "cm"},
    {"", "v1", "endpoints", "endpoints", "Endpoints", "n", "ep"},
    {"", "v1", "events", "event", "Event", "n", "ev"},
    {"", "v1", "limitranges", "limitrange", "LimitRange", "n", "limits"},
    {"", "v1", "namespaces", "namespace", "Namespace", "s", "ns", "", "finalize"},
    {"", "v1", "nodes", "node", "Node", "s", "no"},
    {"", "v1", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", "ns",
     "pvc"},
    {"", "v1", "persistentvolumes", "persistentvolume", "PersistentVolume", "s", "pv"},
    {"", "v1", "pods", "pod", "Pod", "ns", "po", "all",
     "attach,binding,eviction,exec,log,portforward,ephemeralcontainers,proxy,resize"},
    {"", "v1", "podtemplates", "podtemplate", "PodTemplate", "ng"},
    {"", "v1", "replicationcontrollers", "replicationcontroller", "ReplicationController", "nscg",
     "rc", "all"},
    {"", "v1", "resourcequotas", "resourcequota", "ResourceQuota", "ns", "quota"},
    {"", "v1", "secrets", "secret", "Secret", "n"},
    {"", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", "n", "sa", "", "token"},
    {"", "v1", "services", "service", "Service", "ns", "svc", "all", "proxy"},
    {"apiregistration.k8s.io", "v1", "apiservices", "apiservice", "APIService", "s", "",
     "api-extensions"},
    {"apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", "n"},
    {"apps", "v1", "daemonsets", "daemonset", "DaemonSet", "nsg", "ds", "all"},
    {"apps", "v1", "deployments", "deployment", "Deployment", "nscg", "deploy", "all"},
    {"apps", "v1", "replicasets", "replicaset", "ReplicaSet", "nscg", "rs", "all"},
    {"apps", "v1", "statefulsets", "statefulset", "StatefulSet", "nscg", "sts", "all"},
    {"events.k8s.io", "v1", "events", "event", "Event", "n", "ev", "", "", "/events"},
    {kAuthn, "v1", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", "v"},
    {kAuthn, "v1", "tokenreviews", "tokenreview", "TokenReview", "v"},
    {kAuthz, "v1", "localsubjectaccessreviews", "localsubjectaccessreview",
     "LocalSubjectAccessReview", "nv"},
    {kAuthz, "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview",
     "v"},
    {kAuthz, "v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview",
     "v"},
    {kAuthz, "v1", "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", "v"},
    {"autoscaling", "v2,v2beta2,v2beta1,v1", "horizontalpodautoscalers", "horizontalpodautoscaler",
     "HorizontalPodAutoscaler", "ns", "hpa", "all"},
    {"batch", "v1,v1beta1", "cronjobs", "cronjob", "CronJob", "nsg", "cj", "all"},
    {"batch", "v1", "jobs", "job", "Job", "nsg", "", "all"},
    {"certificates.k8s.io", "v1", "certificatesigningrequests", "certificatesigningrequest",
     "CertificateSigningRequest", "s", "csr", "", "approval"},
    {"networking.k8s.io", "v1", "ingressclasses", "ingressclass", "IngressClass", "g"},
    {"networking.k8s.io", "v1", "ingresses", "ingress", "Ingress", "nsg", "ing"},
    {"networking.k8s.io", "v1", "networkpolicies", "networkpolicy", "NetworkPolicy", "ng",
     "netpol"},
    {"policy", "v1,v1beta1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget",
     "nsg", "pdb"},
    {kRbac, "v1,v1beta1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", ""},
    {kRbac, "v1,v1beta1", "clusterroles", "clusterrole", "ClusterRole", ""},
    {kRbac, "v1,v1beta1", "rolebindings", "rolebinding", "RoleBinding", "n"},
    {kRbac, "v1,v1beta1", "roles", "role", "Role", "n"},
    {"storage.k8s.io", "v1", "csidrivers", "csidriver", "CSIDriver", ""},
    {"storage.k8s.io", "v1", "csinodes", "csinode", "CSINode", ""},
    {"storage.k8s.io", "v1", "storageclasses", "storageclass", "StorageClass", "", "sc"},
    {"storage.k8s.io", "v1", "volumeattachments", "volumeattachment", "VolumeAttachment", "s"},
    {kAdmission, "v1,v1beta1", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration",
     "MutatingWebhookConfiguration", "g", "", "api-extensions"},
    {kAdmission, "v1,v1beta1", "validatingwebhookconfigurations", "validatingwebhookconfiguration",
     "ValidatingWebhookConfiguration", "g", "", "api-extensions"},
    {kAdmission, "v1", "validatingadmissionpolicies", "validatingadmissionpolicy",
     "ValidatingAdmissionPolicy", "sg", "", "api-extensions"},
    {kAdmission, "v1", "validatingadmissionpolicybindings", "validatingadmissionpolicybinding",
     "ValidatingAdmissionPolicyBinding", "g", "", "api-extensions"},
    {"apiextensions.k8s.io", "v1,v1beta1", "customresourcedefinitions", "customresourcedefinition",
     "CustomResourceDefinition", "sg", "crd,crds", "api-extensions"},
    {"scheduling.k8s.io", "v1", "priorityclasses", "priorityclass", "PriorityClass", "g", "pc"},
    {"coordination.k8s.io", "v1", "leases", "lease", "Lease", "n"},
    {"node.k8s.io", "v1", "runtimeclasses", "runtimeclass", "RuntimeClass", ""},
    {"discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", "ng"},
});

std::vector<std::string> words(std::string_view list) {
  std::vector<std::string> made;
  if (list.empty()) return made;
  for (const auto& word : split(list, ',')) made.emplace_back(word);
  return made;
}

TypePtr make_type(const Row& row) {
  auto type = std::make_shared<ResourceType>();
  const auto has = [&](char flag) { return row.flags.find(flag) != std::string_view::npos; };
  type->group = row.group;
  type->plural = row.plural;
  type->singular = row.singular;
  type->kind = row.kind;
  type->list_kind = std::string(row.kind) + "List";
  type->is_namespaced = has('n');
  type->is_virtual = has('v');
  type->has_generation = has('g');
  type->short_names = words(row.short_names);
  type->categories = words(row.categories);
  type->subresources = words(row.subresources);
  type->bucket = row.bucket.empty() ? type->group + "/" + type->plural : std::string(row.bucket);
  for (const auto& name : words(row.versions)) {
    ServedVersion version;
    version.name = name;
    version.has_status = has('s');
    if (has('c')) {
      version.scale =
          std::make_shared<ScalePaths>(ScalePaths{"spec.replicas", "status.replicas", ""});
    }
    if (name.find("beta") != std::string::npos) {
      version.deprecation_warning = type->group + "/" + name + " " + type->kind +
                                    " is deprecated; use " + type->group + "/" +
                                    words(row.versions).front() + " " + type->kind;
    }
    type->versions.push_back(std::move(version));
  }
  type->storage_version = type->versions.front().name;
  return type;
}

}  // namespace

std::vector<TypePtr> builtin_types() {
  std::vector<TypePtr> types;
  for (const auto& row : kRows) types.push_back(make_type(row));
  return types;
}

}  // namespace lateen::cluster::apiserver
