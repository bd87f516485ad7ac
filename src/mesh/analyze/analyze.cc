#include "mesh/analyze/analyze.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/hostname.h"

namespace lateen::mesh {

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kInfo: return "Info";
    case Level::kWarning: return "Warning";
    case Level::kError: break;
  }
  return "Error";
}

std::string Finding::origin() const {
  std::string out = kind + " " + (ns.empty() ? object : ns + "/" + object);
  if (!file.empty()) {
    out += " " + file;
    if (line > 0) out += ":" + std::to_string(line);
  }
  return out;
}

std::string Finding::to_string() const {
  return std::string(mesh::to_string(level)) + " [" + code + "] (" + origin() + ") " + message;
}

const std::vector<FindingKind>& finding_kinds() {
  static const std::vector<FindingKind> kKinds = {
      {"IST0101", "ReferencedResourceNotFound", Level::kError,
       "A resource being referenced does not exist."},
      {"IST0102", "NamespaceNotInjected", Level::kInfo,
       "A namespace is not enabled for Istio injection."},
      {"IST0103", "PodMissingProxy", Level::kWarning, "A pod is missing the Istio proxy."},
      {"IST0104", "GatewayPortNotOnWorkload", Level::kWarning,
       "A gateway port is not exposed by its workload."},
      {"IST0106", "SchemaValidationError", Level::kError,
       "A resource has a schema validation error."},
      {"IST0107", "MisplacedAnnotation", Level::kWarning,
       "An Istio annotation is applied to the wrong kind of resource."},
      {"IST0108", "UnknownAnnotation", Level::kWarning,
       "An Istio annotation is not recognized for any kind of resource."},
      {"IST0109", "ConflictingMeshGatewayVirtualServiceHosts", Level::kError,
       "Virtual services of the mesh gateway define the same host."},
      {"IST0110", "ConflictingSidecarWorkloadSelectors", Level::kError,
       "Two Sidecars select the same workload."},
      {"IST0111", "MultipleSidecarsWithoutWorkloadSelectors", Level::kError,
       "A namespace has more than one Sidecar without selector."},
      {"IST0112", "VirtualServiceDestinationPortSelectorRequired", Level::kError,
       "A destination has several ports and none is chosen."},
      {"IST0113", "MTLSPolicyConflict", Level::kError,
       "A DestinationRule and a PeerAuthentication disagree about mutual TLS."},
      {"IST0116", "DeploymentAssociatedToMultipleServices", Level::kWarning,
       "A deployment belongs to services that use one port with different protocols."},
      {"IST0117", "DeploymentRequiresServiceAssociated", Level::kWarning,
       "A deployment in the mesh belongs to no service."},
      {"IST0118", "PortNameIsNotUnderNamingConvention", Level::kInfo,
       "A port's name does not say its protocol."},
      {"IST0123", "NamespaceMultipleInjectionLabels", Level::kWarning,
       "A namespace has more than one type of injection label."},
      {"IST0127", "NoMatchingWorkloadsFound", Level::kWarning,
       "No workload matches a resource's labels."},
      {"IST0128", "NoServerCertificateVerificationDestinationLevel", Level::kWarning,
       "A DestinationRule does not verify the server's certificate."},
      {"IST0130", "VirtualServiceUnreachableRule", Level::kWarning,
       "A rule is never used, because an earlier one matches the same."},
      {"IST0131", "VirtualServiceIneffectiveMatch", Level::kInfo,
       "A match repeats one of an earlier rule."},
      {"IST0132", "VirtualServiceHostNotFoundInGateway", Level::kWarning,
       "A virtual service's host is not among its gateway's."},
      {"IST0133", "SchemaWarning", Level::kWarning, "A resource has a schema validation warning."},
      {"IST0134", "ServiceEntryAddressesRequired", Level::kWarning,
       "A TCP service entry needs addresses."},
      {"IST0137", "DeploymentConflictingPorts", Level::kWarning,
       "Services of one deployment map one target port to different ports."},
      {"IST0145", "ConflictingGateways", Level::kError,
       "Gateways of one workload serve the same port and hosts."},
      {"IST0151", "EnvoyFilterUsesRelativeOperation", Level::kWarning,
       "A relative patch without priority may be applied in any order."},
      {"IST0162", "GatewayPortNotDefinedOnService", Level::kWarning,
       "A gateway port is not on the gateway's service."},
      {"IST0173", "DestinationRuleSubsetNotSelectPods", Level::kError, "A subset selects no pods."},
      {"IST0174", "UnknownDestinationRuleHost", Level::kWarning,
       "A DestinationRule's host is no service of the mesh."},
  };
  return kKinds;
}

Catalog::Catalog(const std::vector<AnalysisObject>& objects, const AnalysisOptions& options)
    : options(options), all(objects) {
  for (const AnalysisObject& object : objects) read(object);
}

namespace {

template <typename Spec>
void read_into(const AnalysisObject& object, std::vector<Analysed<Spec>>& out) {
  Issues issues;  // reported by analyze_schemas
  out.push_back({read_config<Spec>(object.value, issues), &object});
}

}  // namespace

void Catalog::read(const AnalysisObject& object) {
  const data::Json& value = object.value;
  const std::string_view kind = data::get_string(value, {"kind"});
  const std::string_view api = data::get_string(value, {"apiVersion"});
  const std::string_view group = api.substr(0, api.find('/'));
  if (group == "networking.istio.io" || group == "security.istio.io" ||
      group == "telemetry.istio.io") {
    if (kind == "VirtualService") read_into(object, virtual_services);
    if (kind == "DestinationRule") read_into(object, destination_rules);
    if (kind == "Gateway") read_into(object, gateways);
    if (kind == "ServiceEntry") read_into(object, service_entries);
    if (kind == "Sidecar") read_into(object, sidecars);
    if (kind == "PeerAuthentication") read_into(object, peer_authentications);
    if (kind == "RequestAuthentication") read_into(object, request_authentications);
    if (kind == "AuthorizationPolicy") read_into(object, authorization_policies);
    if (kind == "EnvoyFilter") read_into(object, envoy_filters);
    if (kind == "Telemetry") read_into(object, telemetries);
    return;
  }
  if (kind == "Service" && api == "v1") {
    services.push_back({service_of_kube(value, options.domain), &object,
                        std::string(data::get_string(value, {"spec", "type"}, "ClusterIP"))});
  } else if (kind == "Pod") {
    pods.push_back({workload_of_pod(value), &object});
  } else if (kind == "Deployment") {
    deployments.push_back(&object);
  } else if (kind == "Namespace") {
    namespaces.push_back(&object);
    namespace_names.emplace(data::get_string(value, {"metadata", "name"}));
  } else if (kind == "Secret") {
    secrets.emplace(data::get_string(value, {"metadata", "namespace"}),
                    data::get_string(value, {"metadata", "name"}));
  } else if (kind == "MutatingWebhookConfiguration") {
    mutating_webhooks.push_back(&object);
  }
}

const Catalog::ServiceObject* Catalog::find_service(std::string_view host) const {
  for (const ServiceObject& service : services) {
    if (service.service.host == host) return &service;
  }
  return nullptr;
}

bool Catalog::knows_host(std::string_view host, std::string_view ns) const {
  for (const ServiceObject& service : services) {
    if (service.service.host != host && !host_covers(host, service.service.host)) continue;
    if (is_exported_to(service.service.export_to, service.service.ns, ns)) return true;
  }
  for (const auto& entry : service_entries) {
    if (!is_exported_to(entry.config.spec.export_to, entry.config.meta.ns, ns)) continue;
    for (const std::string& own : entry.config.spec.hosts) {
      if (hosts_overlap(own, host)) return true;
    }
  }
  return false;
}

void Catalog::add(const Meta& meta, const AnalysisObject& source, std::string_view code,
                  std::string message) {
  const auto suppressed = label_of(meta.annotations, "galley.istio.io/analyze-suppress");
  for (const std::string_view item : split(suppressed, ',')) {
    if (trim(item) == "*" || trim(item) == code) return;
  }
  const std::string_view subject_ns =
      meta.kind == "Namespace" ? std::string_view(meta.name) : std::string_view(meta.ns);
  if (!options.namespace_only.empty() && !subject_ns.empty() &&
      subject_ns != options.namespace_only) {
    return;
  }
  Finding finding;
  finding.code = code;
  for (const FindingKind& kind : finding_kinds()) {
    if (kind.code != code) continue;
    finding.name = kind.name;
    finding.level = kind.level;
  }
  finding.kind = meta.kind;
  finding.ns = meta.ns;
  finding.object = meta.name;
  finding.file = source.file;
  finding.line = source.line;
  finding.message = std::move(message);
  findings_.push_back(std::move(finding));
}

void Catalog::add(const AnalysisObject& source, std::string_view code, std::string message) {
  add(read_meta(source.value), source, code, std::move(message));
}

std::vector<Finding> Catalog::take() {
  const auto key = [](const Finding& f) {
    return std::tie(f.kind, f.ns, f.object, f.code, f.message);
  };
  std::sort(findings_.begin(), findings_.end(),
            [&](const Finding& a, const Finding& b) { return key(a) < key(b); });
  findings_.erase(std::unique(findings_.begin(), findings_.end(),
                              [&](const Finding& a, const Finding& b) { return key(a) == key(b); }),
                  findings_.end());
  return std::move(findings_);
}

std::vector<Finding> analyze(const std::vector<AnalysisObject>& objects,
                             const AnalysisOptions& options) {
  Catalog catalog(objects, options);
  analyze_schemas(catalog);
  analyze_references(catalog);
  analyze_conflicts(catalog);
  analyze_virtual_services(catalog);
  analyze_workloads(catalog);
  return catalog.take();
}

}  // namespace lateen::mesh
