#include "base/strings.h"
#include "discovery/inject/injector.h"

namespace lateen::discovery {
namespace {

using data::get_string;
using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kProxy = "istio-proxy";

// A probe's port may be the name of a container port.
std::optional<std::int64_t> port_of(const Json& port, const Json& container) {
  if (const auto number = data::as_int(port)) return number;
  const std::string_view name = data::as_string(port);
  if (const auto number = parse_int(name)) return number;
  for (const Json& own : data::get_array(container, {"ports"})) {
    if (get_string(own, {"name"}) == name) return data::get_int(own, {"containerPort"});
  }
  return std::nullopt;
}

// The entry of ISTIO_KUBE_APP_PROBERS for a probe; null when it stays as it is (exec).
Json prober_of(const Json& probe, const Json& container) {
  const Json* timeout = data::find(probe, {"timeoutSeconds"});
  JsonObject out;
  if (const Json* http = data::find(probe, {"httpGet"})) {
    const Json* port = data::find(*http, {"port"});
    const auto number = port == nullptr ? std::nullopt : port_of(*port, container);
    if (!number) return nullptr;
    Json copy = *http;
    data::set(copy, {"port"}, *number);
    out["httpGet"] = std::move(copy);
  } else if (const Json* tcp = data::find(probe, {"tcpSocket"})) {
    const Json* port = data::find(*tcp, {"port"});
    const auto number = port == nullptr ? std::nullopt : port_of(*port, container);
    if (!number) return nullptr;
    out["tcpSocket"] = JsonObject{{"port", *number}};
  } else if (const Json* grpc = data::find(probe, {"grpc"})) {
    out["grpc"] = *grpc;
  } else {
    return nullptr;
  }
  if (timeout != nullptr) out["timeoutSeconds"] = *timeout;
  return out;
}

void redirect_probe(const std::string& path, int status_port, Json& probe) {
  for (const char* kind : {"httpGet", "tcpSocket", "grpc"}) data::erase(probe, {kind});
  data::set(probe, {"httpGet"}, JsonObject{{"path", path}, {"port", status_port}});
}

}  // namespace

void rewrite_probes(const Json& before, int status_port, Json& pod) {
  Json* list = data::find(pod, {"spec", "containers"});
  if (list == nullptr || !list->is_array()) return;
  Json* proxy = nullptr;
  for (Json& container : *list->if_array()) {
    if (get_string(container, {"name"}) == kProxy) proxy = &container;
  }
  if (proxy == nullptr) return;
  constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"readinessProbe", "readyz"}, {"livenessProbe", "livez"}, {"startupProbe", "startupz"}};
  JsonObject probers;
  // A pod that comes again has the application's probes in the variable already.
  for (const Json& container : data::get_array(before, {"spec", "containers"})) {
    if (get_string(container, {"name"}) != kProxy) continue;
    for (const Json& variable : data::get_array(container, {"env"})) {
      if (get_string(variable, {"name"}) != "ISTIO_KUBE_APP_PROBERS") continue;
      const auto known = data::parse_json(get_string(variable, {"value"}));
      if (known.ok() && known->is_object()) probers = *known->if_object();
    }
  }
  for (Json& container : *list->if_array()) {
    const std::string name(get_string(container, {"name"}));
    if (name == kProxy) continue;
    for (const auto& [kind, word] : kKinds) {
      Json* probe = data::find(container, {kind});
      if (probe == nullptr) continue;
      const std::string path = "/app-health/" + name + "/" + std::string(word);
      if (get_string(*probe, {"httpGet", "path"}) == path) continue;
      Json prober = prober_of(*probe, container);
      if (prober.is_null()) continue;
      probers[path] = std::move(prober);
      redirect_probe(path, status_port, *probe);
    }
  }
  if (probers.empty()) return;
  JsonObject& object = *proxy->if_object();
  Json& env = object["env"];
  if (!env.is_array()) env = JsonArray{};
  for (auto it = env.if_array()->begin(); it != env.if_array()->end();) {
    it = get_string(*it, {"name"}) == "ISTIO_KUBE_APP_PROBERS" ? env.if_array()->erase(it) : it + 1;
  }
  env.if_array()->push_back(
      JsonObject{{"name", "ISTIO_KUBE_APP_PROBERS"}, {"value", data::dump_json(Json(probers))}});
}

}  // namespace lateen::discovery
