// Injector: whether a pod gets a sidecar, and the pod with it. Pure: the webhook and `istioctl
// kube-inject` use it alike.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chart/template.h"
#include "data/json.h"
#include "mesh/mesh_config.h"
#include "mesh/telemetry.h"

namespace lateen::discovery {

// ConfigMap istio-sidecar-injector[-REVISION], parsed once and shared.
struct InjectionConfig {
  std::string policy = "enabled";  // or "disabled": only pods that ask
  std::vector<std::string> default_templates;
  std::map<std::string, std::vector<std::string>, std::less<>> aliases;
  data::JsonArray always_inject, never_inject;  // label selectors
  std::map<std::string, std::string> injected_annotations;
  std::vector<std::string> template_names;
  std::shared_ptr<const chart::TemplateSet> templates;
  data::Json values = data::JsonObject{};
};
// `config`: YAML, `values`: JSON (keys "config" and "values" of the ConfigMap).
Result<InjectionConfig> parse_injection_config(std::string_view config, std::string_view values);

struct InjectionRequest {
  const data::Json& pod;
  std::string ns;  // the pod's object may not say it yet
  const InjectionConfig& config;
  const mesh::MeshConfig& mesh;
  std::string revision;
  std::vector<mesh::Config<mesh::ProxyConfigSpec>> proxy_configs;  // of all namespaces
  std::map<std::string, std::string>
      proxy_env;  // from the webhook's path: ISTIO_META_CLUSTER_ID, …
};

// Says why not, or "" when the pod is to be injected.
std::string why_not_injected(const InjectionRequest& request);
// The injected pod. Injecting it again gives the same pod.
Result<data::Json> inject(const InjectionRequest& request);

// A template for what is no pod: `request.pod` has its metadata and spec, `more` what the template
// reads beyond a pod's data.
Result<std::string> render_template(const InjectionRequest& request, const std::string& name,
                                    const data::JsonObject& more);

// Probes of application containers become requests to the agent (/app-health/…), which calls the
// application from inside: mutual TLS cannot fail them. Sets ISTIO_KUBE_APP_PROBERS on the sidecar.
// `before`: the pod as it came; one that was injected already keeps its probes in that variable.
void rewrite_probes(const data::Json& before, int status_port, data::Json& pod);

}  // namespace lateen::discovery
