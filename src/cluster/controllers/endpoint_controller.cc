// Keeps Endpoints and EndpointSlices equal to what endpoints.h computes.
#include <algorithm>

#include "cluster/controllers/endpoints.h"
#include "cluster/controllers/makers.h"
#include "cluster/controllers/pods.h"
#include "kube/selector.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view kOurSlices = "endpointslice-controller.k8s.io";
constexpr std::string_view kMirrored = "endpointslicemirroring-controller.k8s.io";
constexpr std::string_view kEndpointsManagedBy = "endpoints.kubernetes.io/managed-by";
constexpr std::string_view kHeadless = "service.kubernetes.io/headless";
constexpr std::string_view kTrigger = "endpoints.kubernetes.io/last-change-trigger-time";

class EndpointController final : public KeyedController {
 public:
  explicit EndpointController(World& world)
      : KeyedController(world, "endpoint-slice-controller", 2) {
    follow(world.services);
    follow(world.endpoints);
    world.slices.on_change([this](const Change& change) {
      const auto service = kube::label(change.object(), kServiceName);
      if (!service.empty())
        enqueue({std::string(kube::namespace_of(change.object())), std::string(service)});
    });
    world.pods.on_change([this](const Change& change) { wake_services(change); });
  }

 private:
  void wake_services(const Change& change) {
    if (change.before != nullptr && change.after != nullptr &&
        backend_view(*change.before) == backend_view(*change.after)) {
      return;
    }
    for (const auto& service : world_.services.list(kube::namespace_of(change.object()))) {
      const auto& labels = data::get_object(*service, {"spec", "selector"});
      if (labels.empty()) continue;
      const auto selector = kube::LabelSelector::from_map(labels);
      const bool is_concerned =
          (change.before != nullptr && selector.matches(kube::labels_of(*change.before))) ||
          (change.after != nullptr && selector.matches(kube::labels_of(*change.after)));
      if (is_concerned) enqueue(kube::key_of(*service));
    }
  }

  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr service = world_.services.find(key);
    if (service == nullptr) {
      TRY(clean_up(key));
      return Requeue::no();
    }
    if (kube::is_deleting(*service) ||
        data::get_string(*service, {"spec", "type"}) == "ExternalName") {
      return Requeue::no();
    }
    if (data::get_object(*service, {"spec", "selector"}).empty()) {
      TRY(mirror(key));
      return Requeue::no();
    }
    const auto backends = backends_of(*service, world_.pods.list(key.ns));
    TRY(write_endpoints(*service, subsets_for(*service, backends)));
    TRY(write_slices(*service, *service, kOurSlices, slices_for(*service, backends)));
    return Requeue::no();
  }

  // ---- the Service is gone

  Result<> clean_up(const Key& key) {
    for (const auto& slice : slices_of(key, kOurSlices)) TRY(world_.remove(world_.slices, *slice));
    const ObjectPtr endpoints = world_.endpoints.find(key);
    if (endpoints != nullptr && !kube::label(*endpoints, kEndpointsManagedBy).empty()) {
      TRY(world_.remove(world_.endpoints, *endpoints));
    }
    return {};
  }

  std::vector<ObjectPtr> slices_of(const Key& service, std::string_view manager) {
    std::vector<ObjectPtr> out;
    for (const auto& slice : world_.slices.list(service.ns)) {
      if (kube::label(*slice, kServiceName) == service.name &&
          kube::label(*slice, kManagedBy) == manager && !kube::is_deleting(*slice)) {
        out.push_back(slice);
      }
    }
    return out;
  }

  // ---- Endpoints

  static JsonObject labels_for(const Json& service) {
    JsonObject out = kube::labels_of(service);
    if (data::get_string(service, {"spec", "clusterIP"}) == "None") out[kHeadless] = "";
    return out;
  }

  Result<> write_endpoints(const Json& service, JsonArray subsets) {
    JsonObject labels = labels_for(service);
    labels[kEndpointsManagedBy] = "endpoint-controller";
    const ObjectPtr current = world_.endpoints.find(kube::key_of(service));
    if (current == nullptr) {
      auto made = world_.create(world_.endpoints, {{"apiVersion", "v1"},
                                                   {"kind", "Endpoints"},
                                                   {"metadata",
                                                    {{"name", kube::name_of(service)},
                                                     {"namespace", kube::namespace_of(service)},
                                                     {"labels", std::move(labels)},
                                                     {"annotations", {{kTrigger, world_.now()}}}}},
                                                   {"subsets", std::move(subsets)}});
      return made ? Result<>() : Result<>(std::move(made).error());
    }
    const bool is_same = data::equal(Json(data::get_array(*current, {"subsets"})), Json(subsets)) &&
                         data::equal(Json(kube::labels_of(*current)), Json(labels));
    if (is_same) return {};
    Json next = *current;
    data::set(next, {"metadata", "labels"}, Json(std::move(labels)));
    kube::set_annotation(next, kTrigger, world_.now());
    data::set(next, {"subsets"}, Json(std::move(subsets)));
    TRY(world_.update(world_.endpoints, next));
    return {};
  }

  // ---- slices

  // Services without a selector: hand-written Endpoints are shown as slices, too.
  Result<> mirror(const Key& key) {
    const ObjectPtr endpoints = world_.endpoints.find(key);
    // The API server writes both for its own Service.
    if (key == Key{"default", "kubernetes"}) return {};
    const bool is_mirrored =
        endpoints != nullptr && !kube::is_deleting(*endpoints) &&
        kube::label(*endpoints, "endpointslice.kubernetes.io/skip-mirror") != "true" &&
        kube::annotation(*endpoints, "control-plane.alpha.kubernetes.io/leader").empty();
    if (is_mirrored)
      return write_slices(*endpoints, *endpoints, kMirrored, mirrored_slices(*endpoints));
    for (const auto& slice : slices_of(key, kMirrored)) TRY(world_.remove(world_.slices, *slice));
    return {};
  }

  // Existing slices are kept for the ports they have; new ones are made and left-over ones removed.
  Result<> write_slices(const Json& named, const Json& owner, std::string_view manager,
                        std::vector<Json> wanted) {
    JsonObject labels = labels_for(named);
    labels.erase(kEndpointsManagedBy);
    labels[kServiceName] = kube::name_of(named);
    labels[kManagedBy] = manager;
    auto existing = slices_of(kube::key_of(named), manager);
    const auto take_match = [&](const Json& slice, bool same_ports) -> ObjectPtr {
      const auto found =
          std::find_if(existing.begin(), existing.end(), [&](const ObjectPtr& candidate) {
            return data::get_string(*candidate, {"addressType"}) ==
                       data::get_string(slice, {"addressType"}) &&
                   (!same_ports || data::equal(Json(data::get_array(*candidate, {"ports"})),
                                               Json(data::get_array(slice, {"ports"}))));
          });
      if (found == existing.end()) return nullptr;
      ObjectPtr out = *found;
      existing.erase(found);
      return out;
    };
    std::vector<ObjectPtr> matches(wanted.size());
    for (const bool same_ports : {true, false}) {
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (matches[i] == nullptr) matches[i] = take_match(wanted[i], same_ports);
      }
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (matches[i] != nullptr) TRY(update_slice(*matches[i], wanted[i], labels));
      else TRY(create_slice(owner, std::move(wanted[i]), labels));
    }
    for (const auto& extra : existing) TRY(world_.remove(world_.slices, *extra));
    return {};
  }

  Result<> update_slice(const Json& current, const Json& wanted, const JsonObject& labels) {
    const auto same_list = [&](std::string_view field) {
      return data::equal(Json(data::get_array(current, {field})),
                         Json(data::get_array(wanted, {field})));
    };
    if (same_list("endpoints") && same_list("ports") &&
        data::equal(Json(kube::labels_of(current)), Json(labels))) {
      return {};
    }
    Json next = current;
    data::set(next, {"endpoints"}, Json(data::get_array(wanted, {"endpoints"})));
    data::set(next, {"ports"}, Json(data::get_array(wanted, {"ports"})));
    data::set(next, {"metadata", "labels"}, Json(labels));
    kube::set_annotation(next, kTrigger, world_.now());
    TRY(world_.update(world_.slices, next));
    return {};
  }

  Result<> create_slice(const Json& owner, Json slice, const JsonObject& labels) {
    data::set(slice, {"apiVersion"}, "discovery.k8s.io/v1");
    data::set(slice, {"kind"}, "EndpointSlice");
    data::set(slice, {"metadata"},
              {{"generateName", fmt::format("{}-", kube::name_of(owner))},
               {"namespace", kube::namespace_of(owner)},
               {"labels", labels},
               {"annotations", {{kTrigger, world_.now()}}},
               {"ownerReferences", JsonArray{kube::owner_reference(owner)}}});
    TRY(world_.create(world_.slices, slice));
    return {};
  }
};

}  // namespace

std::unique_ptr<Controller> make_endpoints(World& world) {
  return std::make_unique<EndpointController>(world);
}

}  // namespace lateen::cluster::controllers
