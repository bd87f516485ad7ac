// Istio's annotations: known, in the right place, with a value that can be read.
#include <fmt/core.h>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

struct KnownAnnotation {
  std::string_view name;
  std::string_view kinds;  // comma-separated
  enum class Value : unsigned char { kAny, kFlag, kPorts, kRanges } value = Value::kAny;
};
using Value = KnownAnnotation::Value;
constexpr KnownAnnotation kAnnotations[] = {
    {"sidecar.istio.io/inject", "Pod", Value::kFlag},
    {"sidecar.istio.io/status", "Pod"},
    {"sidecar.istio.io/proxyImage", "Pod"},
    {"sidecar.istio.io/proxyImageType", "Pod"},
    {"sidecar.istio.io/proxyCPU", "Pod"},
    {"sidecar.istio.io/proxyCPULimit", "Pod"},
    {"sidecar.istio.io/proxyMemory", "Pod"},
    {"sidecar.istio.io/proxyMemoryLimit", "Pod"},
    {"sidecar.istio.io/interceptionMode", "Pod"},
    {"sidecar.istio.io/bootstrapOverride", "Pod"},
    {"sidecar.istio.io/controlPlaneAuthPolicy", "Pod"},
    {"sidecar.istio.io/discoveryAddress", "Pod"},
    {"sidecar.istio.io/rewriteAppHTTPProbers", "Pod", Value::kFlag},
    {"sidecar.istio.io/statsInclusionPrefixes", "Pod"},
    {"sidecar.istio.io/statsInclusionSuffixes", "Pod"},
    {"sidecar.istio.io/statsInclusionRegexps", "Pod"},
    {"sidecar.istio.io/extraStatTags", "Pod"},
    {"sidecar.istio.io/statsHistogramBuckets", "Pod"},
    {"sidecar.istio.io/userVolume", "Pod"},
    {"sidecar.istio.io/userVolumeMount", "Pod"},
    {"sidecar.istio.io/logLevel", "Pod"},
    {"sidecar.istio.io/componentLogLevel", "Pod"},
    {"sidecar.istio.io/agentLogLevel", "Pod"},
    {"sidecar.istio.io/enableCoreDump", "Pod"},
    {"sidecar.istio.io/nativeSidecar", "Pod"},
    {"sidecar.istio.io/capNetBindService", "Pod"},
    {"status.sidecar.istio.io/port", "Pod"},
    {"readiness.status.sidecar.istio.io/initialDelaySeconds", "Pod"},
    {"readiness.status.sidecar.istio.io/periodSeconds", "Pod"},
    {"readiness.status.sidecar.istio.io/failureThreshold", "Pod"},
    {"readiness.status.sidecar.istio.io/applicationPorts", "Pod"},
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", "Pod", Value::kRanges},
    {"traffic.sidecar.istio.io/excludeOutboundIPRanges", "Pod", Value::kRanges},
    {"traffic.sidecar.istio.io/includeInboundPorts", "Pod", Value::kPorts},
    {"traffic.sidecar.istio.io/excludeInboundPorts", "Pod", Value::kPorts},
    {"traffic.sidecar.istio.io/includeOutboundPorts", "Pod", Value::kPorts},
    {"traffic.sidecar.istio.io/excludeOutboundPorts", "Pod", Value::kPorts},
    {"traffic.sidecar.istio.io/excludeInterfaces", "Pod"},
    {"traffic.sidecar.istio.io/kubevirtInterfaces", "Pod"},
    {"proxy.istio.io/config", "Pod"},
    {"proxy.istio.io/overrides", "Pod"},
    {"inject.istio.io/templates", "Pod"},
    {"prometheus.istio.io/merge-metrics", "Pod"},
    {"prometheus.istio.io/secure-port", "Pod"},
    {"istio.io/rev", "Pod,Namespace"},
    {"istio.io/dry-run", "AuthorizationPolicy", Value::kFlag},
    {"networking.istio.io/exportTo", "Service"},
    {"networking.istio.io/traffic-distribution", "Service"},
    {"networking.istio.io/service-type", "Gateway,GatewayClass"},
    {"traffic.istio.io/nodeSelector", "Service"},
    {"alpha.istio.io/kubernetes-serviceaccounts", "Service"},
    {"alpha.istio.io/canonical-serviceaccounts", "Service"},
    {"topology.istio.io/controlPlaneClusters", "Namespace"},
    {"galley.istio.io/analyze-suppress", "*"},
    {"ambient.istio.io/redirection", "Pod"},
};

// Says what is wrong with the value, or "".
std::string find_problem(const KnownAnnotation& known, std::string_view value) {
  const auto each = [&](auto is_valid) -> std::string {
    if (value.empty() || value == "*") return "";
    for (const std::string_view item : split(value, ',')) {
      if (!is_valid(trim(item))) return std::string(trim(item));
    }
    return "";
  };
  switch (known.value) {
    case Value::kAny: return "";
    case Value::kFlag:
      return value == "true" || value == "false"
                 ? ""
                 : "strconv.ParseBool: parsing \"" + std::string(value) + "\": invalid syntax";
    case Value::kPorts: {
      const std::string wrong = each([](std::string_view item) {
        const auto port = parse_uint(item);
        return port && *port <= 65535;
      });
      return wrong.empty() ? "" : "portList \"" + wrong + "\" is not a valid port";
    }
    case Value::kRanges: {
      const std::string wrong = each([](std::string_view item) { return is_cidr_or_ip(item); });
      return wrong.empty() ? "" : "invalid CIDR address: " + wrong;
    }
  }
  return "";
}

void check_annotations(Catalog& catalog, const AnalysisObject& object, std::string_view kind,
                       const data::JsonObject& annotations) {
  for (const auto& entry : annotations) {
    const std::string_view name = entry.key();
    const std::string_view domain = name.substr(0, name.find('/'));
    if (domain != "istio.io" && !domain.ends_with(".istio.io")) continue;
    if (domain.find("operator") != std::string_view::npos ||
        domain.find("gateway") != std::string_view::npos ||
        domain.find("install") != std::string_view::npos) {
      continue;
    }
    const KnownAnnotation* known = nullptr;
    for (const KnownAnnotation& candidate : kAnnotations) {
      if (candidate.name == name) known = &candidate;
    }
    if (known == nullptr) {
      catalog.add(object, "IST0108", fmt::format("Unknown annotation: {}", name));
      continue;
    }
    bool fits = known->kinds == "*";
    for (const std::string_view allowed : split(known->kinds, ',')) fits |= allowed == kind;
    if (!fits) {
      catalog.add(
          object, "IST0107",
          fmt::format("Misplaced annotation: {} can only be applied to {}", name, known->kinds));
      continue;
    }
    const std::string problem = find_problem(*known, data::as_string(entry.value()));
    if (!problem.empty()) {
      catalog.add(object, "IST0125", fmt::format("Invalid annotation {}: {}", name, problem));
    }
  }
}

}  // namespace

void analyze_annotations(Catalog& catalog) {
  for (const AnalysisObject& object : catalog.all) {
    const std::string_view kind = data::get_string(object.value, {"kind"});
    const std::string_view ns = data::get_string(object.value, {"metadata", "namespace"});
    if (is_system_namespace(catalog, ns)) continue;
    if (kind != "Pod" && kind != "Deployment" && kind != "Service" && kind != "Namespace") continue;
    check_annotations(catalog, object, kind,
                      data::get_object(object.value, {"metadata", "annotations"}));
    if (kind == "Deployment") {
      check_annotations(
          catalog, object, "Pod",
          data::get_object(object.value, {"spec", "template", "metadata", "annotations"}));
    }
  }
}

}  // namespace lateen::mesh
