// See bootstrap.h. Objects go through the same path as any client's, as user system:apiserver.
#include "cluster/apiserver/bootstrap.h"

#include <fmt/format.h>

#include "cluster/apiserver/rbac.h"

namespace lateen::cluster::apiserver {
namespace {

ApiRequest system_request() {
  ApiRequest request;
  request.method = "POST";
  request.user.name = "system:apiserver";
  request.user.groups = {"system:masters"};
  return request;
}

Result<Call> call_for(const ApiRequest& request, const Catalog& catalog, const Json& object) {
  const auto api_version = kube::api_version_of(object);
  const auto slash = api_version.find('/');
  Call call{request,
            {},
            nullptr,
            catalog.current(),
            {},
            false,
            false,
            "lateen-apiserver",
            FieldValidation::kIgnore};
  call.info.is_resource = true;
  call.info.group =
      slash == std::string_view::npos ? std::string() : std::string(api_version.substr(0, slash));
  call.info.version = slash == std::string_view::npos ? std::string(api_version)
                                                      : std::string(api_version.substr(slash + 1));
  call.info.ns = kube::namespace_of(object);
  call.info.verb = "create";
  call.type = call.registry->find_kind(call.info.group, call.info.version, kube::kind_of(object));
  if (call.type == nullptr)
    return internal(fmt::format("no type for {} {}", api_version, kube::kind_of(object)));
  call.info.resource = call.type->plural;
  return call;
}

Result<> ensure(Resources& resources, const Catalog& catalog, Json object) {
  const ApiRequest request = system_request();
  Call call = TRY(call_for(request, catalog, object));
  if (resources.parts().store.get(call.type->bucket, kube::key_of(object)) != nullptr) return {};
  const std::string name(kube::name_of(object));
  auto created = resources.create(call, std::move(object));
  if (!created.ok() && created.error().code != 409) {
    return internal(
        fmt::format("making {} {}: {}", call.type->kind, name, created.error().message));
  }
  return {};
}

Result<> put(Resources& resources, const Catalog& catalog, const Json& object) {
  TRY(ensure(resources, catalog, object));
  const ApiRequest request = system_request();
  Call call = TRY(call_for(request, catalog, object));
  call.info.name = kube::name_of(object);
  auto updated = resources.update(
      call, kube::key_of(object),
      [&](const Json& existing) -> Outcome<Json> {
        Json next = existing;
        for (std::string_view part : {"subsets", "endpoints", "ports"}) {
          if (const Json* value = data::find(object, {part})) data::set(next, {part}, *value);
        }
        return next;
      },
      UpdateTarget::kMain);
  if (!updated.ok()) return internal(updated.error().message);
  return {};
}

// Volumes that are directories of the node, made by the volume claims' controller.
Json default_storage_class() {
  return JsonObject{
      {"apiVersion", "storage.k8s.io/v1"},
      {"kind", "StorageClass"},
      {"metadata",
       JsonObject{
           {"name", "standard"},
           {"annotations", JsonObject{{"storageclass.kubernetes.io/is-default-class", "true"}}}}},
      {"provisioner", "lateen.dev/node-local"},
      {"reclaimPolicy", "Delete"},
      {"volumeBindingMode", "Immediate"}};
}

Json ns_object(std::string_view name) {
  return JsonObject{
      {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", JsonObject{{"name", name}}}};
}

}  // namespace

Result<> bootstrap(Resources& resources, const Catalog& catalog, const std::string& kubernetes_ip) {
  for (std::string_view name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    TRY(ensure(resources, catalog, ns_object(name)));
  }
  TRY(ensure(resources, catalog, default_storage_class()));
  for (auto& object : bootstrap_roles()) TRY(ensure(resources, catalog, std::move(object)));
  return ensure(
      resources, catalog,
      JsonObject{{"apiVersion", "v1"},
                 {"kind", "Service"},
                 {"metadata", JsonObject{{"name", "kubernetes"},
                                         {"namespace", "default"},
                                         {"labels", JsonObject{{"component", "apiserver"},
                                                               {"provider", "kubernetes"}}}}},
                 {"spec", JsonObject{{"clusterIP", kubernetes_ip},
                                     {"ports", JsonArray{JsonObject{{"name", "https"},
                                                                    {"port", 443},
                                                                    {"protocol", "TCP"},
                                                                    {"targetPort", 6443}}}}}}});
}

Result<> publish_kubernetes(Resources& resources, const Catalog& catalog,
                            const net::Address& address) {
  const std::string ip = address.ip().to_string();
  const JsonArray ports{
      JsonObject{{"name", "https"}, {"port", address.port()}, {"protocol", "TCP"}}};
  TRY(put(
      resources, catalog,
      JsonObject{
          {"apiVersion", "v1"},
          {"kind", "Endpoints"},
          {"metadata",
           JsonObject{{"name", "kubernetes"},
                      {"namespace", "default"},
                      {"labels", JsonObject{{"endpointslice.kubernetes.io/skip-mirror", "true"}}}}},
          {"subsets", JsonArray{JsonObject{{"addresses", JsonArray{JsonObject{{"ip", ip}}}},
                                           {"ports", ports}}}}}));
  return put(
      resources, catalog,
      JsonObject{{"apiVersion", "discovery.k8s.io/v1"},
                 {"kind", "EndpointSlice"},
                 {"metadata",
                  JsonObject{{"name", "kubernetes"},
                             {"namespace", "default"},
                             {"labels", JsonObject{{"kubernetes.io/service-name", "kubernetes"}}}}},
                 {"addressType", "IPv4"},
                 {"endpoints", JsonArray{JsonObject{{"addresses", JsonArray{Json(ip)}},
                                                    {"conditions", JsonObject{{"ready", true}}}}}},
                 {"ports", ports}});
}

}  // namespace lateen::cluster::apiserver
