// PersistentVolumeClaims: each gets a volume, a directory of the node, made for it unless one that
// fits is there already. What a claim asks for that the cluster cannot give it is told by an event.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/controllers/makers.h"
#include "kube/quantity.h"

namespace lateen::cluster::controllers {
namespace {

const kube::Resource kVolumes{"", "v1", "persistentvolumes", "PersistentVolume", false};
const kube::Resource kClasses{"storage.k8s.io", "v1", "storageclasses", "StorageClass", false};
constexpr std::string_view kProvisioner = "lateen.dev/node-local";
constexpr std::string_view kProvisionedBy = "pv.kubernetes.io/provisioned-by";
constexpr milliseconds kLookAgain{15'000};

Json reference_to(const Json& claim) {
  return JsonObject{{"kind", "PersistentVolumeClaim"},
                    {"apiVersion", "v1"},
                    {"namespace", kube::namespace_of(claim)},
                    {"name", kube::name_of(claim)},
                    {"uid", kube::uid_of(claim)}};
}

std::string_view storage_of(const Json& claim) {
  return data::get_string(claim, {"spec", "resources", "requests", "storage"}, "0");
}

class VolumeClaims final : public KeyedController {
 public:
  explicit VolumeClaims(World& world) : KeyedController(world, "persistentvolume-controller", 1) {
    follow(world.claims);
  }

 private:
  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr claim = world_.claims.find(key);
    if (claim == nullptr) {
      TRY(release_volumes(key));
      return Requeue::no();
    }
    if (kube::is_deleting(*claim) || data::get_string(*claim, {"status", "phase"}) == "Bound")
      return Requeue::no();
    std::string volume(data::get_string(*claim, {"spec", "volumeName"}));
    if (volume.empty()) volume = TRY(volume_for(*claim));
    if (volume.empty()) return Requeue::after(kLookAgain);
    return bind(*claim, volume);
  }

  // The name of a volume for it: one that waits for a claim like this, or a new one. Empty: none.
  Result<std::string> volume_for(const Json& claim) {
    const auto class_name = data::get_string(claim, {"spec", "storageClassName"});
    const Json known = TRY(world_.client.list(kVolumes, ""));
    for (const Json& volume : data::get_array(known, {"items"})) {
      if (fits(volume, claim, class_name)) return std::string(kube::name_of(volume));
    }
    if (class_name.empty()) {
      note(claim, "FailedBinding",
           "no persistent volumes available for this claim and no storage class is set");
      return std::string();
    }
    const auto storage_class = world_.client.get(kClasses, {"", std::string(class_name)});
    if (!storage_class && storage_class.error().code() != Code::kNotFound)
      return storage_class.error();
    if (!storage_class) {
      warn(claim, "ProvisioningFailed",
           fmt::format("storageclass.storage.k8s.io \"{}\" not found", class_name));
      return std::string();
    }
    const auto provisioner = data::get_string(*storage_class, {"provisioner"});
    if (provisioner != kProvisioner) {
      note(claim, "ExternalProvisioning",
           fmt::format("Waiting for a volume to be created by the external provisioner '{}': this "
                       "cluster has only '{}'",
                       provisioner, kProvisioner));
      return std::string();
    }
    return provision(claim, *storage_class);
  }

  static bool fits(const Json& volume, const Json& claim, std::string_view class_name) {
    const auto phase = data::get_string(volume, {"status", "phase"}, "Available");
    const Json* owner = data::find(volume, {"spec", "claimRef"});
    if (owner != nullptr) {
      return data::get_string(*owner, {"namespace"}) == kube::namespace_of(claim) &&
             data::get_string(*owner, {"name"}) == kube::name_of(claim) &&
             (data::get_string(*owner, {"uid"}).empty() ||
              data::get_string(*owner, {"uid"}) == kube::uid_of(claim));
    }
    if (phase != "Available" && phase != "Pending") return false;
    if (data::get_string(volume, {"spec", "storageClassName"}) != class_name) return false;
    const auto& modes = data::get_array(volume, {"spec", "accessModes"});
    for (const Json& mode : data::get_array(claim, {"spec", "accessModes"})) {
      const auto is_same = [&](const Json& one) {
        return data::as_string(one) == data::as_string(mode);
      };
      if (std::none_of(modes.begin(), modes.end(), is_same)) return false;
    }
    auto has = kube::Quantity::parse(data::get_string(volume, {"spec", "capacity", "storage"}));
    auto wants = kube::Quantity::parse(storage_of(claim));
    return has.ok() && wants.ok() && *has >= *wants;
  }

  Result<std::string> provision(const Json& claim, const Json& storage_class) {
    const std::string name = fmt::format("pvc-{}", kube::uid_of(claim));
    const Json* modes = data::find(claim, {"spec", "accessModes"});
    Json volume = JsonObject{
        {"apiVersion", "v1"},
        {"kind", "PersistentVolume"},
        {"metadata",
         JsonObject{{"name", name}, {"annotations", JsonObject{{kProvisionedBy, kProvisioner}}}}},
        {"spec", JsonObject{{"capacity", JsonObject{{"storage", storage_of(claim)}}},
                            {"accessModes", modes != nullptr ? *modes : Json(JsonArray{})},
                            {"claimRef", reference_to(claim)},
                            {"persistentVolumeReclaimPolicy",
                             data::get_string(storage_class, {"reclaimPolicy"}, "Delete")},
                            {"storageClassName", kube::name_of(storage_class)},
                            {"volumeMode", "Filesystem"},
                            // The node has a directory of this name for it.
                            {"local", JsonObject{{"path", "/var/lib/lateen/claims/" + name}}}}}};
    auto made = world_.client.create(kVolumes, volume);
    if (!made && made.error().code() != Code::kAlreadyExists) return std::move(made).error();
    note(claim, "ProvisioningSucceeded", fmt::format("Successfully provisioned volume {}", name));
    return name;
  }

  Result<Requeue> bind(const Json& claim, const std::string& volume_name) {
    const auto volume = world_.client.get(kVolumes, {"", volume_name});
    if (!volume) {
      if (volume.error().code() != Code::kNotFound) return volume.error();
      note(claim, "FailedBinding", fmt::format("volume \"{}\" not found", volume_name));
      return Requeue::after(kLookAgain);
    }
    TRY(world_.client.patch(kVolumes, {"", volume_name}, kube::Patch::kMerge,
                            {{"spec", {{"claimRef", reference_to(claim)}}}}));
    TRY(world_.client.patch(kVolumes, {"", volume_name}, kube::Patch::kMerge,
                            {{"status", {{"phase", "Bound"}}}}, {.subresource = "status"}));
    const Key key = kube::key_of(claim);
    TRY(world_.patch(world_.claims, key, kube::Patch::kMerge,
                     {{"metadata", {{"annotations", {{"pv.kubernetes.io/bind-completed", "yes"}}}}},
                      {"spec", {{"volumeName", volume_name}}}}));
    const Json* modes = data::find(*volume, {"spec", "accessModes"});
    const Json* capacity = data::find(*volume, {"spec", "capacity"});
    TRY(world_.client.patch(
        kube::resources::persistent_volume_claims(), key, kube::Patch::kMerge,
        {{"status",
          {{"phase", "Bound"},
           {"accessModes", modes != nullptr ? *modes : Json(JsonArray{})},
           {"capacity", capacity != nullptr ? *capacity : Json(JsonObject{})}}}},
        {.subresource = "status"}));
    return Requeue::no();
  }

  // Its claim is gone: a volume that was made for it goes, another one is released.
  Result<> release_volumes(const Key& key) {
    const Json known = TRY(world_.client.list(kVolumes, ""));
    for (const Json& volume : data::get_array(known, {"items"})) {
      if (data::get_string(volume, {"spec", "claimRef", "namespace"}) != key.ns ||
          data::get_string(volume, {"spec", "claimRef", "name"}) != key.name)
        continue;
      const Key volume_key{"", std::string(kube::name_of(volume))};
      if (data::get_string(volume, {"spec", "persistentVolumeReclaimPolicy"}) == "Delete" &&
          kube::annotation(volume, kProvisionedBy) == kProvisioner) {
        auto done = world_.client.remove(kVolumes, volume_key);
        if (!done && done.error().code() != Code::kNotFound) return std::move(done).error();
        continue;
      }
      TRY(world_.client.patch(kVolumes, volume_key, kube::Patch::kMerge,
                              {{"status", {{"phase", "Released"}}}}, {.subresource = "status"}));
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Controller> make_volume_claims(World& world) {
  return std::make_unique<VolumeClaims>(world);
}

}  // namespace lateen::cluster::controllers
