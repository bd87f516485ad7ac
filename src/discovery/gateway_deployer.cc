#include "discovery/gateway_deployer.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "data/yaml.h"
#include "discovery/translate/gateway_api.h"
#include "kube/patch.h"

namespace lateen::discovery {
namespace {

using data::get_array;
using data::get_string;
using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kVersionAnnotation = "gateway.istio.io/controller-version";
constexpr std::int64_t kVersion = 5;  // of the rules below, as upstream counts them
constexpr std::string_view kApiPrefix = "gateway.networking.k8s.io/";
constexpr const char* kTemplate = "kube-gateway";

const kube::Resource kGateways{"gateway.networking.k8s.io", "v1", "gateways", "Gateway", true};
const kube::Resource kClasses{"gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass",
                              false};

struct Class {
  const char *name, *controller, *description;
};
constexpr Class kOwnClasses[] = {
    {"istio", kGatewayController.data(), "The default Istio GatewayClass"},
    {"istio-remote", "istio.io/unmanaged-gateway",
     "Remote to this cluster. Does not deploy or affect configuration."}};

// What may be laid over which kind; the last two are made only where something is.
struct Overlay {
  const char *kind, *key;
  bool is_needed;
};
constexpr Overlay kOverlays[] = {{"Deployment", "deployment", false},
                                 {"Service", "service", false},
                                 {"ServiceAccount", "serviceAccount", false},
                                 {"HorizontalPodAutoscaler", "horizontalPodAutoscaler", true},
                                 {"PodDisruptionBudget", "podDisruptionBudget", true}};

// Labels or annotations for all that is made: spec.infrastructure's, or else the gateway's own.
JsonObject infrastructure(const Json& gateway, const char* what) {
  JsonObject out;
  const Json* given = data::find(gateway, {"spec", "infrastructure", what});
  if (given == nullptr || !given->is_object()) return data::get_object(gateway, {"metadata", what});
  for (const auto& entry : *given->if_object()) {
    if (!std::string_view(entry.key()).starts_with(kApiPrefix)) out[entry.key()] = entry.value();
  }
  return out;
}

// A Service's port name from a listener's.
std::string port_name(std::string_view listener) {
  std::string out;
  for (const char c : listener) out += c == '.' ? '-' : c;
  return out.size() > 63 ? out.substr(0, 63) : out;
}

JsonArray ports_of(const Json& gateway) {
  JsonArray out{JsonObject{
      {"name", "status-port"}, {"port", 15021}, {"protocol", "TCP"}, {"appProtocol", "tcp"}}};
  std::set<std::int64_t> seen;
  for (const Json& listener : get_array(gateway, {"spec", "listeners"})) {
    const std::int64_t port = data::get_int(listener, {"port"});
    if (!seen.insert(port).second) continue;
    std::string name = port_name(get_string(listener, {"name"}));
    if (name.empty())
      name = to_lower(get_string(listener, {"protocol"})) + "-" + std::to_string(port);
    out.push_back(JsonObject{{"name", name},
                             {"port", port},
                             {"protocol", "TCP"},
                             {"appProtocol", to_lower(get_string(listener, {"protocol"}))}});
  }
  return out;
}

std::string or_else(std::string_view value, std::string fallback) {
  return value.empty() ? std::move(fallback) : std::string(value);
}

// The object with what the ConfigMap says laid over it; null when it is not to be made.
Result<Json> overlaid(Json object, const JsonObject& overlays) {
  const std::string kind(kube::kind_of(object));
  const auto* known = std::find_if(std::begin(kOverlays), std::end(kOverlays),
                                   [&](const Overlay& each) { return kind == each.kind; });
  if (known == std::end(kOverlays))
    return invalid("template kube-gateway makes a " + kind + ", which is not one of its kinds");
  const Json* patch = overlays.if_contains(known->key);
  if (patch == nullptr) return known->is_needed ? Json() : std::move(object);
  const Json parsed = TRY(
      data::parse_yaml(data::as_string(*patch)).at("parametersRef: " + std::string(known->key)));
  Json out = TRY(kube::strategic_merge(object, parsed, kind));
  if (kube::key_of(out) != kube::key_of(object))
    return invalid("parametersRef: " + std::string(known->key) + " may not rename what it patches");
  return out;
}

}  // namespace

bool is_deployed(const Json& gateway, const Json* gateway_class, std::string_view ns_revision,
                 std::string_view revision) {
  const auto class_name = get_string(gateway, {"spec", "gatewayClassName"});
  const bool is_ours =
      gateway_class == nullptr
          ? class_name == "istio"
          : get_string(*gateway_class, {"spec", "controllerName"}) == kGatewayController;
  if (!is_ours || kube::is_deleting(gateway)) return false;
  const auto own = kube::label(gateway, "istio.io/rev");
  const auto wanted = or_else(own, or_else(ns_revision, "default"));
  if (wanted != or_else(revision, "default")) return false;
  const auto& addresses = get_array(gateway, {"spec", "addresses"});
  if (addresses.size() > 1) return false;
  if (!addresses.empty() && get_string(addresses.front(), {"type"}, "IPAddress") != "IPAddress")
    return false;
  const auto version = kube::annotation(gateway, kVersionAnnotation);
  return version.empty() || parse_int(version).value_or(kVersion + 1) <= kVersion;
}

Result<std::vector<Json>> deployment_of(const DeployInput& input) {
  const Json& gateway = input.gateway;
  if (input.state.injection == nullptr || !input.state.injection->templates->has(kTemplate))
    return not_found("no \"kube-gateway\" template defined: the injector's ConfigMap has none");
  const std::string name(kube::name_of(gateway)), ns(kube::namespace_of(gateway));
  const std::string class_name(get_string(gateway, {"spec", "gatewayClassName"}));
  const std::string default_name = name + "-" + class_name;
  for (const auto& entry : input.overlays) {
    const bool is_known =
        std::any_of(std::begin(kOverlays), std::end(kOverlays),
                    [&](const Overlay& each) { return entry.key() == std::string_view(each.key); });
    if (!is_known)
      return invalid("parametersRef: unsupported overlay \"" + std::string(entry.key()) + "\"");
  }
  const JsonObject more{
      {"Name", name},
      {"Namespace", ns},
      {"UID", kube::uid_of(gateway)},
      {"Labels", kube::labels_of(gateway)},
      {"Annotations", kube::annotations_of(gateway)},
      {"GatewayClass", class_name},
      {"DeploymentName",
       or_else(kube::annotation(gateway, "gateway.istio.io/name-override"), default_name)},
      {"ServiceAccount",
       or_else(kube::annotation(gateway, "gateway.istio.io/service-account"), default_name)},
      {"Ports", ports_of(gateway)},
      {"ClusterID", input.cluster_id},
      {"KubeVersion", input.kube_version},
      {"ServiceType",
       or_else(kube::annotation(gateway, "networking.istio.io/service-type"), "LoadBalancer")},
      {"InfrastructureLabels", infrastructure(gateway, "labels")},
      {"InfrastructureAnnotations", infrastructure(gateway, "annotations")},
      {"GatewayNameLabel", "gateway.networking.k8s.io/gateway-name"},
      {"IsEastWestGateway", false},
      {"ControllerLabel", "istio.io-gateway-controller"}};
  // A ProxyConfig that selects the gateway's pods counts, so it is asked for by their label.
  Json as_pod = JsonObject{{"metadata", *data::find(gateway, {"metadata"})},
                           {"spec", *data::find(gateway, {"spec"})}};
  kube::set_label(as_pod, "gateway.networking.k8s.io/gateway-name", name);
  const InjectionRequest request{as_pod,
                                 ns,
                                 *input.state.injection,
                                 *input.state.mesh,
                                 input.state.revision,
                                 input.state.proxy_configs,
                                 {}};
  const std::string text = TRY(render_template(request, kTemplate, more));
  std::vector<Json> out;
  for (Json& object : TRY(data::parse_yaml_documents(text).at("rendered template kube-gateway"))) {
    if (!object.is_object()) continue;
    Json made = TRY(overlaid(std::move(object), input.overlays));
    if (!made.is_null()) out.push_back(std::move(made));
  }
  return out;
}

GatewayDeployer::GatewayDeployer(kube::Client& client, State state, Options options)
    : client_(client), state_(std::move(state)), options_(std::move(options)), thread_([this] {
        work();
        // The API may come to be served at any time; its classes are made soon after.
        constexpr milliseconds kClassInterval{10'000};
        return has_classes_ ? options_.repair_interval
                            : std::min(kClassInterval, options_.repair_interval);
      }) {}

void GatewayDeployer::take(const Json& object, bool is_removed) {
  const auto kind = kube::kind_of(object);
  const bool is_of_api = kube::api_version_of(object).starts_with(kApiPrefix);
  {
    const std::lock_guard lock(mutex_);
    if (is_of_api && (kind == "Gateway" || kind == "GatewayClass")) {
      Objects& into = kind == "Gateway" ? gateways_ : classes_;
      const auto key = kube::key_of(object);
      const auto known = into.find(key);
      // Our own status writing is no reason to look again.
      const bool is_same =
          !is_removed && known != into.end() &&
          data::get_int(known->second, {"metadata", "generation"}) ==
              data::get_int(object, {"metadata", "generation"}) &&
          data::equal(kube::labels_of(known->second), kube::labels_of(object)) &&
          data::equal(kube::annotations_of(known->second), kube::annotations_of(object));
      if (is_removed) into.erase(key);
      else into[key] = object;
      if (is_same) return;
    } else if (kind == "Namespace") {
      const std::string revision(is_removed ? "" : kube::label(object, "istio.io/rev"));
      std::string& known = ns_revisions_[std::string(kube::name_of(object))];
      if (std::exchange(known, revision) == revision || gateways_.empty()) return;
    } else if (kind == "Service") {
      // Ours, when somebody deletes it.
      if (!is_removed || kube::label(object, "gateway.networking.k8s.io/gateway-name").empty())
        return;
    } else if (kind != "ConfigMap" || gateways_.empty()) {
      return;  // a ConfigMap may be the injector's, the mesh's, or a gateway's parameters
    }
  }
  thread_.wake();
}

void GatewayDeployer::work() {
  std::vector<Json> wanted;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, gateway] : gateways_) {
      const auto of_class =
          classes_.find({"", std::string(get_string(gateway, {"spec", "gatewayClassName"}))});
      const auto ns = ns_revisions_.find(key.ns);
      if (is_deployed(gateway, of_class == classes_.end() ? nullptr : &of_class->second,
                      ns == ns_revisions_.end() ? std::string_view() : ns->second,
                      options_.revision))
        wanted.push_back(gateway);
    }
  }
  make_classes();
  const auto state = state_();
  for (const Json& gateway : wanted) {
    const auto done = state == nullptr || state->mesh == nullptr ? unavailable("no mesh config yet")
                                                                 : deploy(gateway, *state);
    if (!done.ok())
      LOG(kWarn, "status", "gateway {}: {}", kube::key_of(gateway).to_string(),
          done.error().message());
  }
}

// The classes that Gateways name; made once, where the API is served.
void GatewayDeployer::make_classes() {
  if (has_classes_) return;
  for (const Class& each : kOwnClasses) {
    if (client_.get(kClasses, {"", each.name}).ok()) continue;
    const auto made = client_.create(
        kClasses, JsonObject{{"apiVersion", kClasses.api_version()},
                             {"kind", "GatewayClass"},
                             {"metadata", JsonObject{{"name", each.name}}},
                             {"spec", JsonObject{{"controllerName", each.controller},
                                                 {"description", each.description}}}});
    if (!made.ok() && made.error().code() != Code::kAlreadyExists)
      return;  // perhaps the API is not served yet
  }
  has_classes_ = true;
}

Result<JsonObject> GatewayDeployer::overlays_of(const Json& gateway) {
  const Json* reference = data::find(gateway, {"spec", "infrastructure", "parametersRef"});
  if (reference == nullptr) return JsonObject();
  const std::string name(get_string(*reference, {"name"}));
  if (get_string(*reference, {"kind"}) != "ConfigMap" || !get_string(*reference, {"group"}).empty())
    return invalid("parametersRef must be a ConfigMap");
  const auto map =
      client_.get(kube::resources::config_maps(), {std::string(kube::namespace_of(gateway)), name});
  if (!map.ok())
    return not_found("parametersRef: ConfigMap " + name + ": " + map.error().message());
  return data::get_object(*map, {"data"});
}

Result<> GatewayDeployer::deploy(const Json& gateway, const WebhookState& state) {
  if (kube_version_ == 0) {
    http::PlainRequest request;
    request.url = "/version";
    const Json version = TRY(data::parse_json(TRY(client_.raw(request)).body));
    std::string minor(get_string(version, {"minor"}));
    minor = minor.substr(0, minor.find_first_not_of("0123456789"));
    kube_version_ = static_cast<int>(
        parse_int(std::string(get_string(version, {"major"})) + minor).value_or(132));
  }
  const auto key = kube::key_of(gateway);
  const auto objects = TRY(deployment_of(
      {gateway, state, options_.cluster_id, kube_version_, TRY(overlays_of(gateway))}));
  if (kube::annotation(gateway, kVersionAnnotation) != std::to_string(kVersion)) {
    TRY(client_.patch(
        kGateways, key, kube::Patch::kMerge,
        JsonObject{{"metadata",
                    JsonObject{{"annotations",
                                JsonObject{{kVersionAnnotation, std::to_string(kVersion)}}}}}}));
  }
  for (const Json& object : objects) {
    const auto resource =
        TRY(client_.resource_for(kube::api_version_of(object), kube::kind_of(object)));
    // What somebody else made under that name is theirs.
    const auto there = client_.get(resource, kube::key_of(object));
    if (there.ok() && kube::label(*there, "gateway.networking.k8s.io/gateway-name") != key.name &&
        kube::kind_of(object) != "ServiceAccount")
      return invalid(std::string(kube::kind_of(object)) + " " + kube::key_of(object).to_string() +
                     " exists already and is not this gateway's: delete it, or set annotation "
                     "gateway.istio.io/name-override");
    kube::PatchOptions options;
    options.field_manager = std::string(kGatewayController);
    options.is_forced = true;
    TRY(client_.apply(resource, object, options)
            .at(std::string(kube::kind_of(object)) + " " + kube::key_of(object).to_string()));
  }
  return {};
}

}  // namespace lateen::discovery
