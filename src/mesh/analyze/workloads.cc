// Namespaces, pods, deployments, services: injection labels, missing proxies, ports.
#include <fmt/core.h>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/kinds.h"

namespace lateen::mesh {
namespace {

using data::get_string;

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

bool is_injected_by_default(const Catalog& catalog) {
  for (const AnalysisObject* map : catalog.config_maps) {
    if (get_string(map->value, {"metadata", "name"}) != "istio-sidecar-injector") continue;
    const auto values = data::parse_json(get_string(map->value, {"data", "values"}));
    if (values && data::get_bool(*values, {"sidecarInjectorWebhook", "enableNamespacesByDefault"}))
      return true;
  }
  return false;
}

void check_namespaces(Catalog& catalog) {
  for (const AnalysisObject* object : catalog.namespaces) {
    const std::string name(get_string(object->value, {"metadata", "name"}));
    if (is_system_namespace(catalog, name)) continue;
    const Labels labels = read_labels(object->value);
    if (labels.count("istio-injection") > 0 && labels.count("istio.io/rev") > 0) {
      catalog.add(*object, "IST0123",
                  "The namespace has more than one type of injection labels [istio-injection "
                  "istio.io/rev], which may lead to undefined behavior. Make sure only one "
                  "injection label exists.");
      continue;
    }
    if (injection_of(object->value).is_labelled) continue;
    if (is_injected_by_default(catalog)) {
      catalog.add(*object, "IST0148",
                  "is enabled for Istio injection, as Istio is installed with "
                  "enableNamespacesByDefault as true.");
      continue;
    }
    catalog.add(
        *object, "IST0102",
        fmt::format("The namespace is not enabled for Istio injection. Run 'kubectl label "
                    "namespace {0} istio-injection=enabled' to enable it, or 'kubectl label "
                    "namespace {0} istio-injection=disabled' to explicitly mark it as not "
                    "needing injection.",
                    name),
        "metadata.name");
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

void check_user(Catalog& catalog, const AnalysisObject& pod) {
  if (!has_container(pod.value, "istio-proxy")) return;
  for (const data::Json& container : data::get_array(pod.value, {"spec", "containers"})) {
    const bool is_reserved = get_string(container, {"name"}) != "istio-proxy" &&
                             data::get_int(container, {"securityContext", "runAsUser"}) == 1337;
    if (!is_reserved) continue;
    catalog.add(pod, "IST0144", "User ID (UID) 1337 is reserved for the sidecar proxy.");
  }
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
    check_user(catalog, *pod.source);
    if (injected.count(pod.workload.ns) == 0 || is_system_namespace(catalog, pod.workload.ns))
      continue;
    const Meta meta = read_meta(value);
    std::string_view wanted = label_of(meta.labels, "sidecar.istio.io/inject");
    if (wanted.empty()) wanted = label_of(meta.annotations, "sidecar.istio.io/inject");
    if (wanted == "false" || pod.workload.is_host_network) continue;
    const std::string_view phase = get_string(value, {"status", "phase"});
    const bool is_deleting = data::find(value, {"metadata", "deletionTimestamp"}) != nullptr;
    if (phase == "Succeeded" || phase == "Failed" || is_deleting) continue;
    if (has_container(value, "istio-proxy")) continue;
    catalog.add(*pod.source, "IST0103",
                fmt::format("The pod {} is missing the Istio proxy. This can often be resolved by "
                            "restarting or redeploying the workload.",
                            pod.workload.ns + "/" + pod.workload.name));
  }
}

// "tcp" and the like are read as what they are; only a port that says nothing is worth a word.
bool is_named_by_convention(std::string_view name) {
  const std::string_view prefix = name.substr(0, name.find('-'));
  return parse_protocol(prefix) != Protocol::kUnsupported;
}

void check_services(Catalog& catalog) {
  for (const auto& service : catalog.services) {
    if (is_system_namespace(catalog, service.service.ns)) continue;
    if (service.service.ns == "default" && service.service.name == "kubernetes") continue;
    if (!service.service.external_name.empty()) {
      for (const ServicePort& port : service.service.ports) {
        if (port.protocol != Protocol::kTcp && port.protocol != Protocol::kUnsupported) continue;
        catalog.add(*service.source, "IST0150",
                    "Port name for ExternalName service is invalid. Proxy may prevent tcp named "
                    "ports and unmatched traffic for ports serving TCP protocol from being "
                    "forwarded correctly");
      }
      continue;
    }
    for (const ServicePort& port : service.service.ports) {
      if (port.protocol != Protocol::kUnsupported || is_named_by_convention(port.name)) continue;
      const std::string target =
          port.target_name.empty() ? std::to_string(port.target) : port.target_name;
      catalog.add(*service.source, "IST0118",
                  fmt::format("Port name {} (port: {}, targetPort: {}) doesn't follow the naming "
                              "convention of Istio port.",
                              port.name, port.number, target),
                  fmt::format("spec.ports[{}].port", &port - service.service.ports.data()));
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
                            name, port, join(services, " ")),
                "metadata.name");
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
                            name, join(services, " "), target, join(numbers, " ")),
                "metadata.name");
  }
}

void check_service_entries(Catalog& catalog) {
  for (const auto& config : catalog.service_entries) {
    const ServiceEntry& spec = config.config.spec;
    if (!spec.addresses.empty()) continue;
    for (const ServiceEntry::Port& port : spec.ports) {
      const Protocol protocol = parse_protocol(port.protocol);
      if (protocol != Protocol::kTcp && !port.protocol.empty()) continue;
      catalog.add(config, "IST0134", "ServiceEntry addresses are required for this protocol.",
                  fmt::format("spec.ports[{}].name", &port - spec.ports.data()));
      break;
    }
  }
}

}  // namespace

bool is_system_namespace(const Catalog& catalog, std::string_view ns) {
  return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease" ||
         ns == "local-path-storage" || ns == catalog.options.root_namespace ||
         ns == "istio-operator";
}

void analyze_workloads(Catalog& catalog) {
  check_namespaces(catalog);
  check_pods(catalog);
  check_services(catalog);
  for (const AnalysisObject* deployment : catalog.deployments) {
    check_deployment(catalog, *deployment);
  }
  analyze_annotations(catalog);
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
    if (get_string(object.value, {"kind"}) == "EnvoyFilter") {
      catalog.add(
          object, "IST0133",
          "Schema validation warning: EnvoyFilter exposes internal implementation details "
          "that may change at any time. Prefer other APIs if possible, and exercise extreme "
          "caution, especially around upgrades.");
    }
  }
}

}  // namespace lateen::mesh
