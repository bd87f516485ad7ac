// See admission_chain.h.
#include "cluster/apiserver/admission_chain.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/apiserver/defaults.h"
#include "cluster/apiserver/policies.h"

namespace lateen::cluster::apiserver {

std::string_view to_string(Operation operation) {
  switch (operation) {
    case Operation::kCreate: return "CREATE";
    case Operation::kUpdate: return "UPDATE";
    case Operation::kDelete: return "DELETE";
    case Operation::kConnect: return "CONNECT";
  }
  return "";
}

namespace {

constexpr std::string_view kTokenMount = "/var/run/secrets/kubernetes.io/serviceaccount";

void add_token_mounts(Json& pod, const std::string& volume) {
  for (std::string_view list : {"initContainers", "containers"}) {
    auto* containers = array_at(pod, {"spec", list});
    if (containers == nullptr) continue;
    for (auto& container : *containers) {
      bool is_mounted = false;
      for (const auto& mount : data::get_array(container, {"volumeMounts"})) {
        is_mounted = is_mounted || data::get_string(mount, {"mountPath"}) == kTokenMount;
      }
      if (is_mounted) continue;
      JsonArray mounts = data::get_array(container, {"volumeMounts"});
      mounts.push_back(
          JsonObject{{"name", volume}, {"readOnly", true}, {"mountPath", kTokenMount}});
      data::set(container, {"volumeMounts"}, std::move(mounts));
    }
  }
}

Json token_volume(const std::string& name) {
  constexpr int kTokenSeconds =
      3607;  // upstream's value: tells injected tokens from hand-written ones
  JsonArray sources{
      JsonObject{{"serviceAccountToken",
                  JsonObject{{"expirationSeconds", kTokenSeconds}, {"path", "token"}}}},
      JsonObject{{"configMap", JsonObject{{"name", "kube-root-ca.crt"},
                                          {"items", JsonArray{JsonObject{{"key", "ca.crt"},
                                                                         {"path", "ca.crt"}}}}}}},
      JsonObject{{"downwardAPI",
                  JsonObject{{"items", JsonArray{JsonObject{
                                           {"path", "namespace"},
                                           {"fieldRef",
                                            JsonObject{{"apiVersion", "v1"},
                                                       {"fieldPath", "metadata.namespace"}}}}}}}}}};
  return JsonObject{
      {"name", name},
      {"projected", JsonObject{{"sources", std::move(sources)}, {"defaultMode", 420}}}};
}

// A claim that names no class gets the cluster's default one; "" means none.
void fill_storage_class(const Store& store, Json& claim) {
  const Json* chosen = data::find(std::as_const(claim), {"spec", "storageClassName"});
  if (chosen != nullptr && !chosen->is_null()) return;
  for (const auto& storage_class : store.list("storage.k8s.io/storageclasses").items) {
    if (kube::annotation(storage_class->value, "storageclass.kubernetes.io/is-default-class") !=
        "true")
      continue;
    data::set(claim, {"spec", "storageClassName"}, Json(storage_class->key.name));
    return;
  }
}

bool is_protected(std::string_view ns) {
  return ns == "default" || ns == "kube-system" || ns == "kube-public";
}

}  // namespace

Outcome<> AdmissionChain::mutate(AdmissionAttributes& attributes, Json& object) {
  TRY(check_namespace(attributes));
  const auto& bucket = attributes.call.type->bucket;
  const bool is_main = attributes.call.info.subresource.empty();
  if (attributes.operation == Operation::kCreate && bucket == "/pods" && is_main)
    TRY(admit_pod(attributes, object));
  if (attributes.operation == Operation::kCreate && bucket == "/secrets")
    TRY(fill_token_secret(attributes, object));
  if (attributes.operation == Operation::kCreate && bucket == "/persistentvolumeclaims" && is_main)
    fill_storage_class(store_, object);
  if (webhooks_ != nullptr) TRY(webhooks_->mutate(attributes, object));
  return {};
}

Outcome<> AdmissionChain::validate(AdmissionAttributes& attributes, const Json& object) {
  TRY(check_policies(store_, attributes, object));
  if (webhooks_ != nullptr) TRY(webhooks_->validate(attributes, object));
  return {};
}

Outcome<> AdmissionChain::check_namespace(const AdmissionAttributes& attributes) const {
  const auto& type = *attributes.call.type;
  if (type.bucket == "/namespaces") {
    if (attributes.operation == Operation::kDelete && is_protected(attributes.name)) {
      return Status::forbidden("", "namespaces", attributes.name,
                               "this namespace may not be deleted");
    }
    return {};
  }
  if (!type.is_namespaced || attributes.operation != Operation::kCreate) return {};
  const auto ns = store_.get("/namespaces", {"", attributes.ns});
  if (ns == nullptr) return Status::not_found("", "namespaces", attributes.ns);
  if (!kube::is_deleting(ns->value)) return {};
  Status status = Status::forbidden(
      type.group, type.plural, attributes.name,
      fmt::format("unable to create new content in namespace {} because it is being terminated",
                  attributes.ns));
  if (auto* details = status.details.if_object()) {
    (*details)["causes"] = JsonArray{
        JsonObject{{"reason", "NamespaceTerminating"},
                   {"message", fmt::format("namespace {} is being terminated", attributes.ns)},
                   {"field", "metadata.namespace"}}};
  }
  return status;
}

Outcome<> AdmissionChain::admit_pod(const AdmissionAttributes& attributes, Json& pod) const {
  if (data::find(pod, {"spec"}) == nullptr) return {};
  std::string name(data::get_string(pod, {"spec", "serviceAccountName"}));
  if (name.empty()) name = "default";
  data::set(pod, {"spec", "serviceAccountName"}, Json(name));
  data::set(pod, {"spec", "serviceAccount"}, Json(name));
  const auto account = store_.get("/serviceaccounts", {attributes.ns, name});
  if (account == nullptr) {
    return Status::forbidden(
        "", "pods", attributes.name,
        fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found",
                    attributes.ns, name, name));
  }
  if (data::get_array(pod, {"spec", "imagePullSecrets"}).empty()) {
    const auto& secrets = data::get_array(account->value, {"imagePullSecrets"});
    if (!secrets.empty()) data::set(pod, {"spec", "imagePullSecrets"}, secrets);
  }
  const bool wants_token =
      data::get_bool(pod, {"spec", "automountServiceAccountToken"},
                     data::get_bool(account->value, {"automountServiceAccountToken"}, true));
  if (!wants_token) return {};
  JsonArray volumes = data::get_array(pod, {"spec", "volumes"});
  for (const auto& volume : volumes) {
    const auto existing = data::get_string(volume, {"name"});
    if (existing.starts_with("kube-api-access-")) {
      add_token_mounts(pod, std::string(existing));
      return {};
    }
  }
  const std::string volume = "kube-api-access-" + random_.suffix();
  volumes.push_back(token_volume(volume));
  data::set(pod, {"spec", "volumes"}, std::move(volumes));
  add_token_mounts(pod, volume);
  return {};
}

// What the token controller does upstream a moment later happens here in the same write.
Outcome<> AdmissionChain::fill_token_secret(const AdmissionAttributes& attributes,
                                            Json& secret) const {
  if (data::get_string(secret, {"type"}) != "kubernetes.io/service-account-token" ||
      authenticator_ == nullptr)
    return {};
  const std::string name(kube::annotation(secret, "kubernetes.io/service-account.name"));
  const auto account = store_.get("/serviceaccounts", {attributes.ns, name});
  if (account == nullptr) return {};
  if (data::find(secret, {"data", "token"}) != nullptr) return {};
  TokenSpec spec;
  spec.ns = attributes.ns;
  spec.account = name;
  spec.account_uid = kube::uid_of(account->value);
  spec.lifetime = hours(24 * 3650);
  spec.bound_kind = "Secret";
  spec.bound_name = kube::name_of(secret);
  spec.bound_uid = kube::uid_of(secret);
  const IssuedToken issued = TRY(authenticator_->issue(spec));
  data::set(secret, {"data", "token"}, Json(base64_encode(issued.token)));
  data::set(secret, {"data", "ca.crt"}, Json(base64_encode(ca_pem_)));
  data::set(secret, {"data", "namespace"}, Json(base64_encode(attributes.ns)));
  kube::set_annotation(secret, "kubernetes.io/service-account.uid", spec.account_uid);
  return {};
}

}  // namespace lateen::cluster::apiserver
