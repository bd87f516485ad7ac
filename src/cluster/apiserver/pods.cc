// Pods and pod templates: defaults and validation (pkg/apis/core/v1/defaults.go,
// pkg/apis/core/validation).
#include <fmt/format.h>

#include <set>

#include "base/strings.h"
#include "cluster/apiserver/defaults.h"
#include "kube/names.h"
#include "kube/object.h"

namespace lateen::cluster::apiserver {
namespace {

// "docker.io/x:1.0" has a tag, "host:5000/x" has none.
bool is_latest(std::string_view image) {
  if (image.find('@') != std::string_view::npos) return false;
  const auto slash = image.rfind('/');
  const auto last = slash == std::string_view::npos ? image : image.substr(slash + 1);
  const auto colon = last.find(':');
  return colon == std::string_view::npos || last.substr(colon + 1) == "latest";
}

void default_http_get(Json& handler) {
  if (data::find(handler, {"httpGet"}) == nullptr) return;
  fill(handler, {"httpGet", "scheme"}, "HTTP");
  if (data::get_string(handler, {"httpGet", "path"}).empty())
    data::set(handler, {"httpGet", "path"}, "/");
}

void default_probe(JsonObject& container, std::string_view name) {
  Json* probe = container.if_contains(name);
  if (probe == nullptr || !probe->is_object()) return;
  default_http_get(*probe);
  fill(*probe, {"timeoutSeconds"}, 1);
  fill(*probe, {"periodSeconds"}, 10);
  fill(*probe, {"successThreshold"}, 1);
  fill(*probe, {"failureThreshold"}, 3);
}

void default_field_ref(Json& holder) {
  if (data::find(holder, {"fieldRef"}) != nullptr) fill(holder, {"fieldRef", "apiVersion"}, "v1");
}

void default_container(Json& value) {
  auto* container = value.if_object();
  if (container == nullptr) return;
  const auto image = data::get_string(value, {"image"});
  fill(*container, "resources", JsonObject{});
  if (data::get_string(value, {"imagePullPolicy"}).empty()) {
    (*container)["imagePullPolicy"] = is_latest(image) ? "Always" : "IfNotPresent";
  }
  fill(*container, "terminationMessagePath", "/dev/termination-log");
  fill(*container, "terminationMessagePolicy", "File");
  if (auto* ports = array_at(value, {"ports"})) {
    for (auto& port : *ports) fill(port, {"protocol"}, "TCP");
  }
  for (std::string_view probe : {"livenessProbe", "readinessProbe", "startupProbe"})
    default_probe(*container, probe);
  for (std::string_view hook : {"postStart", "preStop"}) {
    if (Json* handler = data::find(value, {"lifecycle", hook})) default_http_get(*handler);
  }
  if (auto* env = array_at(value, {"env"})) {
    for (auto& one : *env) {
      if (Json* from = data::find(one, {"valueFrom"})) default_field_ref(*from);
    }
  }
}

void default_items(Json& volume, std::initializer_list<std::string_view> path) {
  auto* items = array_at(volume, path);
  if (items == nullptr) return;
  for (auto& item : *items) default_field_ref(item);
}

void default_volume_source(Json& volume) {
  auto* object = volume.if_object();
  if (object == nullptr) return;
  if (object->size() == 1) (*object)["emptyDir"] = JsonObject{};
  for (std::string_view kind : {"secret", "configMap", "projected", "downwardAPI"}) {
    if (object->contains(kind)) fill(volume, {kind, "defaultMode"}, 420);
  }
  if (object->contains("hostPath")) fill(volume, {"hostPath", "type"}, "");
  default_items(volume, {"downwardAPI", "items"});
  if (auto* sources = array_at(volume, {"projected", "sources"})) {
    for (auto& source : *sources) {
      default_items(source, {"downwardAPI", "items"});
      if (data::find(source, {"serviceAccountToken"}) != nullptr) {
        fill(source, {"serviceAccountToken", "expirationSeconds"}, 3600);
      }
    }
  }
}

constexpr std::string_view kContainerLists[] = {"initContainers", "containers",
                                                "ephemeralContainers"};

}  // namespace

void default_pod_spec(Json& spec) {
  auto* object = spec.if_object();
  if (object == nullptr) return;
  for (std::string_view list : kContainerLists) {
    if (auto* containers = array_at(spec, {list})) {
      for (auto& container : *containers) default_container(container);
    }
  }
  if (auto* volumes = array_at(spec, {"volumes"})) {
    for (auto& volume : *volumes) default_volume_source(volume);
  }
  fill(*object, "restartPolicy", "Always");
  fill(*object, "terminationGracePeriodSeconds", 30);
  fill(*object, "dnsPolicy", "ClusterFirst");
  fill(*object, "securityContext", JsonObject{});
  fill(*object, "schedulerName", "default-scheduler");
  // The old and the new name of the same field.
  if (const auto name = data::get_string(spec, {"serviceAccountName"}); !name.empty()) {
    (*object)["serviceAccount"] = std::string(name);
  } else if (const auto old_name = data::get_string(spec, {"serviceAccount"}); !old_name.empty()) {
    (*object)["serviceAccountName"] = std::string(old_name);
  }
  if (data::get_bool(spec, {"hostNetwork"})) {
    if (auto* containers = array_at(spec, {"containers"})) {
      for (auto& container : *containers) {
        auto* ports = array_at(container, {"ports"});
        if (ports == nullptr) continue;
        for (auto& port : *ports)
          fill(port, {"hostPort"}, Json(data::get_int(port, {"containerPort"})));
      }
    }
  }
}

namespace {

void default_pod(Json& pod) {
  Json* spec = data::find(pod, {"spec"});
  if (spec == nullptr) return;
  default_pod_spec(*spec);
  fill(*spec, {"enableServiceLinks"}, true);
  for (std::string_view list : {"initContainers", "containers"}) {
    auto* containers = array_at(*spec, {list});
    if (containers == nullptr) continue;
    for (auto& container : *containers) {
      const JsonObject limits = data::get_object(container, {"resources", "limits"});
      for (const auto& [name, value] : limits)
        fill(container, {"resources", "requests", name}, value);
    }
  }
}

std::string qos_of(const Json& pod) {
  bool is_guaranteed = true;
  bool has_any = false;
  for (std::string_view list : {"initContainers", "containers"}) {
    for (const auto& container : data::get_array(pod, {"spec", list})) {
      for (std::string_view name : {"cpu", "memory"}) {
        const Json* request = data::find(container, {"resources", "requests", name});
        const Json* limit = data::find(container, {"resources", "limits", name});
        has_any = has_any || request != nullptr || limit != nullptr;
        if (limit == nullptr || (request != nullptr && !data::equal(*request, *limit)))
          is_guaranteed = false;
      }
    }
  }
  if (!has_any) return "BestEffort";
  return is_guaranteed ? "Guaranteed" : "Burstable";
}

void create_pod(Json& pod) {
  data::set(pod, {"status"}, JsonObject{{"phase", "Pending"}, {"qosClass", qos_of(pod)}});
  fill(pod, {"spec", "preemptionPolicy"}, "PreemptLowerPriority");
  fill(pod, {"spec", "priority"}, 0);
  // DefaultTolerationSeconds.
  Json& spec = *data::find(pod, {"spec"});
  if (array_at(spec, {"tolerations"}) == nullptr) data::set(spec, {"tolerations"}, JsonArray{});
  auto& tolerations = *array_at(spec, {"tolerations"});
  for (std::string_view key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    bool is_there = false;
    for (const auto& one : tolerations) {
      const auto own_key = data::get_string(one, {"key"});
      is_there = is_there || own_key == key ||
                 (own_key.empty() && data::get_string(one, {"operator"}) == "Exists");
    }
    if (is_there) continue;
    tolerations.push_back(JsonObject{
        {"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", 300}});
  }
}

// ---- validation ----

void validate_ports(const Json& container, const std::string& path, FieldErrors& errors) {
  int index = 0;
  for (const auto& port : data::get_array(container, {"ports"})) {
    const std::string at = fmt::format("{}.ports[{}]", path, index++);
    const auto number = data::get_int(port, {"containerPort"});
    if (number == 0) errors.required(at + ".containerPort");
    else if (number < 1 || number > 65535) {
      errors.invalid(at + ".containerPort", Json(number), "must be between 1 and 65535, inclusive");
    }
    if (const auto name = data::get_string(port, {"name"}); !name.empty()) {
      if (auto wrong = kube::check_port_name(name); !wrong.empty())
        errors.invalid(at + ".name", Json(name), wrong);
    }
    const auto protocol = data::get_string(port, {"protocol"});
    if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP") {
      errors.unsupported(at + ".protocol", Json(protocol), {"SCTP", "TCP", "UDP"});
    }
  }
}

void validate_env(const Json& container, const std::string& path, FieldErrors& errors) {
  int index = 0;
  for (const auto& one : data::get_array(container, {"env"})) {
    const std::string at = fmt::format("{}.env[{}]", path, index++);
    const auto name = data::get_string(one, {"name"});
    if (name.empty()) {
      errors.required(at + ".name");
    } else if (auto wrong = kube::check_env_name(name); !wrong.empty()) {
      errors.invalid(at + ".name", Json(name), wrong);
    }
    if (!data::get_string(one, {"value"}).empty() && data::find(one, {"valueFrom"}) != nullptr) {
      errors.invalid(at + ".valueFrom", Json(""), "may not be specified when `value` is not empty");
    }
  }
}

void validate_container(const Json& container, const std::string& path,
                        const std::set<std::string>& volumes, std::set<std::string>& names,
                        FieldErrors& errors) {
  const auto name = data::get_string(container, {"name"});
  if (name.empty()) {
    errors.required(path + ".name");
  } else if (auto wrong = kube::check_dns1123_label(name); !wrong.empty()) {
    errors.invalid(path + ".name", Json(name), wrong);
  } else if (!names.emplace(name).second) {
    errors.duplicate(path + ".name", Json(name));
  }
  if (data::get_string(container, {"image"}).empty()) errors.required(path + ".image");
  const auto policy = data::get_string(container, {"imagePullPolicy"});
  if (policy != "Always" && policy != "IfNotPresent" && policy != "Never") {
    errors.unsupported(path + ".imagePullPolicy", Json(policy),
                       {"Always", "IfNotPresent", "Never"});
  }
  validate_ports(container, path, errors);
  validate_env(container, path, errors);
  int index = 0;
  for (const auto& mount : data::get_array(container, {"volumeMounts"})) {
    const std::string at = fmt::format("{}.volumeMounts[{}]", path, index++);
    const std::string volume(data::get_string(mount, {"name"}));
    if (volume.empty()) errors.required(at + ".name");
    else if (!volumes.contains(volume)) errors.not_found(at + ".name", Json(volume));
    if (data::get_string(mount, {"mountPath"}).empty()) errors.required(at + ".mountPath");
  }
}

}  // namespace

void validate_pod_spec(const Json& spec, const std::string& path, FieldErrors& errors) {
  std::set<std::string> volumes;
  int index = 0;
  for (const auto& volume : data::get_array(spec, {"volumes"})) {
    const std::string at = fmt::format("{}.volumes[{}].name", path, index++);
    const std::string name(data::get_string(volume, {"name"}));
    if (name.empty()) errors.required(at);
    else if (auto wrong = kube::check_dns1123_label(name); !wrong.empty())
      errors.invalid(at, Json(name), wrong);
    else if (!volumes.insert(name).second) errors.duplicate(at, Json(name));
  }
  if (data::get_array(spec, {"containers"}).empty()) errors.required(path + ".containers");
  std::set<std::string> names;
  for (std::string_view list : {"containers", "initContainers"}) {
    index = 0;
    for (const auto& container : data::get_array(spec, {list})) {
      validate_container(container, fmt::format("{}.{}[{}]", path, list, index++), volumes, names,
                         errors);
    }
  }
  const auto restart = data::get_string(spec, {"restartPolicy"});
  if (restart != "Always" && restart != "OnFailure" && restart != "Never") {
    errors.unsupported(path + ".restartPolicy", Json(restart), {"Always", "OnFailure", "Never"});
  }
  const auto dns = data::get_string(spec, {"dnsPolicy"});
  if (dns != "ClusterFirst" && dns != "ClusterFirstWithHostNet" && dns != "Default" &&
      dns != "None") {
    errors.unsupported(path + ".dnsPolicy", Json(dns),
                       {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"});
  }
  if (const auto grace = data::get_int(spec, {"terminationGracePeriodSeconds"}); grace < 0) {
    errors.invalid(path + ".terminationGracePeriodSeconds", Json(grace),
                   "must be greater than or equal to 0");
  }
}

namespace {

// What an update of a pod may change: images, activeDeadlineSeconds, added tolerations,
// terminationGracePeriodSeconds.
Json frozen_part(const Json& pod) {
  const Json* found = data::find(pod, {"spec"});
  Json spec = found != nullptr ? *found : Json(JsonObject{});
  for (std::string_view list : kContainerLists) {
    auto* containers = array_at(spec, {list});
    if (containers == nullptr) continue;
    for (auto& container : *containers) {
      data::erase(container, {"image"});
      data::erase(container, {"resources"});
    }
  }
  for (std::string_view field :
       {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName",
        "ephemeralContainers", "schedulingGates"}) {
    data::erase(spec, {field});
  }
  return spec;
}

void validate_pod(const Json& pod, const Json* old, FieldErrors& errors) {
  const Json* spec = data::find(pod, {"spec"});
  if (spec == nullptr) {
    errors.required("spec.containers");
    return;
  }
  validate_pod_spec(*spec, "spec", errors);
  if (old != nullptr && !data::equal(frozen_part(pod), frozen_part(*old))) {
    errors.forbidden("spec",
                     "pod updates may not change fields other than `spec.containers[*].image`,"
                     "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec."
                     "tolerations` (only additions to "
                     "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be "
                     "set to 1 if it was "
                     "previously negative)");
  }
}

}  // namespace

const Strategy kPodStrategy{default_pod, create_pod, nullptr, validate_pod};

}  // namespace lateen::cluster::apiserver
