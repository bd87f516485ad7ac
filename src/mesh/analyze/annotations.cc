// Istio's annotations: known, in the right place, with a value that can be read.
#include <fmt/core.h>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

enum class Stage : unsigned char { kMature, kAlpha, kDeprecated, kDeprecatedAlpha };
enum class Value : unsigned char { kAny, kFlag, kPorts, kRanges };
struct KnownAnnotation {
  std::string_view name;
  std::string_view kinds;  // comma-separated; "*": any
  Stage stage = Stage::kAlpha;
  Value value = Value::kAny;
};
constexpr KnownAnnotation kAnnotations[] = {
    {"ambient.istio.io/bypass-inbound-capture", "Pod"},
    {"ambient.istio.io/dns-capture", "Pod"},
    {"ambient.istio.io/redirection", "Pod", Stage::kMature},
    {"ambient.istio.io/waypoint-inbound-binding", "GatewayClass,Gateway"},
    {"galley.istio.io/analyze-suppress", "*"},
    {"gateway.istio.io/controller-version", "*"},
    {"gateway.istio.io/name-override", "Gateway"},
    {"gateway.istio.io/service-account", "Gateway"},
    {"inject.istio.io/templates", "Pod"},
    {"istio.io/autoRegistrationGroup", "WorkloadEntry"},
    {"istio.io/connectedAt", "WorkloadEntry"},
    {"istio.io/disconnectedAt", "WorkloadEntry"},
    {"istio.io/dry-run", "AuthorizationPolicy", Stage::kAlpha, Value::kFlag},
    {"istio.io/reroute-virtual-interfaces", "Pod"},
    {"istio.io/rev", "Pod"},
    {"istio.io/use-waypoint-canary-weight", "Service,ServiceEntry,Namespace"},
    {"istio.io/workloadController", "WorkloadEntry"},
    {"networking.istio.io/exportTo", "Service"},
    {"networking.istio.io/service-type", "Gateway"},
    {"networking.istio.io/traffic-distribution", "Namespace,Service,ServiceEntry"},
    {"prometheus.istio.io/merge-metrics", "Pod"},
    {"prometheus.istio.io/secure-port", "Pod"},
    {"proxy.istio.io/config", "Pod", Stage::kMature},
    {"proxy.istio.io/overrides", "Pod"},
    {"readiness.status.sidecar.istio.io/applicationPorts", "Pod"},
    {"readiness.status.sidecar.istio.io/failureThreshold", "Pod"},
    {"readiness.status.sidecar.istio.io/initialDelaySeconds", "Pod"},
    {"readiness.status.sidecar.istio.io/periodSeconds", "Pod"},
    {"sidecar.istio.io/agentLogLevel", "Pod"},
    {"sidecar.istio.io/bootstrapOverride", "Pod"},
    {"sidecar.istio.io/capNetBindService", "Pod"},
    {"sidecar.istio.io/componentLogLevel", "Pod"},
    {"sidecar.istio.io/controlPlaneAuthPolicy", "Pod", Stage::kDeprecatedAlpha},
    {"sidecar.istio.io/discoveryAddress", "Pod", Stage::kDeprecatedAlpha},
    {"sidecar.istio.io/enableCoreDump", "Pod"},
    {"sidecar.istio.io/extraStatTags", "Pod", Stage::kDeprecatedAlpha},
    {"sidecar.istio.io/inject", "Pod", Stage::kDeprecated, Value::kFlag},
    {"sidecar.istio.io/interceptionMode", "Pod"},
    {"sidecar.istio.io/logLevel", "Pod"},
    {"sidecar.istio.io/nativeSidecar", "Pod"},
    {"sidecar.istio.io/proxyCPU", "Pod"},
    {"sidecar.istio.io/proxyCPULimit", "Pod"},
    {"sidecar.istio.io/proxyImage", "Pod"},
    {"sidecar.istio.io/proxyImageType", "Pod"},
    {"sidecar.istio.io/proxyMemory", "Pod"},
    {"sidecar.istio.io/proxyMemoryLimit", "Pod"},
    {"sidecar.istio.io/rewriteAppHTTPProbers", "Pod", Stage::kAlpha, Value::kFlag},
    {"sidecar.istio.io/statsCompression", "Pod", Stage::kDeprecatedAlpha},
    {"sidecar.istio.io/statsEvictionInterval", "Pod"},
    {"sidecar.istio.io/statsFlushInterval", "Pod"},
    {"sidecar.istio.io/statsHistogramBins", "Pod"},
    {"sidecar.istio.io/statsHistogramBuckets", "Pod"},
    {"sidecar.istio.io/statsInclusionPrefixes", "Pod", Stage::kDeprecatedAlpha},
    {"sidecar.istio.io/statsInclusionRegexps", "Pod", Stage::kDeprecatedAlpha},
    {"sidecar.istio.io/statsInclusionSuffixes", "Pod", Stage::kDeprecatedAlpha},
    {"sidecar.istio.io/status", "Pod"},
    {"sidecar.istio.io/userVolume", "Pod"},
    {"sidecar.istio.io/userVolumeMount", "Pod"},
    {"status.sidecar.istio.io/port", "Pod"},
    {"topology.istio.io/controlPlaneClusters", "Namespace"},
    {"traffic.istio.io/nodeSelector", "Service", Stage::kMature},
    {"traffic.sidecar.istio.io/excludeInboundPorts", "Pod", Stage::kAlpha, Value::kPorts},
    {"traffic.sidecar.istio.io/excludeInterfaces", "Pod"},
    {"traffic.sidecar.istio.io/excludeOutboundIPRanges", "Pod", Stage::kAlpha, Value::kRanges},
    {"traffic.sidecar.istio.io/excludeOutboundPorts", "Pod", Stage::kAlpha, Value::kPorts},
    {"traffic.sidecar.istio.io/includeInboundPorts", "Pod", Stage::kAlpha, Value::kPorts},
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", "Pod", Stage::kAlpha, Value::kRanges},
    {"traffic.sidecar.istio.io/includeOutboundPorts", "Pod", Stage::kAlpha, Value::kPorts},
    {"traffic.sidecar.istio.io/kubevirtInterfaces", "Pod", Stage::kDeprecatedAlpha},
    {"alpha.istio.io/canonical-serviceaccounts", "Service", Stage::kDeprecatedAlpha},
    {"alpha.istio.io/kubernetes-serviceaccounts", "Service", Stage::kDeprecatedAlpha},
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

void check_stage(Catalog& catalog, const AnalysisObject& object, const KnownAnnotation& known) {
  constexpr std::string_view kInject = "sidecar.istio.io/inject";
  const bool is_deprecated =
      known.stage == Stage::kDeprecated || known.stage == Stage::kDeprecatedAlpha;
  // Who has the label as well knows.
  const bool is_replaced = known.name == kInject && read_labels(object.value).count(kInject) > 0;
  if (is_deprecated && !is_replaced) {
    catalog.add(
        object, "IST0135",
        fmt::format(
            "Annotation \"{}\" has been deprecated{} and may not work in future "
            "Istio versions.",
            known.name,
            known.name == kInject ? " in favor of the \"sidecar.istio.io/inject\" label" : ""));
  }
  const bool is_alpha = known.stage == Stage::kAlpha || known.stage == Stage::kDeprecatedAlpha;
  if (!is_alpha || !catalog.options.reports_alpha) return;
  catalog.add(object, "IST0136",
              fmt::format("Annotation \"{}\" is part of an alpha-phase feature and may be "
                          "incompletely supported.",
                          known.name));
}

void check_annotations(Catalog& catalog, const AnalysisObject& object, std::string_view kind,
                       const data::JsonObject& annotations) {
  for (const auto& entry : annotations) {
    const std::string_view name = entry.key();
    const std::string_view domain = name.substr(0, name.find('/'));
    if (domain != "istio.io" && !domain.ends_with(".istio.io")) continue;
    // The control plane sets these itself.
    if (name == "sidecar.istio.io/status" || name == "gateway.istio.io/controller-version" ||
        name == "istio.io/rev")
      continue;
    if (domain.find("operator") != std::string_view::npos ||
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
    check_stage(catalog, object, *known);
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
