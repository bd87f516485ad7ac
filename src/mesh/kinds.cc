#include "mesh/kinds.h"

#include "base/strings.h"
#include "mesh/destination_rule.h"
#include "mesh/envoy_filter.h"
#include "mesh/gateway.h"
#include "mesh/security.h"
#include "mesh/service_entry.h"
#include "mesh/sidecar.h"
#include "mesh/virtual_service.h"
#include "mesh/wasm_plugin.h"

namespace lateen::mesh {
namespace {

constexpr std::string_view kNetworking = "networking.istio.io";
constexpr std::string_view kSecurity = "security.istio.io";

constexpr Kind kKinds[] = {
    {"VirtualService", "virtualservices", kNetworking, "v1beta1", "vs"},
    {"DestinationRule", "destinationrules", kNetworking, "v1beta1", "dr"},
    {"Gateway", "gateways", kNetworking, "v1beta1", "gw"},
    {"ServiceEntry", "serviceentries", kNetworking, "v1beta1", "se"},
    {"Sidecar", "sidecars", kNetworking, "v1beta1", ""},
    {"WorkloadEntry", "workloadentries", kNetworking, "v1beta1", "we"},
    {"WorkloadGroup", "workloadgroups", kNetworking, "v1beta1", "wg"},
    {"EnvoyFilter", "envoyfilters", kNetworking, "v1alpha3", ""},
    {"ProxyConfig", "proxyconfigs", kNetworking, "v1beta1", ""},
    {"AuthorizationPolicy", "authorizationpolicies", kSecurity, "v1beta1", "ap"},
    {"PeerAuthentication", "peerauthentications", kSecurity, "v1beta1", "pa"},
    {"RequestAuthentication", "requestauthentications", kSecurity, "v1beta1", "ra"},
    {"WasmPlugin", "wasmplugins", "extensions.istio.io", "v1alpha1", ""},
    {"Telemetry", "telemetries", "telemetry.istio.io", "v1alpha1", "telemetry"},
};

template <typename Spec>
void check(const data::Json& object, Issues& issues) {
  const Config<Spec> config = read_config<Spec>(object, issues);
  check_spec(config.meta, config.spec, issues);
}

}  // namespace

std::span<const Kind> kinds() { return kKinds; }

const Kind* find_kind(std::string_view name, std::string_view group) {
  for (const Kind& kind : kKinds) {
    if (kind.kind == name && kind.group == group) return &kind;
  }
  return nullptr;
}

Issues validate(const data::Json& object) {
  Issues issues;
  const std::string_view api_version = data::get_string(object, {"apiVersion"});
  const std::string_view group = api_version.substr(0, api_version.find('/'));
  const std::string_view name = data::get_string(object, {"kind"});
  if (find_kind(name, group) == nullptr) return issues;
  const data::Json* spec = data::find(object, {"spec"});
  if (spec != nullptr && !spec->is_object()) issues.error("spec: must be an object");
  if (name == "VirtualService") check<VirtualService>(object, issues);
  if (name == "DestinationRule") check<DestinationRule>(object, issues);
  if (name == "Gateway") check<Gateway>(object, issues);
  if (name == "ServiceEntry") check<ServiceEntry>(object, issues);
  if (name == "Sidecar") check<Sidecar>(object, issues);
  if (name == "WorkloadEntry") check<WorkloadEntry>(object, issues);
  if (name == "WorkloadGroup") check<WorkloadGroup>(object, issues);
  if (name == "EnvoyFilter") check<EnvoyFilter>(object, issues);
  if (name == "ProxyConfig") check<ProxyConfigSpec>(object, issues);
  if (name == "AuthorizationPolicy") check<AuthorizationPolicy>(object, issues);
  if (name == "PeerAuthentication") check<PeerAuthentication>(object, issues);
  if (name == "RequestAuthentication") check<RequestAuthentication>(object, issues);
  if (name == "WasmPlugin") check<WasmPlugin>(object, issues);
  if (name == "Telemetry") check<Telemetry>(object, issues);
  return issues;
}

}  // namespace lateen::mesh
