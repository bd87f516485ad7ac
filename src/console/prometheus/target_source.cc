// Informers by resource and selector, made on first use.
#include "console/prometheus/target_source.h"

#include <fmt/core.h>

namespace lateen::console {
namespace {

constexpr milliseconds kFirstListLimit{5'000};
constexpr std::size_t kMaxInformers = 64;

}  // namespace

Result<std::vector<data::Json>> TargetSource::list(const kube::Resource& resource,
                                                   const TargetQuery& query, bool is_selected) {
  kube::ListOptions options;
  if (is_selected) options = {query.label_selector, query.field_selector};
  const std::string key =
      fmt::format("{}\n{}\n{}", resource.plural, options.label_selector, options.field_selector);
  kube::Informer* informer = nullptr;
  {
    const std::lock_guard lock(mutex_);
    auto& slot = informers_[key];
    if (slot == nullptr) {
      if (informers_.size() > kMaxInformers) {
        informers_.erase(key);
        return Error(Code::kResourceExhausted, "too many different selectors");
      }
      slot = std::make_unique<kube::Informer>(client_, resource, "", options);
      // Half of many objects, and no target is made from it.
      slot->on_read([](data::Json& object) { data::erase(object, {"metadata", "managedFields"}); });
      slot->start();
    }
    informer = slot.get();
  }
  if (!informer->wait_synced(kFirstListLimit)) {
    return unavailable(fmt::format("no list of {} from the API server yet", resource.plural));
  }
  std::vector<data::Json> out;
  for (const kube::ObjectPtr& object : informer->list()) {
    const bool is_wanted = query.namespaces.empty() || !resource.is_namespaced ||
                           query.namespaces.contains(std::string(kube::namespace_of(*object)));
    if (is_wanted) out.push_back(*object);
  }
  return out;
}

Result<data::JsonArray> TargetSource::targets(const TargetQuery& query) {
  ClusterObjects objects;
  namespace known = kube::resources;
  if (query.role == "node") {
    objects.nodes = TRY(list(known::nodes(), query, true));
    return node_targets(objects);
  }
  if (query.role == "ingress") {
    objects.ingresses = TRY(list(known::ingresses(), query, true));
    return ingress_targets(objects);
  }
  if (query.role == "pod") {
    objects.pods = TRY(list(known::pods(), query, true));
    return pod_targets(objects);
  }
  objects.services = TRY(list(known::services(), query, query.role == "service"));
  if (query.role == "service") return service_targets(objects);
  objects.pods = TRY(list(known::pods(), query, false));
  if (query.role == "endpoints") {
    objects.endpoints = TRY(list(known::endpoints(), query, true));
    return endpoints_targets(objects);
  }
  if (query.role == "endpointslice") {
    objects.endpoint_slices = TRY(list(known::endpoint_slices(), query, true));
    return endpoint_slice_targets(objects);
  }
  return invalid(fmt::format("unknown role '{}' in kubernetes_sd_configs", query.role));
}

}  // namespace lateen::console
