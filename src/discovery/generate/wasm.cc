#include "discovery/generate/wasm.h"

#include <google/protobuf/wrappers.pb.h>

#include <algorithm>

#include "discovery/generate/tls.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/filters/http/wasm/v3/wasm.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

namespace wasm_v3 = envoy::extensions::wasm::v3;
using mesh::WasmPlugin;

constexpr const char* kWasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

std::string resource_name(const mesh::Config<WasmPlugin>& config) {
  return "extenstions.istio.io/wasmplugin/" + config.meta.ns + "." + config.meta.name;
}

bool fits(const WasmPlugin& plugin, Side side, int port) {
  if (plugin.match.empty()) return true;
  return std::any_of(plugin.match.begin(), plugin.match.end(), [&](const WasmPlugin::Match& match) {
    if (match.mode == "CLIENT" && side == Side::kInbound) return false;
    if (match.mode == "SERVER" && side != Side::kInbound) return false;
    return match.ports.empty() ||
           std::find(match.ports.begin(), match.ports.end(), port) != match.ports.end();
  });
}

// The agent fetches remote modules and images, and gives the proxy a local file; these variables
// tell it how.
void fill_environment(const mesh::Config<WasmPlugin>& config, wasm_v3::VmConfig& vm) {
  const WasmPlugin& plugin = config.spec;
  auto& values = *vm.mutable_environment_variables()->mutable_key_values();
  for (const WasmPlugin::Variable& variable : plugin.environment) {
    if (variable.is_of_host) {
      vm.mutable_environment_variables()->add_host_env_keys(variable.name);
    } else {
      values[variable.name] = variable.value;
    }
  }
  values["ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"] = config.meta.resource_version;
  if (!plugin.pull_policy.empty()) values["ISTIO_META_WASM_IMAGE_PULL_POLICY"] = plugin.pull_policy;
  if (!plugin.pull_secret.empty()) {
    values["ISTIO_META_WASM_IMAGE_PULL_SECRET"] =
        "kubernetes://" + config.meta.ns + "/" + plugin.pull_secret;
  }
}

void fill_plugin(const mesh::Config<WasmPlugin>& config, wasm_v3::PluginConfig& out) {
  const WasmPlugin& plugin = config.spec;
  out.set_name(resource_name(config));
  out.set_root_id(plugin.name);
  if (plugin.fail_strategy == "FAIL_OPEN") out.set_failure_policy(wasm_v3::FAIL_OPEN);
  if (plugin.fail_strategy == "FAIL_RELOAD") out.set_failure_policy(wasm_v3::FAIL_RELOAD);
  if (plugin.fail_strategy == "FAIL_CLOSE") out.set_failure_policy(wasm_v3::FAIL_CLOSED);
  if (plugin.config.is_object()) {
    google::protobuf::StringValue text;
    text.set_value(data::dump_json(plugin.config));
    *out.mutable_configuration() = xds::pack(text);
  }
  auto& vm = *out.mutable_vm_config();
  vm.set_runtime("envoy.wasm.runtime.v8");
  fill_environment(config, vm);
  std::string url = plugin.url;
  if (url.find("://") == std::string::npos) url = "oci://" + url;
  if (url.starts_with("file://")) {
    vm.mutable_code()->mutable_local()->set_filename(url.substr(7));
    return;
  }
  auto& remote = *vm.mutable_code()->mutable_remote();
  remote.set_sha256(plugin.sha256);
  remote.mutable_http_uri()->set_uri(url);
  remote.mutable_http_uri()->set_cluster("_");  // the agent replaces the whole source
  remote.mutable_http_uri()->mutable_timeout()->set_seconds(30);
}

}  // namespace

void add_wasm(const View& view, Side side, int port, WasmPhase phase, HttpConnectionManager& out) {
  if (view.proxy.is_lateen || view.mesh.input().wasm_plugins.empty()) return;
  for (const auto& config : view.mesh.wasm_plugins_of(view.proxy)) {
    const WasmPlugin& plugin = config->spec;
    if (plugin.phase != phase || plugin.type != WasmPlugin::Type::kHttp) continue;
    if (!fits(plugin, side, port)) continue;
    auto& filter = *out.add_http_filters();
    filter.set_name(resource_name(*config));
    auto& discovery = *filter.mutable_config_discovery();
    set_ads(*discovery.mutable_config_source());
    discovery.add_type_urls(kWasmType);
  }
}

bool make_wasm_extension(const View& view, const std::string& name,
                         const std::function<void(const google::protobuf::Message&)>& serve) {
  if (view.proxy.is_lateen) return false;
  for (const auto& config : view.mesh.wasm_plugins_of(view.proxy)) {
    if (resource_name(*config) != name) continue;
    envoy::extensions::filters::http::wasm::v3::Wasm wasm;
    fill_plugin(*config, *wasm.mutable_config());
    envoy::config::core::v3::TypedExtensionConfig extension;
    extension.set_name(name);
    *extension.mutable_typed_config() = xds::pack(wasm);
    serve(extension);
    return true;
  }
  return false;
}

}  // namespace lateen::discovery
