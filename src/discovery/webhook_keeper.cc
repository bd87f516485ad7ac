#include "discovery/webhook_keeper.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace lateen::discovery {
namespace {

using data::Json;
using data::JsonObject;

constexpr std::string_view kMutating = "mutating";
constexpr std::string_view kValidating = "validating";

const kube::Resource& resource_of(std::string_view kind) {
  return kind == kMutating ? kube::resources::mutating_webhooks()
                           : kube::resources::validating_webhooks();
}

std::string selector_of(const std::string& revision) {
  return "istio.io/rev=" + (revision.empty() ? "default" : revision);
}

}  // namespace

WebhookKeeper::WebhookKeeper(std::string ns, std::string revision)
    : ns_(std::move(ns)), revision_(std::move(revision)) {
  if (!revision_.empty() && revision_ != "default") suffix_ = "-" + revision_;
  mesh::Issues issues;
  auto mesh = mesh::parse_mesh_config("{}", issues);
  replace(nullptr, std::make_shared<const mesh::MeshConfig>(*std::move(mesh)));
}

std::shared_ptr<const WebhookState> WebhookKeeper::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void WebhookKeeper::replace(std::shared_ptr<const InjectionConfig> injection,
                            std::shared_ptr<const mesh::MeshConfig> mesh) {
  const std::lock_guard lock(mutex_);
  std::vector<mesh::Config<mesh::ProxyConfigSpec>> proxies;
  if (state_ != nullptr) proxies = state_->proxy_configs;
  state_ = std::make_shared<const WebhookState>(
      WebhookState{std::move(injection), std::move(mesh), revision_, std::move(proxies)});
}

void WebhookKeeper::take_proxy_config(const Json& object, bool is_removed) {
  mesh::Issues issues;
  auto config = mesh::read_config<mesh::ProxyConfigSpec>(object, issues);
  const std::lock_guard lock(mutex_);
  WebhookState next = *state_;
  std::erase_if(next.proxy_configs, [&](const auto& old) {
    return old.meta.ns == config.meta.ns && old.meta.name == config.meta.name;
  });
  if (!is_removed) next.proxy_configs.push_back(std::move(config));
  std::sort(next.proxy_configs.begin(), next.proxy_configs.end(),
            [](const auto& a, const auto& b) { return mesh::is_older(a.meta, b.meta); });
  state_ = std::make_shared<const WebhookState>(std::move(next));
}

void WebhookKeeper::take(const Json& object, bool is_removed) {
  if (kube::kind_of(object) == "ProxyConfig") return take_proxy_config(object, is_removed);
  if (kube::kind_of(object) != "ConfigMap" || kube::namespace_of(object) != ns_) return;
  const std::string_view name = kube::name_of(object);
  const auto current = state();
  if (name == "istio" + suffix_) {
    mesh::Issues issues;
    auto mesh = mesh::parse_mesh_config(
        is_removed ? "{}" : data::get_string(object, {"data", "mesh"}, "{}"), issues);
    if (mesh.ok() && issues.ok()) {
      replace(current->injection, std::make_shared<const mesh::MeshConfig>(*std::move(mesh)));
    }
    return;
  }
  if (name != "istio-sidecar-injector" + suffix_) return;
  if (is_removed) return replace(nullptr, current->mesh);
  auto parsed = parse_injection_config(data::get_string(object, {"data", "config"}),
                                       data::get_string(object, {"data", "values"}, "{}"));
  if (!parsed.ok()) {
    LOG(kError, "injector", "ConfigMap {}/{}: {}; the templates before stay in use", ns_, name,
        parsed.error().message());
    return;
  }
  LOG(kInfo, "injector", "templates of ConfigMap {}/{}: {}", ns_, name,
      join(parsed->template_names, ", "));
  replace(std::make_shared<const InjectionConfig>(*std::move(parsed)), current->mesh);
}

WebhookPatcher::WebhookPatcher(kube::Client& client, std::string revision, Root root)
    : client_(client),
      root_(std::move(root)),
      loop_("webhook-patch", 1, [this](const kube::Key& key) { return reconcile(key); }),
      mutating_(client, kube::resources::mutating_webhooks(), "", {selector_of(revision), ""}),
      validating_(client, kube::resources::validating_webhooks(), "", {selector_of(revision), ""}) {
  const auto watch = [this](kube::Informer& informer, std::string_view kind) {
    informer.apply_inline();
    informer.on_change([this, kind](const kube::Change& change) {
      if (change.after == nullptr) return;
      loop_.queue().add({std::string(kind), std::string(kube::name_of(*change.after))});
    });
  };
  watch(mutating_, kMutating);
  watch(validating_, kValidating);
}

WebhookPatcher::~WebhookPatcher() = default;

void WebhookPatcher::start() {
  mutating_.start();
  validating_.start();
  loop_.start();
}

void WebhookPatcher::republish() {
  for (const auto& object : mutating_.list()) {
    loop_.queue().add({std::string(kMutating), std::string(kube::name_of(*object))});
  }
  for (const auto& object : validating_.list()) {
    loop_.queue().add({std::string(kValidating), std::string(kube::name_of(*object))});
  }
}

// `key.ns` says which kind; both are cluster-scoped.
Result<kube::Requeue> WebhookPatcher::reconcile(const kube::Key& key) {
  const std::string root = root_();
  if (root.empty()) return kube::Requeue::after(seconds(1));
  const kube::Resource& resource = resource_of(key.ns);
  auto found = client_.get(resource, {"", key.name});
  if (!found.ok()) {
    if (found.error().code() == Code::kNotFound) return kube::Requeue::no();
    return std::move(found).error();
  }
  const std::string bundle = base64_encode(root);
  bool is_changed = false;
  Json object = *std::move(found);
  Json* webhooks = data::find(object, {"webhooks"});
  if (webhooks == nullptr || !webhooks->is_array()) return kube::Requeue::no();
  for (Json& webhook : *webhooks->if_array()) {
    if (data::get_string(webhook, {"clientConfig", "caBundle"}) != bundle) {
      data::set(webhook, {"clientConfig", "caBundle"}, Json(bundle));
      is_changed = true;
    }
    // Until somebody serves it, validation must not stop anything; now somebody does.
    if (key.ns == kValidating && data::get_string(webhook, {"failurePolicy"}) != "Fail") {
      data::set(webhook, {"failurePolicy"}, Json("Fail"));
      is_changed = true;
    }
  }
  if (!is_changed) return kube::Requeue::no();
  auto updated = client_.update(resource, object);
  if (!updated.ok()) {
    if (updated.error().code() == Code::kAborted) return kube::Requeue::after(milliseconds(50));
    return std::move(updated).error();
  }
  LOG(kInfo, "webhook", "CA bundle written to {} {}", resource.kind, key.name);
  return kube::Requeue::no();
}

}  // namespace lateen::discovery
