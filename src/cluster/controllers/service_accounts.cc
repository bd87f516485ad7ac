// Every live namespace has ServiceAccount "default" and ConfigMap "kube-root-ca.crt".
#include "cluster/controllers/makers.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::string_view kMapName = "kube-root-ca.crt";

class ServiceAccounts final : public KeyedController {
 public:
  ServiceAccounts(World& world, std::string root_ca_pem)
      : KeyedController(world, "serviceaccount-controller", 1),
        root_ca_pem_(std::move(root_ca_pem)) {
    follow(world.namespaces);
    const auto wake = [this](const Change& change) {
      enqueue({"", std::string(kube::namespace_of(change.object()))});
    };
    world.service_accounts.on_change([wake](const Change& change) {
      if (change.after == nullptr) wake(change);
    });
    world.root_ca_maps.on_change([wake](const Change& change) {
      if (change.before != nullptr) wake(change);
    });
  }

 private:
  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr ns = world_.namespaces.find(key);
    if (ns == nullptr || kube::is_deleting(*ns)) return Requeue::no();
    if (world_.service_accounts.find({key.name, "default"}) == nullptr) {
      TRY(make(world_.service_accounts,
               {{"apiVersion", "v1"},
                {"kind", "ServiceAccount"},
                {"metadata", {{"name", "default"}, {"namespace", key.name}}}}));
    }
    if (root_ca_pem_.empty()) return Requeue::no();
    const ObjectPtr map = world_.root_ca_maps.find({key.name, std::string(kMapName)});
    if (map == nullptr) {
      TRY(make(world_.root_ca_maps, {{"apiVersion", "v1"},
                                     {"kind", "ConfigMap"},
                                     {"metadata",
                                      {{"name", kMapName},
                                       {"namespace", key.name},
                                       {"annotations",
                                        {{"kubernetes.io/description",
                                          "Holds the certificate authority that verifies the API "
                                          "server of this cluster."}}}}},
                                     {"data", {{"ca.crt", root_ca_pem_}}}}));
    } else if (data::get_string(*map, {"data", "ca.crt"}) != root_ca_pem_) {
      TRY(world_.patch(world_.root_ca_maps, kube::key_of(*map), kube::Patch::kMerge,
                       {{"data", {{"ca.crt", root_ca_pem_}}}}));
    }
    return Requeue::no();
  }

  Result<> make(Informer& cache, const Json& object) {
    auto created = world_.create(cache, object);
    if (created || created.error().code() == Code::kAlreadyExists) return {};
    // The namespace began to go between our look and our write.
    if (created.error().code() == Code::kPermissionDenied ||
        created.error().code() == Code::kNotFound)
      return {};
    return std::move(created).error();
  }

  const std::string root_ca_pem_;
};

}  // namespace

std::unique_ptr<Controller> make_service_accounts(World& world, std::string root_ca_pem) {
  return std::make_unique<ServiceAccounts>(world, std::move(root_ca_pem));
}

}  // namespace lateen::cluster::controllers
