// Namespaces, pods, deployments, services: injection labels, missing proxies, ports, annotations.
#include <fmt/core.h>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/kinds.h"

namespace lateen::mesh {
namespace {

using data::get_string;

bool is_system(const Catalog& catalog, std::string_view ns) {
  return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease" ||
         ns == "local-path-storage" || ns == catalog.options.root_namespace ||
         ns == "istio-operator";
}

struct Injection {
  bool is_labelled = false;  // anything said about it
  bool is_enabled = false;
};

Injection injection_of(const data::Json& ns) {
  const Labels labels = read_labels(ns);
  const std::string_view value = label_of(labels, "istio-injection");
  const std::string_view revision = label_of(labels, "istio.io/rev");
  const bool is_ambient = label_of(labels, "istio.io/dataplane-mode") == "ambient";
  return {!value.empty() || !revision.empty() || is_ambient,
          value == "enabled" || (value.empty() && !revision.empty())};
}

void check_namespaces(Catalog& catalog) {
  for (const AnalysisObject* object : catalog.namespaces) {
    const std::string name(get_string(object->value, {"metadata", "name"}));
    if (is_system(catalog, name)) continue;
    const Labels labels = read_labels(object->value);
    if (labels.count("istio-injection") > 0 && labels.count("istio.io/rev") > 0) {
      catalog.add(*object, "IST0123",
                  "The namespace has more than one type of injection labels [istio-injection "
                  "istio.io/rev], which may lead to undefined behavior. Make sure only one "
                  "injection label exists.");
      continue;
    }
    if (injection_of(object->value).is_labelled) continue;
    catalog.add(
        *object, "IST0102",
        fmt::format("The namespace is not enabled for Istio injection. Run 'kubectl label "
                    "namespace {0} istio-injection=enabled' to enable it, or 'kubectl label "
                    "namespace {0} istio-injection=disabled' to explicitly mark it as not "
                    "needing injection.",
                    name));
  }
}

bool has_container(const data::Json& pod, std::string_view name) {
  for (const std::string_view kind : {"containers", "initContainers"}) {
    for (const data::Json& item : data::get_array(pod, {"spec", kind})) {
      if (get_string(item, {"name"}) == name) return true;
    }
  }
  return false;
}

void check_pods(Catalog& catalog) {
  std::set<std::string> injected;
  for (const AnalysisObject* object : catalog.namespaces) {
    if (injection_of(object->value).is_enabled) {
      injected.emplace(get_string(object->value, {"metadata", "name"}));
    }
  }
  for (const auto& pod : catalog.pods) {
    const data::Json& value = pod.source->value;
    if (injected.count(pod.workload.ns) == 0 || is_system(catalog, pod.workload.ns)) continue;
    const Meta meta = read_meta(value);
    std::string_view wanted = label_of(meta.labels, "sidecar.istio.io/inject");
    if (wanted.empty()) wanted = label_of(meta.annotations, "sidecar.istio.io/inject");
    if (wanted == "false" || pod.workload.is_host_network) continue;
    const std::string_view phase = get_string(value, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed") continue;
    if (has_container(value, "istio-proxy")) continue;
    catalog.add(*pod.source, "IST0103",
                fmt::format("The pod {} is missing the Istio proxy. This can often be resolved by "
                            "restarting or redeploying the workload.",
                            pod.workload.ns + "/" + pod.workload.name));
  }
}

void check_services(Catalog& catalog) {
  for (const auto& service : catalog.services) {
    if (is_system(catalog, service.service.ns)) continue;
    for (const ServicePort& port : service.service.ports) {
      if (port.protocol != Protocol::kUnsupported) continue;
      const std::string target =
          port.target_name.empty() ? std::to_string(port.target) : port.target_name;
      catalog.add(*service.source, "IST0118",
                  fmt::format("Port name {} (port: {}, targetPort: {}) doesn't follow the naming "
                              "convention of Istio port.",
                              port.name, port.number, target));
    }
  }
}

Labels template_labels(const data::Json& deployment) {
  Labels labels;
  for (const auto& entry :
       data::get_object(deployment, {"spec", "template", "metadata", "labels"})) {
    labels.emplace(std::string(entry.key()), std::string(data::as_string(entry.value())));
  }
  return labels;
}

void check_deployment(Catalog& catalog, const AnalysisObject& deployment) {
  const Meta meta = read_meta(deployment.value);
  const Labels labels = template_labels(deployment.value);
  struct Use {
    std::string service;
    const ServicePort* port;
  };
  std::map<int, std::vector<Use>> by_target, by_port;
  for (const auto& service : catalog.services) {
    const Service& own = service.service;
    if (own.ns != meta.ns || own.selector.empty() || !selects(own.selector, labels)) continue;
    for (const ServicePort& port : own.ports) {
      if (port.target != 0) by_target[port.target].push_back({own.name, &port});
      by_port[port.number].push_back({own.name, &port});
    }
  }
  const std::string name = meta.ns + "/" + meta.name;
  for (const auto& [port, uses] : by_port) {
    bool is_mixed = false;
    std::vector<std::string> services;
    for (const Use& use : uses) {
      is_mixed |= use.port->protocol != uses.front().port->protocol;
      services.push_back(use.service);
    }
    if (!is_mixed) continue;
    catalog.add(deployment, "IST0116",
                fmt::format("This deployment {} is associated with multiple services using port {} "
                            "but different protocols: [{}]",
                            name, port, join(services, " ")));
  }
  for (const auto& [target, uses] : by_target) {
    std::set<int> ports;
    std::vector<std::string> services, numbers;
    for (const Use& use : uses) {
      services.push_back(use.service);
      if (ports.insert(use.port->number).second)
        numbers.push_back(std::to_string(use.port->number));
    }
    std::set<std::string> distinct(services.begin(), services.end());
    if (ports.size() < 2 || distinct.size() < 2) continue;
    catalog.add(deployment, "IST0137",
                fmt::format("This deployment {} is associated with multiple services [{}] using "
                            "targetPort \"{}\" but different ports: [{}].",
                            name, join(services, " "), target, join(numbers, " ")));
  }
}

struct KnownAnnotation {
  std::string_view name;
  std::string_view kinds;  // comma-separated
};
constexpr KnownAnnotation kAnnotations[] = {
    {"sidecar.istio.io/inject", "Pod"},
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
    {"sidecar.istio.io/rewriteAppHTTPProbers", "Pod"},
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
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", "Pod"},
    {"traffic.sidecar.istio.io/excludeOutboundIPRanges", "Pod"},
    {"traffic.sidecar.istio.io/includeInboundPorts", "Pod"},
    {"traffic.sidecar.istio.io/excludeInboundPorts", "Pod"},
    {"traffic.sidecar.istio.io/includeOutboundPorts", "Pod"},
    {"traffic.sidecar.istio.io/excludeOutboundPorts", "Pod"},
    {"traffic.sidecar.istio.io/excludeInterfaces", "Pod"},
    {"traffic.sidecar.istio.io/kubevirtInterfaces", "Pod"},
    {"proxy.istio.io/config", "Pod"},
    {"proxy.istio.io/overrides", "Pod"},
    {"inject.istio.io/templates", "Pod"},
    {"prometheus.istio.io/merge-metrics", "Pod"},
    {"prometheus.istio.io/secure-port", "Pod"},
    {"istio.io/rev", "Pod,Namespace"},
    {"istio.io/dry-run", "AuthorizationPolicy"},
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
    }
  }
}

void check_all_annotations(Catalog& catalog) {
  for (const AnalysisObject& object : catalog.all) {
    const std::string_view kind = get_string(object.value, {"kind"});
    const std::string_view ns = get_string(object.value, {"metadata", "namespace"});
    if (is_system(catalog, ns)) continue;
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

void check_service_entries(Catalog& catalog) {
  for (const auto& config : catalog.service_entries) {
    const ServiceEntry& spec = config.config.spec;
    if (!spec.addresses.empty()) continue;
    for (const ServiceEntry::Port& port : spec.ports) {
      const Protocol protocol = parse_protocol(port.protocol);
      if (protocol != Protocol::kTcp && !port.protocol.empty()) continue;
      catalog.add(config, "IST0134", "ServiceEntry addresses are required for this protocol.");
    }
  }
}

}  // namespace

void analyze_workloads(Catalog& catalog) {
  check_namespaces(catalog);
  check_pods(catalog);
  check_services(catalog);
  for (const AnalysisObject* deployment : catalog.deployments) {
    check_deployment(catalog, *deployment);
  }
  check_all_annotations(catalog);
  check_service_entries(catalog);
}

void analyze_schemas(Catalog& catalog) {
  for (const AnalysisObject& object : catalog.all) {
    const Issues issues = validate(object.value);
    for (const std::string& error : issues.errors) {
      catalog.add(object, "IST0106", "Schema validation error: " + error);
    }
    for (const std::string& warning : issues.warnings) {
      // Unreachable rules have a code of their own.
      if (warning.find("never used") != std::string::npos) continue;
      catalog.add(object, "IST0133", "Schema validation warning: " + warning);
    }
  }
}

}  // namespace lateen::mesh
