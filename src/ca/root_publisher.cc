#include "ca/root_publisher.h"

#include "base/log.h"

namespace lateen::ca {
namespace {

using data::Json;
using data::JsonObject;

bool is_excluded(std::string_view ns) {
  return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease";
}

}  // namespace

RootPublisher::RootPublisher(kube::Client& client, Root root, Place place)
    : client_(client),
      root_(std::move(root)),
      place_(std::move(place)),
      loop_("ca-root", 1, [this](const kube::Key& key) { return reconcile(key); }),
      namespaces_(client, kube::resources::namespaces()),
      maps_(client, kube::resources::config_maps(), "",
            {"", std::string("metadata.name=") + place_.name}) {
  namespaces_.apply_inline();
  maps_.apply_inline();
  namespaces_.on_change([this](const kube::Change& change) {
    loop_.queue().add({"", std::string(kube::name_of(change.object()))});
  });
  maps_.on_change([this](const kube::Change& change) {
    const bool is_good =
        change.after != nullptr && data::get_string(*change.after, {"data", place_.key}) == root_();
    if (!is_good) loop_.queue().add({"", std::string(kube::namespace_of(change.object()))});
  });
}

RootPublisher::~RootPublisher() = default;

void RootPublisher::start() {
  maps_.start();
  namespaces_.start();
  loop_.start();
}

void RootPublisher::republish() {
  for (const auto& ns : namespaces_.list()) {
    loop_.queue().add({"", std::string(kube::name_of(*ns))});
  }
}

Result<kube::Requeue> RootPublisher::reconcile(const kube::Key& key) {
  if (is_excluded(key.name)) return kube::Requeue::no();
  // Asks the server, not the caches: it happens once a namespace, and the informers may be going
  // away.
  const auto ns = client_.get(kube::resources::namespaces(), key);
  if (!ns.ok() && ns.error().code() != Code::kNotFound) return ns.error();
  if (!ns.ok() || kube::is_deleting(*ns)) return kube::Requeue::no();
  const std::string root = root_();
  if (root.empty()) return kube::Requeue::after(seconds(1));
  const auto map = client_.get(kube::resources::config_maps(), {key.name, place_.name});
  if (!map.ok() && map.error().code() != Code::kNotFound) return map.error();
  if (map.ok() && data::get_string(*map, {"data", place_.key}) == root) return kube::Requeue::no();
  const Json wanted =
      JsonObject{{"apiVersion", "v1"},
                 {"kind", "ConfigMap"},
                 {"metadata", JsonObject{{"name", place_.name},
                                         {"namespace", key.name},
                                         {"labels", JsonObject{{"istio.io/config", "true"}}}}},
                 {"data", JsonObject{{place_.key, root}}}};
  if (!map.ok()) {
    auto created = client_.create(kube::resources::config_maps(), wanted);
    if (created.ok()) return kube::Requeue::no();
    if (created.error().code() != Code::kAlreadyExists) return std::move(created).error();
  }
  // Istio's role for the control plane lets it update ConfigMaps, and not patch them.
  Json changed =
      map.ok() ? *map : TRY(client_.get(kube::resources::config_maps(), {key.name, place_.name}));
  data::set(changed, {"data", place_.key}, Json(root));
  TRY(client_.update(kube::resources::config_maps(), changed));
  return kube::Requeue::no();
}

}  // namespace lateen::ca
