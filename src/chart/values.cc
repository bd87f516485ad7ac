// Merging and setting of values, and the order of kinds at installation.
#include <algorithm>

#include "base/strings.h"
#include "chart/chart.h"

namespace lateen::chart {
namespace {

constexpr std::string_view kInstallOrder[] = {"PriorityClass",
                                              "Namespace",
                                              "NetworkPolicy",
                                              "ResourceQuota",
                                              "LimitRange",
                                              "PodSecurityPolicy",
                                              "PodDisruptionBudget",
                                              "ServiceAccount",
                                              "Secret",
                                              "SecretList",
                                              "ConfigMap",
                                              "StorageClass",
                                              "PersistentVolume",
                                              "PersistentVolumeClaim",
                                              "CustomResourceDefinition",
                                              "ClusterRole",
                                              "ClusterRoleList",
                                              "ClusterRoleBinding",
                                              "ClusterRoleBindingList",
                                              "Role",
                                              "RoleList",
                                              "RoleBinding",
                                              "RoleBindingList",
                                              "Service",
                                              "DaemonSet",
                                              "Pod",
                                              "ReplicationController",
                                              "ReplicaSet",
                                              "Deployment",
                                              "HorizontalPodAutoscaler",
                                              "StatefulSet",
                                              "Job",
                                              "CronJob",
                                              "IngressClass",
                                              "Ingress",
                                              "APIService",
                                              "MutatingWebhookConfiguration",
                                              "ValidatingWebhookConfiguration"};

constexpr std::int64_t kMostIndex = 1000;

struct Step {
  std::string key;
  std::optional<std::size_t> index;  // a list's element instead of a key
};

// "a.b\.c[0].d": dots separate, a backslash keeps the next character, brackets index lists.
Result<std::vector<Step>> parse_path(std::string_view path) {
  std::vector<Step> steps;
  std::string key;
  const auto flush = [&] {
    if (!key.empty()) steps.push_back({std::exchange(key, ""), std::nullopt});
  };
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) {
      key += path[++i];
      continue;
    }
    if (path[i] == '.') {
      flush();
      continue;
    }
    if (path[i] != '[') {
      key += path[i];
      continue;
    }
    flush();
    const auto end = path.find(']', i);
    const auto index =
        end == std::string_view::npos ? std::nullopt : parse_int(path.substr(i + 1, end - i - 1));
    if (!index || *index < 0 || *index > kMostIndex)
      return invalid("path \"" + std::string(path) + "\": [ needs an index from 0 to 1000 and a ]");
    steps.push_back({"", static_cast<std::size_t>(*index)});
    i = end;
  }
  flush();
  if (steps.empty()) return invalid("the path to set is empty");
  return steps;
}

}  // namespace

void merge_values(Json& into, const Json& overrides) {
  const auto* from = overrides.if_object();
  if (from == nullptr) return;
  if (!into.is_object()) into.emplace_object();
  auto& object = *into.if_object();
  for (const auto& member : *from) {
    if (member.value().is_null()) {
      object.erase(member.key());
      continue;
    }
    Json* there = object.if_contains(member.key());
    if (there != nullptr && there->is_object() && member.value().is_object())
      merge_values(*there, member.value());
    else object[member.key()] = member.value();
  }
}

Result<> set_path(Json& values, std::string_view path, Json value) {
  Json* at = &values;
  for (const Step& step : TRY(parse_path(path))) {
    if (step.index) {
      if (!at->is_array()) at->emplace_array();
      auto& array = *at->if_array();
      while (array.size() <= *step.index) array.emplace_back(nullptr);
      at = &array[*step.index];
    } else {
      if (!at->is_object()) at->emplace_object();
      at = &(*at->if_object())[step.key];
    }
  }
  *at = std::move(value);
  return {};
}

int install_rank(std::string_view kind) {
  const auto found = std::find(std::begin(kInstallOrder), std::end(kInstallOrder), kind);
  return static_cast<int>(found - std::begin(kInstallOrder));
}

void sort_for_install(std::vector<Rendered>& objects) {
  std::stable_sort(objects.begin(), objects.end(), [](const Rendered& a, const Rendered& b) {
    return install_rank(data::get_string(a.object, {"kind"})) <
           install_rank(data::get_string(b.object, {"kind"}));
  });
}

}  // namespace lateen::chart
