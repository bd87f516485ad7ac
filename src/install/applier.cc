// Apply, wait, prune.
#include "install/applier.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

namespace lateen::install {
namespace {

constexpr milliseconds kPollInterval{250};

// istiod fills in the CA bundle and hardens the failure policy once it serves; applying must not
// undo that.
void keep_runtime_fields(Json& wanted, const Json& live) {
  Json* hooks = data::find(wanted, {"webhooks"});
  if (hooks == nullptr || !hooks->is_array()) return;
  for (Json& hook : *hooks->if_array()) {
    for (const Json& other : data::get_array(live, {"webhooks"})) {
      if (data::get_string(other, {"name"}) != data::get_string(hook, {"name"})) continue;
      const Json* policy = data::find(other, {"failurePolicy"});
      const bool has_bundle = !data::get_string(other, {"clientConfig", "caBundle"}).empty();
      if (policy != nullptr && has_bundle) data::set(hook, {"failurePolicy"}, *policy);
    }
  }
}

std::string count_text(std::int64_t have, std::int64_t want, std::string_view what) {
  return std::to_string(have) + " of " + std::to_string(want) + " replicas " + std::string(what);
}

std::string deployment_waits_for(const Json& live) {
  const auto want = data::get_int(live, {"spec", "replicas"}, 1);
  if (data::get_int(live, {"status", "observedGeneration"}) <
      data::get_int(live, {"metadata", "generation"}))
    return "not yet seen by its controller";
  const auto updated = data::get_int(live, {"status", "updatedReplicas"});
  const auto available = data::get_int(live, {"status", "availableReplicas"});
  const auto total = data::get_int(live, {"status", "replicas"});
  if (updated < want) return count_text(updated, want, "updated");
  if (total > updated) return std::to_string(total - updated) + " old replicas still stop";
  return available < want ? count_text(available, want, "available") : "";
}

std::string crd_waits_for(const Json& live) {
  const Json* condition = kube::condition(live, "Established");
  return condition != nullptr && data::get_string(*condition, {"status"}) == "True"
             ? ""
             : "not established";
}

}  // namespace

std::string identity(const Json& object) {
  return std::string(kube::kind_of(object)) + ":" + std::string(kube::namespace_of(object)) + ":" +
         std::string(kube::name_of(object));
}

std::string waits_for(const Json& live) {
  const auto kind = kube::kind_of(live);
  std::string why;
  if (kind == "Deployment") why = deployment_waits_for(live);
  if (kind == "CustomResourceDefinition") why = crd_waits_for(live);
  if (why.empty()) return why;
  const auto ns = kube::namespace_of(live);
  return std::string(kind) + "/" + (ns.empty() ? "" : std::string(ns) + "/") +
         std::string(kube::name_of(live)) + ": " + why;
}

Result<Json> apply_object(kube::Client& client, Json object) {
  const std::string where =
      std::string(kube::kind_of(object)) + " " + kube::key_of(object).to_string();
  const kube::Resource resource =
      TRY(client.resource_for(kube::api_version_of(object), kube::kind_of(object)).at(where));
  if (kube::kind_of(object).ends_with("WebhookConfiguration")) {
    if (auto live = client.get(resource, kube::key_of(object))) keep_runtime_fields(object, *live);
  }
  kube::PatchOptions options;
  options.field_manager = kFieldManager;
  options.is_forced = true;
  return client.apply(resource, object, options).at(where);
}

Result<> ensure_namespace(kube::Client& client, const std::string& ns) {
  if (client.get(kube::resources::namespaces(), {"", ns})) return {};
  Json object = data::JsonObject();
  data::set(object, {"apiVersion"}, "v1");
  data::set(object, {"kind"}, "Namespace");
  data::set(object, {"metadata", "name"}, Json(ns));
  const auto made = client.create(kube::resources::namespaces(), object);
  if (!made && made.error().code() != Code::kAlreadyExists)
    return Error(made.error()).at("namespace " + ns);
  return {};
}

Result<> apply_manifests(kube::Client& client, const Plan& plan,
                         const std::vector<ComponentManifest>& manifests, milliseconds limit,
                         const ApplyProgress& progress) {
  TRY(ensure_namespace(client, plan.ns));
  for (const Part part : kParts) {
    std::vector<Json> applied;
    bool has_any = false;
    for (const auto& manifest : manifests) {
      if (manifest.part != part) continue;
      if (!has_any && progress.started) progress.started(part);
      has_any = true;
      for (Json object : manifest.objects) {
        stamp(object, plan, part);
        if (const std::string ns(kube::namespace_of(object)); !ns.empty() && ns != plan.ns)
          TRY(ensure_namespace(client, ns));
        applied.push_back(TRY(apply_object(client, std::move(object))));
      }
    }
    if (!has_any) continue;
    const auto deadline = std::chrono::steady_clock::now() + limit;
    for (;;) {
      std::vector<std::string> waiting;
      for (Json& each : applied) {
        if (waits_for(each).empty()) continue;
        const auto resource =
            TRY(client.resource_for(kube::api_version_of(each), kube::kind_of(each)));
        each = TRY(client.get(resource, kube::key_of(each)));
        if (std::string why = waits_for(each); !why.empty()) waiting.push_back(std::move(why));
      }
      if (waiting.empty()) break;
      if (progress.waiting) progress.waiting(part, waiting);
      if (std::chrono::steady_clock::now() > deadline) {
        return Error(
            Code::kDeadlineExceeded,
            "resources not ready after " + format_duration(limit) + ": " + waiting.front() +
                (waiting.size() > 1 ? " and " + std::to_string(waiting.size() - 1) + " more" : "") +
                "; see `kubectl describe` of them");
      }
      std::this_thread::sleep_for(kPollInterval);
    }
    if (progress.done) progress.done(part);
  }
  return {};
}

const std::vector<kube::Resource>& prunable_resources() {
  namespace r = kube::resources;
  static const std::vector<kube::Resource> kResources = {
      r::mutating_webhooks(),
      r::validating_webhooks(),
      r::hpas(),
      r::pdbs(),
      r::deployments(),
      r::daemon_sets(),
      r::services(),
      r::config_maps(),
      {"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true},
      {"rbac.authorization.k8s.io", "v1", "roles", "Role", true},
      {"rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false},
      {"rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false},
      r::service_accounts()};
  return kResources;
}

Result<std::vector<Json>> find_managed(kube::Client& client, const std::string& label_selector) {
  std::vector<Json> out;
  kube::ListOptions options;
  options.label_selector = label_selector;
  for (const auto& resource : prunable_resources()) {
    auto list = client.list(resource, "", options);
    if (!list && list.error().code() == Code::kNotFound) continue;
    if (!list) return std::move(list).error().at("listing " + resource.plural);
    for (const Json& item : data::get_array(*list, {"items"})) out.push_back(item);
  }
  return out;
}

Result<> remove_object(kube::Client& client, const Json& object) {
  const auto resource =
      TRY(client.resource_for(kube::api_version_of(object), kube::kind_of(object)));
  const auto removed = client.remove(resource, kube::key_of(object));
  if (!removed && removed.error().code() != Code::kNotFound) {
    return Error(removed.error())
        .at("removing " + std::string(kube::kind_of(object)) + " " +
            kube::key_of(object).to_string());
  }
  return {};
}

}  // namespace lateen::install
