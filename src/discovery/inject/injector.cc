#include "discovery/inject/injector.h"

#include <algorithm>

#include "base/strings.h"
#include "chart/injection_functions.h"
#include "data/yaml.h"
#include "kube/names.h"
#include "kube/object.h"
#include "kube/patch.h"
#include "kube/selector.h"
#include "mesh/service.h"

namespace lateen::discovery {
namespace {

using data::get_array;
using data::get_string;
using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kStatus = "sidecar.istio.io/status";
constexpr std::string_view kInject = "sidecar.istio.io/inject";
constexpr std::string_view kTemplates = "inject.istio.io/templates";
constexpr std::string_view kProxyConfig = "proxy.istio.io/config";
constexpr std::string_view kOverrides = "proxy.istio.io/overrides";
constexpr const char* kProxy = "istio-proxy";

bool is_true(std::string_view text) {
  for (const std::string_view yes : {"true", "yes", "y", "on", "1"}) {
    if (iequals(text, yes)) return true;
  }
  return false;
}

std::vector<std::string> strings_at(const Json& value,
                                    std::initializer_list<std::string_view> path) {
  std::vector<std::string> out;
  for (const Json& item : get_array(value, path)) out.emplace_back(data::as_string(item));
  return out;
}

bool selects_any(const JsonArray& selectors, const JsonObject& labels) {
  for (const Json& item : selectors) {
    const auto selector = kube::LabelSelector::from_object(item);
    if (selector.ok() && !selector->is_everything() && selector->matches(labels)) return true;
  }
  return false;
}

JsonArray& list_at(Json& pod, std::string_view name) {
  Json& value = data::ensure_object(pod, {"spec"})[name];
  if (!value.is_array()) value = JsonArray{};
  return *value.if_array();
}

Json* find_named(JsonArray& list, std::string_view name) {
  for (Json& item : list) {
    if (get_string(item, {"name"}) == name) return &item;
  }
  return nullptr;
}

void remove_named(JsonArray& list, std::string_view name) {
  for (auto it = list.begin(); it != list.end();) {
    it = get_string(*it, {"name"}) == name ? list.erase(it) : it + 1;
  }
}

// An injected pod that comes again (reinvocation): without what we put in, so that templates see
// the application.
Json strip(const Json& pod) {
  Json stripped = pod;
  const std::string status_text(kube::annotation(pod, kStatus));
  if (status_text.empty()) return stripped;
  const auto status = data::parse_json(status_text);
  if (!status.ok()) return stripped;
  for (const std::string_view kind : {"containers", "initContainers", "volumes"}) {
    for (const std::string& name : strings_at(*status, {kind})) {
      remove_named(list_at(stripped, kind), name);
    }
  }
  JsonObject& annotations = data::ensure_object(stripped, {"metadata", "annotations"});
  annotations.erase(kStatus);
  if (const Json* port = annotations.if_contains("prometheus.io/port");
      port != nullptr && data::as_string(*port) == "15020") {
    for (const char* name : {"prometheus.io/port", "prometheus.io/path", "prometheus.io/scrape"}) {
      annotations.erase(name);
    }
  }
  // The application's own scrape settings were kept in a variable of the proxy.
  for (const Json& container : get_array(pod, {"spec", "containers"})) {
    for (const Json& variable : get_array(container, {"env"})) {
      if (get_string(variable, {"name"}) != "ISTIO_PROMETHEUS_ANNOTATIONS") continue;
      const auto own = data::parse_json(get_string(variable, {"value"}));
      if (!own.ok()) continue;
      for (const char* key : {"scrape", "path", "port"}) {
        const std::string_view value = get_string(*own, {key});
        if (!value.empty()) annotations["prometheus.io/" + std::string(key)] = value;
      }
    }
  }
  // What the user wrote of our containers was kept in an annotation.
  const auto overrides = data::parse_json(kube::annotation(pod, kOverrides));
  if (!overrides.ok()) return stripped;
  for (const std::string_view kind : {"containers", "initContainers"}) {
    for (const Json& item : get_array(*overrides, {kind})) {
      JsonArray& list = list_at(stripped, kind);
      if (find_named(list, get_string(item, {"name"})) == nullptr) list.push_back(item);
    }
  }
  return stripped;
}

std::string proxy_image(const InjectionRequest& request, const Json& pod, std::string_view key,
                        const Json& proxy_config) {
  const Json& values = request.config.values;
  std::string name(get_string(values, {"global", key, "image"}, "proxyv2"));
  std::string type(
      get_string(proxy_config, {"image", "imageType"}, get_string(values, {"global", "variant"})));
  const std::string_view annotated = kube::annotation(pod, "sidecar.istio.io/proxyImageType");
  if (!annotated.empty()) type = annotated;
  std::string tag;
  if (const Json* value = data::find(values, {"global", "tag"})) {
    tag = value->is_string() ? std::string(data::as_string(*value)) : data::dump_json(*value);
  }
  for (const std::string suffix : {"-distroless", "-debug"}) {
    if (!type.empty() && tag.ends_with(suffix)) tag.resize(tag.size() - suffix.size());
  }
  if (!type.empty() && type != "default") tag += "-" + type;
  if (name.find('/') != std::string::npos) return name;  // a whole image reference
  return std::string(get_string(values, {"global", "hub"})) + "/" + name + ":" + tag;
}

// What templates read without asking whether it is set.
Json with_defaults(Json proxy_config) {
  if (get_string(proxy_config, {"interceptionMode"}).empty()) {
    data::set(proxy_config, {"interceptionMode"}, Json(mesh::kDefaultInterceptionMode));
  }
  return proxy_config;
}

Json template_data(const InjectionRequest& request, const Json& pod, const Json& proxy_config) {
  const mesh::WorkloadOwner owner = mesh::owner_of_pod(pod);
  std::string owner_name = owner.name;
  if (owner.kind == "Pod" && owner_name.empty()) {
    owner_name = get_string(pod, {"metadata", "generateName"});
    while (owner_name.ends_with("-")) owner_name.pop_back();
  }
  const Json* meta = data::find(pod, {"metadata"});
  const Json* spec = data::find(pod, {"spec"});
  Json object_meta = meta != nullptr ? *meta : Json(JsonObject{});
  data::ensure_object(object_meta, {"labels"});
  data::ensure_object(object_meta, {"annotations"});
  data::set(object_meta, {"namespace"}, Json(request.ns));
  return JsonObject{
      {"TypeMeta", JsonObject{{"apiVersion", owner.api_version}, {"kind", owner.kind}}},
      {"DeploymentMeta", JsonObject{{"name", owner_name}, {"namespace", request.ns}}},
      {"ObjectMeta", std::move(object_meta)},
      {"Spec", spec != nullptr ? *spec : Json(JsonObject{})},
      {"ProxyConfig", with_defaults(proxy_config)},
      {"MeshConfig", request.mesh.whole},
      {"Values", request.config.values},
      {"Revision", request.revision.empty() ? "default" : request.revision},
      {"NativeSidecars", false},
      {"ProxyImage", proxy_image(request, pod, "proxy", proxy_config)},
      {"ProxyInitImage", proxy_image(request, pod, "proxy_init", Json(JsonObject{}))},
      {"ProxyUID", 1337},
      {"ProxyGID", 1337},
      {"InboundTrafficPolicyMode", request.mesh.is_inbound_localhost ? "localhost" : "passthrough"},
      {"CompliancePolicy", ""},
  };
}

Json as_proxy_config(const mesh::ProxyConfigSpec& spec) {
  JsonObject out;
  if (spec.concurrency) out["concurrency"] = *spec.concurrency;
  if (!spec.image_type.empty()) out["image"] = JsonObject{{"imageType", spec.image_type}};
  JsonObject environment;
  for (const auto& [name, value] : spec.environment) environment[name] = value;
  if (!environment.empty()) out["proxyMetadata"] = std::move(environment);
  return out;
}

// From the mesh's down to the pod's: ProxyConfigs of the root namespace, of the pod's, the pod's
// annotation, and ProxyConfigs that select it. The oldest of each place counts.
Result<Json> proxy_config_of(const InjectionRequest& request) {
  const mesh::Labels labels = mesh::read_labels(request.pod);
  const auto first = [&](std::string_view ns, bool is_selecting) -> const Json {
    for (const auto& config : request.proxy_configs) {
      if (config.meta.ns != ns || config.spec.selector.empty() == is_selecting) continue;
      if (mesh::selects(config.spec.selector, labels)) return as_proxy_config(config.spec);
    }
    return {};
  };
  Json out =
      mesh::merge_proxy_config(request.mesh.proxy.whole, first(request.mesh.root_namespace, false));
  if (request.ns != request.mesh.root_namespace) {
    out = mesh::merge_proxy_config(out, first(request.ns, false));
  }
  const std::string_view text = kube::annotation(request.pod, kProxyConfig);
  if (!text.empty()) {
    out = mesh::merge_proxy_config(
        out, TRY(data::parse_yaml(text).at("annotation proxy.istio.io/config")));
  }
  return mesh::merge_proxy_config(out, first(request.ns, true));
}

std::vector<std::string> select_templates(const InjectionRequest& request) {
  std::vector<std::string> names;
  const std::string_view annotated = kube::annotation(request.pod, kTemplates);
  if (annotated.empty()) {
    names = request.config.default_templates;
  } else {
    for (const std::string_view name : split(annotated, ',')) names.emplace_back(trim(name));
  }
  std::vector<std::string> out;
  for (const std::string& name : names) {
    const auto alias = request.config.aliases.find(name);
    if (alias == request.config.aliases.end()) {
      out.push_back(name);
    } else {
      out.insert(out.end(), alias->second.begin(), alias->second.end());
    }
  }
  return out;
}

// Settings that the user wrote into a container of ours ("istio-proxy" with image auto) win over
// the template's.
Result<> reapply_overrides(const InjectionRequest& request, const Json& injected, Json& pod) {
  JsonObject kept;
  const Json original = strip(request.pod);
  for (const std::string_view kind : {"containers", "initContainers"}) {
    for (const Json& item : get_array(injected, {"spec", kind})) {
      const std::string name(get_string(item, {"name"}));
      for (const std::string_view from : {"containers", "initContainers"}) {
        for (Json overlay : get_array(original, {"spec", from})) {
          if (get_string(overlay, {"name"}) != name) continue;
          if (get_string(overlay, {"image"}) == "auto") overlay.if_object()->erase("image");
          const Json patch = JsonObject{{"spec", JsonObject{{kind, JsonArray{overlay}}}}};
          pod = TRY(kube::strategic_merge(pod, patch, "Pod"));
          Json& list = kept[kind];
          if (!list.is_array()) list = JsonArray{};
          list.if_array()->push_back(overlay);
        }
      }
    }
  }
  if (!kept.empty()) kube::set_annotation(pod, kOverrides, data::dump_json(Json(kept)));
  return {};
}

void reorder_proxy(const InjectionRequest& request, const Json& proxy_config, Json& pod) {
  JsonArray& containers = list_at(pod, "containers");
  Json* found = find_named(containers, kProxy);
  if (found == nullptr) return;
  Json proxy = *found;
  remove_named(containers, kProxy);
  const bool is_first =
      data::get_bool(proxy_config, {"holdApplicationUntilProxyStarts"}) ||
      data::get_bool(request.config.values, {"global", "proxy", "holdApplicationUntilProxyStarts"});
  containers.insert(is_first ? containers.begin() : containers.end(), proxy);
  // Redirection is set up before any init container of the application talks to anyone but after
  // its validation.
  JsonArray& init = list_at(pod, "initContainers");
  for (const char* name : {"istio-validation"}) {
    if (Json* container = find_named(init, name)) {
      Json copy = *container;
      remove_named(init, name);
      init.insert(init.begin(), copy);
    }
  }
  if (init.empty()) data::erase(pod, {"spec", "initContainers"});
}

void set_env(Json& container, std::string_view name, std::string_view value) {
  JsonObject& object = *container.if_object();
  Json& env = object["env"];
  if (!env.is_array()) env = JsonArray{};
  if (Json* existing = find_named(*env.if_array(), name)) {
    *existing = JsonObject{{"name", name}, {"value", value}};
    return;
  }
  env.if_array()->push_back(JsonObject{{"name", name}, {"value", value}});
}

void merge_prometheus(const InjectionRequest& request, int status_port, Json& pod) {
  const std::string_view wanted = kube::annotation(pod, "prometheus.istio.io/merge-metrics");
  const bool is_on = wanted.empty() ? request.mesh.merges_prometheus : wanted == "true";
  if (!is_on) return;
  const std::string_view scrape = kube::annotation(pod, "prometheus.io/scrape");
  Json* proxy = find_named(list_at(pod, "containers"), kProxy);
  if (proxy == nullptr) return;
  const std::string port = std::to_string(status_port);
  if (kube::annotation(pod, "prometheus.io/port") == port) return;
  if (scrape == "false") return;
  const JsonObject app{{"scrape", scrape.empty() ? "" : scrape},
                       {"path", kube::annotation(pod, "prometheus.io/path")},
                       {"port", kube::annotation(pod, "prometheus.io/port")}};
  if (!scrape.empty()) set_env(*proxy, "ISTIO_PROMETHEUS_ANNOTATIONS", data::dump_json(Json(app)));
  kube::set_annotation(pod, "prometheus.io/port", port);
  kube::set_annotation(pod, "prometheus.io/path", "/stats/prometheus");
  kube::set_annotation(pod, "prometheus.io/scrape", "true");
}

void write_status(const InjectionRequest& request, const Json& injected, Json& pod) {
  JsonObject status;
  for (const std::string_view kind :
       {"initContainers", "containers", "volumes", "imagePullSecrets"}) {
    JsonArray names;
    for (const Json& item : get_array(injected, {"spec", kind})) {
      names.push_back(Json(std::string(get_string(item, {"name"}))));
    }
    status[kind] = names.empty() ? Json(nullptr) : Json(std::move(names));
  }
  status["revision"] = request.revision.empty() ? "default" : request.revision;
  kube::set_annotation(pod, kStatus, data::dump_json(Json(status)));
}

}  // namespace

Result<InjectionConfig> parse_injection_config(std::string_view config, std::string_view values) {
  InjectionConfig out;
  const Json yaml = TRY(data::parse_yaml(config).at("injection config"));
  out.values = TRY(data::parse_yaml(values).at("injection values"));
  out.policy = get_string(yaml, {"policy"}, "enabled");
  out.default_templates = strings_at(yaml, {"defaultTemplates"});
  if (out.default_templates.empty()) out.default_templates = {"sidecar"};
  out.always_inject = get_array(yaml, {"alwaysInjectSelector"});
  out.never_inject = get_array(yaml, {"neverInjectSelector"});
  for (const auto& entry : data::get_object(yaml, {"aliases"})) {
    out.aliases[std::string(entry.key())] = strings_at(entry.value(), {});
  }
  for (const auto& entry : data::get_object(yaml, {"injectedAnnotations"})) {
    out.injected_annotations[std::string(entry.key())] = data::as_string(entry.value());
  }
  auto templates =
      std::make_shared<chart::TemplateSet>(chart::TemplateOptions{.is_struct_like = true});
  chart::add_injection_functions(*templates);
  for (const auto& entry : data::get_object(yaml, {"templates"})) {
    const std::string name(entry.key());
    TRY(templates->add(name, data::as_string(entry.value())).at("injection template " + name));
    out.template_names.push_back(name);
  }
  out.templates = std::move(templates);
  return out;
}

std::string why_not_injected(const InjectionRequest& request) {
  const Json& pod = request.pod;
  if (data::get_bool(pod, {"spec", "hostNetwork"})) return "the pod uses the host's network";
  for (const std::string_view ns : kube::kSystemNamespaces) {
    if (request.ns == ns) return "namespace " + request.ns + " is never injected";
  }
  std::string_view wanted = kube::label(pod, kInject);
  if (wanted.empty()) wanted = kube::annotation(pod, kInject);
  bool is_default = wanted.empty();
  bool is_wanted = is_true(wanted);
  if (is_default && selects_any(request.config.never_inject, kube::labels_of(pod))) {
    return "the pod's labels match neverInjectSelector";
  }
  if (is_default && selects_any(request.config.always_inject, kube::labels_of(pod))) {
    is_wanted = true;
    is_default = false;
  }
  if (is_default) is_wanted = request.config.policy == "enabled";
  if (is_wanted) return "";
  return is_default ? "the policy is " + request.config.policy
                    : "sidecar.istio.io/inject is " + std::string(wanted);
}

Result<std::string> render_template(const InjectionRequest& request, const std::string& name,
                                    const JsonObject& more) {
  const Json proxy_config = TRY(proxy_config_of(request));
  Json input = template_data(request, request.pod, proxy_config);
  for (const auto& entry : more) (*input.if_object())[entry.key()] = entry.value();
  return request.config.templates->render(name, input);
}

Result<Json> inject(const InjectionRequest& request) {
  const Json proxy_config = TRY(proxy_config_of(request));
  const Json stripped = strip(request.pod);
  const Json input = template_data(request, stripped, proxy_config);
  Json pod = stripped;
  Json injected = JsonObject{{"spec", JsonObject{}}};
  for (const std::string& name : select_templates(request)) {
    if (!request.config.templates->has(name)) {
      return invalid("requested injection template \"" + name + "\" not found; have " +
                     join(request.config.template_names, ", "));
    }
    const std::string text = TRY(request.config.templates->render(name, input));
    const Json patch = TRY(data::parse_yaml(text).at("rendered injection template " + name));
    injected = TRY(kube::strategic_merge(injected, patch, "Pod"));
    pod = TRY(kube::strategic_merge(pod, patch, "Pod"));
  }
  TRY(reapply_overrides(request, injected, pod));
  Json* proxy = find_named(list_at(pod, "containers"), kProxy);
  if (proxy != nullptr) {
    for (const auto& [name, value] : request.proxy_env) set_env(*proxy, name, value);
  }
  const int status_port = static_cast<int>(data::get_int(proxy_config, {"statusPort"}, 15020));
  merge_prometheus(request, status_port, pod);
  std::string_view rewrite = kube::annotation(pod, "sidecar.istio.io/rewriteAppHTTPProbers");
  const bool rewrites =
      rewrite.empty() ? data::get_bool(request.config.values,
                                       {"sidecarInjectorWebhook", "rewriteAppHTTPProbe"}, true)
                      : rewrite == "true";
  if (rewrites) rewrite_probes(request.pod, status_port, pod);
  reorder_proxy(request, proxy_config, pod);
  for (const auto& [name, value] : request.config.injected_annotations) {
    kube::set_annotation(pod, name, value);
  }
  write_status(request, injected, pod);
  return pod;
}

}  // namespace lateen::discovery
