// Metadata that all kinds share, and the strategies of the kinds that need little.
#include "cluster/apiserver/strategy.h"

#include <fmt/format.h>

#include <array>

#include "base/strings.h"
#include "cluster/apiserver/defaults.h"
#include "cluster/apiserver/policies.h"
#include "kube/names.h"
#include "kube/object.h"

namespace lateen::cluster::apiserver {

void fill(Json& object, std::initializer_list<std::string_view> path, Json value) {
  const Json* found = data::find(std::as_const(object), path);
  if (found == nullptr || found->is_null()) data::set(object, path, std::move(value));
}
void fill(JsonObject& object, std::string_view key, Json value) {
  const Json* found = object.if_contains(key);
  if (found == nullptr || found->is_null()) object[key] = std::move(value);
}
JsonArray* array_at(Json& object, std::initializer_list<std::string_view> path) {
  Json* found = data::find(object, path);
  return found == nullptr ? nullptr : found->if_array();
}
JsonObject* object_at(Json& object, std::initializer_list<std::string_view> path) {
  Json* found = data::find(object, path);
  return found == nullptr ? nullptr : found->if_object();
}

std::string go_map(const JsonObject& labels) {
  std::map<std::string, std::string> sorted;
  for (const auto& [key, value] : labels) sorted.emplace(key, data::as_string(value));
  std::vector<std::string> parts;
  for (const auto& [key, value] : sorted) parts.push_back(fmt::format("\"{}\":\"{}\"", key, value));
  return fmt::format("map[string]string{{{}}}", join(parts, ", "));
}

namespace {

using NameCheck = std::string (*)(std::string_view);

NameCheck name_check(const ResourceType& type) {
  if (type.group == "rbac.authorization.k8s.io") return kube::check_path_segment_name;
  if (type.bucket == "/services") return kube::check_dns1035_label;
  if (type.bucket == "/namespaces") return kube::check_dns1123_label;
  if (type.is_virtual) return nullptr;
  return kube::check_dns1123_subdomain;
}

void validate_string_map(const Json* map, const std::string& path, bool is_labels,
                         FieldErrors& errors) {
  if (map == nullptr || map->is_null()) return;
  const auto* object = map->if_object();
  if (object == nullptr) {
    errors.type_invalid(path, *map, "must be a map of strings");
    return;
  }
  std::size_t total = 0;
  for (const auto& [key, value] : *object) {
    if (auto wrong = kube::check_qualified_name(is_labels ? std::string(key) : to_lower(key));
        !wrong.empty()) {
      errors.invalid(path, Json(key), wrong);
    }
    const auto* text = value.if_string();
    if (text == nullptr) {
      errors.type_invalid(fmt::format("{}.{}", path, std::string_view(key)), value,
                          "must be a string");
      continue;
    }
    total += key.size() + text->size();
    if (!is_labels) continue;
    if (auto wrong = kube::check_label_value(*text); !wrong.empty())
      errors.invalid(path, value, wrong);
  }
  constexpr std::size_t kMostAnnotationBytes = 256 * 1024;
  if (!is_labels && total > kMostAnnotationBytes) errors.too_long(path, kMostAnnotationBytes);
}

void validate_owners(const Json& object, FieldErrors& errors) {
  int controllers = 0;
  int index = 0;
  for (const auto& owner : data::get_array(object, {"metadata", "ownerReferences"})) {
    const std::string path = fmt::format("metadata.ownerReferences[{}]", index++);
    for (std::string_view field : {"apiVersion", "kind", "name", "uid"}) {
      if (data::get_string(owner, {field}).empty()) {
        errors.invalid(fmt::format("{}.{}", path, field), Json(""),
                       fmt::format("{} must not be empty", field));
      }
    }
    if (data::get_bool(owner, {"controller"}) && ++controllers > 1) {
      errors.invalid("metadata.ownerReferences", owner,
                     "Only one reference can have Controller set to true");
    }
  }
}

}  // namespace

void validate_labels(const Json* labels, const std::string& path, FieldErrors& errors) {
  validate_string_map(labels, path, true, errors);
}

void validate_metadata(const ResourceType& type, const Json& object, FieldErrors& errors) {
  const auto name = kube::name_of(object);
  const NameCheck check = name_check(type);
  if (name.empty() && !type.is_virtual) {
    errors.required("metadata.name", "name or generateName is required");
  } else if (check != nullptr) {
    if (auto wrong = check(name); !wrong.empty())
      errors.invalid("metadata.name", Json(name), wrong);
  }
  validate_string_map(data::find(object, {"metadata", "labels"}), "metadata.labels", true, errors);
  validate_string_map(data::find(object, {"metadata", "annotations"}), "metadata.annotations",
                      false, errors);
  for (const auto& finalizer : data::get_array(object, {"metadata", "finalizers"})) {
    if (auto wrong = kube::check_qualified_name(data::as_string(finalizer)); !wrong.empty()) {
      errors.invalid("metadata.finalizers", finalizer, wrong);
    }
  }
  validate_owners(object, errors);
}

namespace {

// ---- namespaces, secrets, config maps ----

void default_namespace(Json& object) {
  data::set(object, {"metadata", "labels", "kubernetes.io/metadata.name"},
            Json(kube::name_of(object)));
}
void create_namespace(Json& object) {
  data::set(object, {"spec", "finalizers"}, JsonArray{"kubernetes"});
  data::set(object, {"status"}, JsonObject{{"phase", "Active"}});
}
void update_namespace(Json& object, const Json& old) {
  // Only the finalize subresource changes spec.finalizers.
  if (const Json* spec = data::find(old, {"spec"})) data::set(object, {"spec"}, *spec);
}

void default_secret(Json& object) {
  fill(object, {"type"}, "Opaque");
  const JsonObject plain = data::get_object(object, {"stringData"});
  for (const auto& [key, value] : plain) {
    data::ensure_object(object, {"data"})[key] = base64_encode(data::as_string(value));
  }
  data::erase(object, {"stringData"});
}

constexpr std::size_t kMostDataBytes = 1024 * 1024;

void validate_keys(const Json& object, std::string_view field, std::size_t& total,
                   FieldErrors& errors) {
  for (const auto& [key, value] : data::get_object(object, {field})) {
    if (auto wrong = kube::check_config_map_key(key); !wrong.empty()) {
      errors.invalid(fmt::format("{}[{}]", field, std::string_view(key)), Json(key), wrong);
    }
    total += data::as_string(value).size();
  }
}

void validate_immutable(const Json& object, const Json* old,
                        std::initializer_list<std::string_view> fields, FieldErrors& errors) {
  if (old == nullptr || !data::get_bool(*old, {"immutable"})) return;
  for (std::string_view field : fields) {
    const Json* before = data::find(*old, {field});
    const Json* after = data::find(object, {field});
    const bool is_same =
        before == nullptr || after == nullptr ? before == after : data::equal(*before, *after);
    if (!is_same)
      errors.forbidden(std::string(field), "field is immutable when `immutable` is set");
  }
}

void validate_secret(const Json& object, const Json* old, FieldErrors& errors) {
  std::size_t total = 0;
  validate_keys(object, "data", total, errors);
  for (const auto& [key, value] : data::get_object(object, {"data"})) {
    if (!value.is_string() || !base64_decode(data::as_string(value)).ok()) {
      errors.invalid(fmt::format("data[{}]", std::string_view(key)), Json("<redacted>"),
                     "must be base64");
    }
  }
  if (total > kMostDataBytes * 4 / 3) errors.too_long("data", kMostDataBytes);
  const auto type = data::get_string(object, {"type"});
  const auto needs = [&](std::string_view key) {
    if (data::find(object, {"data", key}) == nullptr) errors.required(fmt::format("data[{}]", key));
  };
  if (type == "kubernetes.io/tls") {
    needs("tls.crt");
    needs("tls.key");
  } else if (type == "kubernetes.io/dockerconfigjson") {
    needs(".dockerconfigjson");
  } else if (type == "kubernetes.io/service-account-token" &&
             kube::annotation(object, "kubernetes.io/service-account.name").empty()) {
    errors.required("metadata.annotations[kubernetes.io/service-account.name]");
  }
  if (old != nullptr && data::get_string(*old, {"type"}) != type) {
    errors.invalid("type", Json(type), "field is immutable");
  }
  validate_immutable(object, old, {"data"}, errors);
}

void validate_config_map(const Json& object, const Json* old, FieldErrors& errors) {
  std::size_t total = 0;
  validate_keys(object, "data", total, errors);
  validate_keys(object, "binaryData", total, errors);
  for (const auto& [key, value] : data::get_object(object, {"data"})) {
    if (!value.is_string()) {
      errors.type_invalid(fmt::format("data[{}]", std::string_view(key)), value,
                          "must be a string");
    }
  }
  if (total > kMostDataBytes) errors.too_long("", kMostDataBytes);
  validate_immutable(object, old, {"data", "binaryData"}, errors);
}

// ---- rbac ----

void default_binding(Json& object) {
  fill(object, {"roleRef", "apiGroup"}, "rbac.authorization.k8s.io");
  auto* subjects = array_at(object, {"subjects"});
  if (subjects == nullptr) return;
  for (auto& subject : *subjects) {
    const auto kind = data::get_string(subject, {"kind"});
    if (kind == "User" || kind == "Group") fill(subject, {"apiGroup"}, "rbac.authorization.k8s.io");
  }
}

void validate_binding(const Json& object, const Json* old, FieldErrors& errors) {
  const auto kind = data::get_string(object, {"roleRef", "kind"});
  if (kind != "Role" && kind != "ClusterRole") {
    errors.unsupported("roleRef.kind", Json(kind), {"Role", "ClusterRole"});
  }
  if (data::get_string(object, {"roleRef", "name"}).empty()) errors.required("roleRef.name");
  int index = 0;
  for (const auto& subject : data::get_array(object, {"subjects"})) {
    const std::string path = fmt::format("subjects[{}]", index++);
    const auto subject_kind = data::get_string(subject, {"kind"});
    if (data::get_string(subject, {"name"}).empty()) errors.required(path + ".name");
    if (subject_kind == "ServiceAccount") {
      if (data::get_string(subject, {"namespace"}).empty()) errors.required(path + ".namespace");
    } else if (subject_kind != "User" && subject_kind != "Group") {
      errors.unsupported(path + ".kind", Json(subject_kind), {"ServiceAccount", "User", "Group"});
    }
  }
  if (old == nullptr) return;
  const Json* before = data::find(*old, {"roleRef"});
  const Json* after = data::find(object, {"roleRef"});
  if (before != nullptr && after != nullptr && !data::equal(*before, *after)) {
    errors.invalid_shown("roleRef",
                         fmt::format("rbac.RoleRef{{APIGroup:\"{}\", Kind:\"{}\", Name:\"{}\"}}",
                                     data::get_string(*after, {"apiGroup"}), kind,
                                     data::get_string(*after, {"name"})),
                         "cannot change roleRef");
  }
}

// ---- autoscaling, policy, endpoints, storage ----

void default_hpa(Json& object) {
  fill(object, {"spec", "minReplicas"}, 1);
  if (data::get_array(object, {"spec", "metrics"}).empty()) {
    data::set(object, {"spec", "metrics"},
              JsonArray{JsonObject{
                  {"type", "Resource"},
                  {"resource", JsonObject{{"name", "cpu"},
                                          {"target", JsonObject{{"type", "Utilization"},
                                                                {"averageUtilization", 80}}}}}}});
  }
}
void validate_hpa(const Json& object, const Json*, FieldErrors& errors) {
  const auto least = data::get_int(object, {"spec", "minReplicas"}, 1);
  const auto most = data::get_int(object, {"spec", "maxReplicas"});
  if (most < 1) errors.invalid("spec.maxReplicas", Json(most), "must be greater than 0");
  if (least < 1)
    errors.invalid("spec.minReplicas", Json(least), "must be greater than or equal to 1");
  if (most < least) {
    errors.invalid("spec.maxReplicas", Json(most),
                   "must be greater than or equal to `minReplicas`");
  }
  if (data::get_string(object, {"spec", "scaleTargetRef", "kind"}).empty())
    errors.required("spec.scaleTargetRef.kind");
  if (data::get_string(object, {"spec", "scaleTargetRef", "name"}).empty())
    errors.required("spec.scaleTargetRef.name");
}

void validate_pdb(const Json& object, const Json*, FieldErrors& errors) {
  if (data::find(object, {"spec", "minAvailable"}) != nullptr &&
      data::find(object, {"spec", "maxUnavailable"}) != nullptr) {
    errors.invalid("spec", JsonObject{}, "minAvailable and maxUnavailable cannot be both set");
  }
}

void default_endpoints(Json& object) {
  auto* subsets = array_at(object, {"subsets"});
  if (subsets == nullptr) return;
  for (auto& subset : *subsets) {
    auto* ports = array_at(subset, {"ports"});
    if (ports == nullptr) continue;
    for (auto& port : *ports) fill(port, {"protocol"}, "TCP");
  }
}
void default_endpoint_slice(Json& object) {
  auto* ports = array_at(object, {"ports"});
  if (ports == nullptr) return;
  for (auto& port : *ports) {
    fill(port, {"protocol"}, "TCP");
    fill(port, {"name"}, "");
  }
}
void validate_endpoint_slice(const Json& object, const Json*, FieldErrors& errors) {
  if (data::get_string(object, {"addressType"}).empty()) errors.required("addressType");
}

void default_claim(Json& object) { fill(object, {"spec", "volumeMode"}, "Filesystem"); }
void create_claim(Json& object) { data::set(object, {"status"}, JsonObject{{"phase", "Pending"}}); }
void create_volume(Json& object) {
  data::set(object, {"status"}, JsonObject{{"phase", "Available"}});
}
void default_volume(Json& object) {
  fill(object, {"spec", "volumeMode"}, "Filesystem");
  fill(object, {"spec", "persistentVolumeReclaimPolicy"}, "Retain");
}
void create_ingress(Json& object) {
  data::set(object, {"status"}, JsonObject{{"loadBalancer", JsonObject{}}});
}
void default_controller(Json& object) {
  fill(object, {"spec", "replicas"}, 1);
  if (Json* spec = data::find(object, {"spec", "template", "spec"})) default_pod_spec(*spec);
}

struct Entry {
  std::string_view bucket;
  const Strategy* strategy;
};

constexpr Strategy kNamespaceStrategy{default_namespace, create_namespace, update_namespace,
                                      nullptr};
constexpr Strategy kSecretStrategy{default_secret, nullptr, nullptr, validate_secret};
constexpr Strategy kConfigMapStrategy{nullptr, nullptr, nullptr, validate_config_map};
constexpr Strategy kBindingStrategy{default_binding, nullptr, nullptr, validate_binding};
constexpr Strategy kHpaStrategy{default_hpa, nullptr, nullptr, validate_hpa};
constexpr Strategy kPdbStrategy{nullptr, nullptr, nullptr, validate_pdb};
constexpr Strategy kEndpointsStrategy{default_endpoints};
constexpr Strategy kEndpointSliceStrategy{default_endpoint_slice, nullptr, nullptr,
                                          validate_endpoint_slice};
constexpr Strategy kClaimStrategy{default_claim, create_claim};
constexpr Strategy kVolumeStrategy{default_volume, create_volume};
constexpr Strategy kIngressStrategy{nullptr, create_ingress};
constexpr Strategy kControllerStrategy{default_controller};
constexpr Strategy kNodeStrategy{nullptr, nullptr, nullptr, nullptr, true};
constexpr Strategy kNone;

}  // namespace

const Strategy& strategy_for(const ResourceType& type) {
  static const auto entries = std::to_array<Entry>({
      {"/pods", &kPodStrategy},
      {"/namespaces", &kNamespaceStrategy},
      {"/nodes", &kNodeStrategy},
      {"/secrets", &kSecretStrategy},
      {"/configmaps", &kConfigMapStrategy},
      {"/services", &kServiceStrategy},
      {"/endpoints", &kEndpointsStrategy},
      {"/persistentvolumeclaims", &kClaimStrategy},
      {"/persistentvolumes", &kVolumeStrategy},
      {"/replicationcontrollers", &kControllerStrategy},
      {"apps/deployments", &kDeploymentStrategy},
      {"apps/replicasets", &kReplicaSetStrategy},
      {"apps/statefulsets", &kStatefulSetStrategy},
      {"apps/daemonsets", &kDaemonSetStrategy},
      {"batch/jobs", &kJobStrategy},
      {"batch/cronjobs", &kCronJobStrategy},
      {"autoscaling/horizontalpodautoscalers", &kHpaStrategy},
      {"policy/poddisruptionbudgets", &kPdbStrategy},
      {"networking.k8s.io/ingresses", &kIngressStrategy},
      {"discovery.k8s.io/endpointslices", &kEndpointSliceStrategy},
      {"rbac.authorization.k8s.io/rolebindings", &kBindingStrategy},
      {"rbac.authorization.k8s.io/clusterrolebindings", &kBindingStrategy},
      {"admissionregistration.k8s.io/mutatingwebhookconfigurations", &kMutatingWebhookStrategy},
      {"admissionregistration.k8s.io/validatingwebhookconfigurations", &kMutatingWebhookStrategy},
      {"admissionregistration.k8s.io/validatingadmissionpolicies", &kAdmissionPolicyStrategy},
      {"admissionregistration.k8s.io/validatingadmissionpolicybindings",
       &kAdmissionPolicyBindingStrategy},
      {"apiextensions.k8s.io/customresourcedefinitions", &kCrdStrategy},
  });
  if (!type.is_custom) {
    for (const auto& entry : entries) {
      if (entry.bucket == type.bucket) return *entry.strategy;
    }
  }
  return kNone;
}

}  // namespace lateen::cluster::apiserver
