// The order is Helm's install order, shortened to what matters: dependants after what they need.
#include "kube/manifest.h"

#include <algorithm>
#include <array>
#include <thread>

#include "base/strings.h"

namespace lateen::kube {
namespace {

constexpr std::array<std::string_view, 22> kOrder = {"Namespace",
                                                     "CustomResourceDefinition",
                                                     "PriorityClass",
                                                     "NetworkPolicy",
                                                     "ResourceQuota",
                                                     "LimitRange",
                                                     "PodDisruptionBudget",
                                                     "ServiceAccount",
                                                     "Secret",
                                                     "ConfigMap",
                                                     "StorageClass",
                                                     "PersistentVolumeClaim",
                                                     "ClusterRole",
                                                     "ClusterRoleBinding",
                                                     "Role",
                                                     "RoleBinding",
                                                     "Service",
                                                     "DaemonSet",
                                                     "Deployment",
                                                     "StatefulSet",
                                                     "Job",
                                                     "HorizontalPodAutoscaler"};
constexpr milliseconds kKindPoll{20};
constexpr int kMostKindPolls = 500;

std::size_t rank(const Json& object) {
  const auto at = std::find(kOrder.begin(), kOrder.end(), kind_of(object));
  return static_cast<std::size_t>(at - kOrder.begin());
}

Result<Resource> wait_for_kind(Client& client, const Json& object) {
  for (int i = 0;; ++i) {
    auto resource = client.resource_for(api_version_of(object), kind_of(object));
    if (resource || resource.error().code() != Code::kNotFound || i >= kMostKindPolls)
      return resource;
    std::this_thread::sleep_for(kKindPoll);
  }
}

std::string title(const Resource& resource, const Json& object) {
  std::string out = to_lower(resource.kind);
  if (!resource.group.empty()) out += "." + resource.group;
  return out + "/" + std::string(name_of(object));
}

}  // namespace

void sort_for_apply(std::vector<Json>& objects) {
  std::stable_sort(objects.begin(), objects.end(),
                   [](const Json& a, const Json& b) { return rank(a) < rank(b); });
}

Result<> apply_all(Client& client, std::vector<Json> objects, std::string_view ns,
                   std::string_view field_manager, const Function<void(const std::string&)>& tell) {
  sort_for_apply(objects);
  PatchOptions options;
  options.field_manager = field_manager;
  options.is_forced = true;
  for (Json& object : objects) {
    const std::string what = std::string(kind_of(object)) + " " + std::string(name_of(object));
    if (kind_of(object).empty() || name_of(object).empty())
      return invalid("an object without kind or metadata.name cannot be applied");
    const Resource resource = TRY(wait_for_kind(client, object).at(what));
    if (resource.is_namespaced && namespace_of(object).empty())
      data::set(object, {"metadata", "namespace"}, Json(ns));
    TRY(client.apply(resource, object, options).at(what));
    if (tell) tell(title(resource, object) + " serverside-applied");
  }
  return {};
}

}  // namespace lateen::kube
