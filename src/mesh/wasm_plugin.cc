#include "mesh/wasm_plugin.h"

#include "mesh/check.h"

namespace lateen::mesh {

void read_spec(Reader& reader, WasmPlugin& spec) {
  using Phase = WasmPlugin::Phase;
  reader.object("selector", [&](Reader& r) { spec.selector = r.map("matchLabels"); });
  read_targets(reader, spec.targets);
  spec.url = reader.text("url");
  spec.sha256 = reader.text("sha256");
  spec.pull_policy = reader.choice<std::string>(
      "imagePullPolicy",
      {{"UNSPECIFIED_POLICY", ""}, {"IfNotPresent", "IfNotPresent"}, {"Always", "Always"}}, "");
  spec.pull_secret = reader.text("imagePullSecret");
  reader.unused("verificationKey", "give the module's sha256");
  if (const data::Json* config = reader.raw("pluginConfig")) spec.config = *config;
  spec.name = reader.text("pluginName");
  spec.phase = reader.choice<Phase>("phase",
                                    {{"UNSPECIFIED_PHASE", Phase::kUnspecified},
                                     {"AUTHN", Phase::kAuthn},
                                     {"AUTHZ", Phase::kAuthz},
                                     {"STATS", Phase::kStats}},
                                    Phase::kUnspecified);
  spec.priority = reader.integer("priority");
  spec.fail_strategy = reader.choice<std::string>(
      "failStrategy",
      {{"FAIL_CLOSE", "FAIL_CLOSE"}, {"FAIL_OPEN", "FAIL_OPEN"}, {"FAIL_RELOAD", "FAIL_RELOAD"}},
      "FAIL_CLOSE");
  reader.object("vmConfig", [&](Reader& vm) {
    vm.each("env", [&](Reader& r) {
      WasmPlugin::Variable& variable = spec.environment.emplace_back();
      variable.name = r.text("name");
      variable.is_of_host = r.choice<bool>("valueFrom", {{"INLINE", false}, {"HOST", true}}, false);
      variable.value = r.text("value");
    });
  });
  reader.each("match", [&](Reader& r) {
    WasmPlugin::Match& match = spec.match.emplace_back();
    match.mode = r.choice<std::string>("mode",
                                       {{"UNDEFINED", ""},
                                        {"CLIENT", "CLIENT"},
                                        {"SERVER", "SERVER"},
                                        {"CLIENT_AND_SERVER", "CLIENT_AND_SERVER"}},
                                       "");
    r.each("ports", [&](Reader& port) { match.ports.push_back(port.integer("number")); });
  });
  using Type = WasmPlugin::Type;
  spec.type = reader.choice<Type>("type",
                                  {{"UNSPECIFIED_PLUGIN_TYPE", Type::kHttp},
                                   {"HTTP", Type::kHttp},
                                   {"NETWORK", Type::kNetwork}},
                                  Type::kHttp);
}

void check_spec(const Meta&, const WasmPlugin& spec, Issues& issues) {
  check_labels("spec.selector.matchLabels", spec.selector, issues);
  if (spec.url.empty()) issues.error("spec.url: is required");
  const std::size_t colon = spec.url.find("://");
  const std::string scheme = colon == std::string::npos ? "" : spec.url.substr(0, colon);
  if (!scheme.empty() && scheme != "oci" && scheme != "http" && scheme != "https" &&
      scheme != "file") {
    issues.error("spec.url: \"" + spec.url + "\" must be oci://, http://, https:// or file://");
  }
  const bool is_hex = spec.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!spec.sha256.empty() && (spec.sha256.size() != 64 || !is_hex)) {
    issues.error("spec.sha256: must be 64 lower-case hexadecimal digits");
  }
  if (!spec.selector.empty() && !spec.targets.empty()) {
    issues.error("spec: only one of selector and targetRefs can be set");
  }
  if (spec.type == WasmPlugin::Type::kNetwork) {
    issues.warn("spec.type: has no effect: only HTTP modules are distributed");
  }
  for (const WasmPlugin::Variable& variable : spec.environment) {
    if (variable.name.empty()) issues.error("spec.vmConfig.env.name: is required");
    if (variable.is_of_host && !variable.value.empty()) {
      issues.error("spec.vmConfig.env[" + variable.name + "].value: is not for valueFrom: HOST");
    }
  }
  for (const WasmPlugin::Match& match : spec.match) {
    for (const std::int64_t port : match.ports) check_port("spec.match.ports", port, issues);
  }
  issues.warn(
      "spec: modules run in proxies that are Envoy; Lateen's own proxy has no WebAssembly and "
      "leaves them out");
}

}  // namespace lateen::mesh
