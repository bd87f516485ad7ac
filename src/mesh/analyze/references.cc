// What is named and not there: hosts, subsets, gateways, credentials, workloads.
#include <fmt/core.h>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

template <typename Visit>
void each_destination(const VirtualService& spec, Visit visit) {
  for (const HttpRoute& route : spec.http) {
    for (const RouteDestination& to : route.route) visit(to.destination, /*is_mirror=*/false);
    for (const HttpMirror& mirror : route.mirrors) visit(mirror.destination, /*is_mirror=*/true);
  }
  for (const auto* routes : {&spec.tls, &spec.tcp}) {
    for (const L4Route& route : *routes) {
      for (const RouteDestination& to : route.route) visit(to.destination, /*is_mirror=*/false);
    }
  }
}

bool has_subset(const Catalog& catalog, std::string_view host, const std::string& subset) {
  for (const auto& rule : catalog.destination_rules) {
    const std::string own =
        resolve_host(rule.config.spec.host, rule.config.meta.ns, catalog.options.domain);
    if (host_covers(own, host) && rule.config.spec.find_subset(subset) != nullptr) return true;
  }
  return false;
}

void check_destinations(Catalog& catalog, const Analysed<VirtualService>& virtual_service) {
  const std::string& ns = virtual_service.config.meta.ns;
  each_destination(virtual_service.config.spec, [&](const Destination& to, bool is_mirror) {
    const std::string host = resolve_host(to.host, ns, catalog.options.domain);
    if (!catalog.knows_host(host, ns)) {
      catalog.add(virtual_service, "IST0101",
                  fmt::format("Referenced {} not found: \"{}\"", is_mirror ? "mirror host" : "host",
                              to.host));
      return;
    }
    if (!to.subset.empty() && !has_subset(catalog, host, to.subset)) {
      catalog.add(virtual_service, "IST0101",
                  fmt::format("Referenced {}+subset in destinationrule not found: \"{}+{}\"",
                              is_mirror ? "mirror" : "host", to.host, to.subset));
    }
    const auto* service = catalog.find_service(host);
    if (service == nullptr) return;
    if (to.port != 0) {
      if (service->service.find_port(to.port) == nullptr) {
        catalog.add(virtual_service, "IST0101",
                    fmt::format("Referenced host:port not found: \"{}:{}\"", to.host, to.port));
      }
    } else if (service->service.ports.size() > 1) {
      std::vector<std::string> ports;
      for (const ServicePort& port : service->service.ports) {
        ports.push_back(std::to_string(port.number));
      }
      catalog.add(
          virtual_service, "IST0112",
          fmt::format("This VirtualService routes to a service \"{}\" that exposes multiple "
                      "ports [{}]. Specifying a port in the destination is required to "
                      "disambiguate.",
                      to.host, join(ports, " ")));
    }
  });
}

// A server of the gateway has room for that host of a virtual service in `ns`.
bool is_served(const Analysed<Gateway>& gateway, const std::string& host, std::string_view ns) {
  for (const Server& server : gateway.config.spec.servers) {
    for (const std::string& text : server.hosts) {
      const ServerHost own = split_server_host(text, gateway.config.meta.ns);
      if ((own.ns.empty() || own.ns == ns) && hosts_overlap(own.host, host)) return true;
    }
  }
  return false;
}

void check_gateways(Catalog& catalog, const Analysed<VirtualService>& virtual_service) {
  const Meta& meta = virtual_service.config.meta;
  for (const std::string& name : virtual_service.config.spec.gateways) {
    if (name == "mesh") continue;
    const std::string wanted = resolve_gateway(name, meta.ns);
    const Analysed<Gateway>* found = nullptr;
    for (const auto& gateway : catalog.gateways) {
      if (gateway.config.meta.ns + "/" + gateway.config.meta.name == wanted) found = &gateway;
    }
    if (found == nullptr) {
      catalog.add(virtual_service, "IST0101",
                  fmt::format("Referenced gateway not found: \"{}\"", name));
      continue;
    }
    std::vector<std::string> unserved;
    for (const std::string& own : virtual_service.config.spec.hosts) {
      if (!is_served(*found, own, meta.ns)) unserved.push_back(own);
    }
    if (unserved.empty()) continue;
    catalog.add(virtual_service, "IST0132",
                fmt::format("one or more host [{}] defined in VirtualService {} not found in "
                            "Gateway {}.",
                            join(unserved, " "), meta.ns + "/" + meta.name, wanted));
  }
}

bool selects_some_pod(const Catalog& catalog, const Labels& selector, std::string_view ns) {
  for (const auto& pod : catalog.pods) {
    if (!ns.empty() && pod.workload.ns != ns) continue;
    if (selects(selector, pod.workload.labels)) return true;
  }
  // In files there are deployments and no pods yet.
  for (const AnalysisObject* deployment : catalog.deployments) {
    if (!ns.empty() && data::get_string(deployment->value, {"metadata", "namespace"}) != ns)
      continue;
    Labels labels;
    for (const auto& entry :
         data::get_object(deployment->value, {"spec", "template", "metadata", "labels"})) {
      labels.emplace(std::string(entry.key()), std::string(data::as_string(entry.value())));
    }
    if (selects(selector, labels)) return true;
  }
  return false;
}

void check_gateway(Catalog& catalog, const Analysed<Gateway>& gateway) {
  const Gateway& spec = gateway.config.spec;
  const std::string selector = labels_text(spec.selector);
  std::vector<const Workload*> workloads;
  for (const auto& pod : catalog.pods) {
    if (selects(spec.selector, pod.workload.labels)) workloads.push_back(&pod.workload);
  }
  if (workloads.empty() && !selects_some_pod(catalog, spec.selector, "")) {
    // Files alone have no workloads: then nothing can be said.
    const bool can_tell = !catalog.pods.empty() || !catalog.deployments.empty();
    if (can_tell && !spec.selector.empty()) {
      catalog.add(gateway, "IST0101",
                  fmt::format("Referenced selector not found: \"{}\"", selector));
    }
    return;
  }
  for (const Server& server : spec.servers) {
    const int number = static_cast<int>(server.port.number);
    bool is_exposed = workloads.empty();
    for (const Workload* workload : workloads) {
      for (const auto& service : catalog.services) {
        if (service.service.ns != workload->ns || service.service.selector.empty() ||
            !selects(service.service.selector, workload->labels)) {
          continue;
        }
        is_exposed |= service.service.find_port(number) != nullptr;
        for (const ServicePort& port : service.service.ports) is_exposed |= port.target == number;
      }
    }
    if (!is_exposed) {
      catalog.add(gateway, "IST0162",
                  fmt::format("The gateway is listening on a target port (port {}) that is not "
                              "defined in the Service associated with its workload instances (Pod "
                              "selector {}). If you need to access the gateway port through the "
                              "gateway Service, it will not be available.",
                              number, selector));
    }
    if (!server.tls || server.tls->credential_name.empty() || workloads.empty()) continue;
    const std::string& ns = workloads.front()->ns;
    if (catalog.secrets.empty() || catalog.secrets.count({ns, server.tls->credential_name}) > 0) {
      continue;
    }
    catalog.add(
        gateway, "IST0101",
        fmt::format("Referenced credentialName not found: \"{}\"", server.tls->credential_name));
  }
}

template <typename Spec>
void check_selector(Catalog& catalog, const Analysed<Spec>& config, const Labels& selector) {
  if (selector.empty() || catalog.pods.empty()) return;
  const bool is_root = config.config.meta.ns == catalog.options.root_namespace;
  if (selects_some_pod(catalog, selector, is_root ? "" : config.config.meta.ns)) return;
  catalog.add(config, "IST0127",
              fmt::format("No matching workloads for this resource with the following labels: {}",
                          labels_text(selector)));
}

void check_rule(Catalog& catalog, const Analysed<DestinationRule>& rule) {
  const Meta& meta = rule.config.meta;
  const DestinationRule& spec = rule.config.spec;
  const std::string host = resolve_host(spec.host, meta.ns, catalog.options.domain);
  if (!is_wildcard_host(host) && !catalog.knows_host(host, meta.ns)) {
    catalog.add(rule, "IST0174",
                fmt::format("The host {} defined in the DestinationRule does not "
                            "match any services in the mesh.",
                            spec.host));
  }
  const auto* service = catalog.find_service(host);
  for (const Subset& subset : spec.subsets) {
    if (service == nullptr || catalog.pods.empty() || subset.labels.empty()) continue;
    Labels wanted = service->service.selector;
    for (const auto& [key, value] : subset.labels) wanted[key] = value;
    if (wanted.empty() || selects_some_pod(catalog, wanted, service->service.ns)) continue;
    catalog.add(
        rule, "IST0173",
        fmt::format("The Subset {} defined in the DestinationRule does not select any pods. "
                    "Which may lead to 503 UH (NoHealthyUpstream).",
                    subset.name));
  }
  if (!spec.policy) return;
  const auto report = [&](const std::optional<ClientTls>& tls, int port) {
    if (!tls || !tls->ca_certificates.empty() || !tls->credential_name.empty()) return;
    if (tls->mode != ClientTls::Mode::kSimple && tls->mode != ClientTls::Mode::kMutual) return;
    catalog.add(
        rule, port == 0 ? "IST0128" : "IST0129",
        fmt::format("DestinationRule {} in namespace {} has TLS mode set to {} but no "
                    "caCertificates are set to validate server identity for host: {}{}",
                    meta.name, meta.ns, tls->mode == ClientTls::Mode::kSimple ? "SIMPLE" : "MUTUAL",
                    spec.host, port == 0 ? "" : fmt::format(" at port number:{}", port)));
  };
  report(spec.policy->tls, 0);
  for (const PortTrafficPolicy& port : spec.policy->ports) report(port.tls, port.port);
}

void check_policy_namespaces(Catalog& catalog, const Analysed<AuthorizationPolicy>& policy) {
  for (const auto& rule : policy.config.spec.rules) {
    for (const auto& source : rule.from) {
      for (const std::string& ns : source.namespaces) {
        if (catalog.namespaces.empty() || ns.find('*') != std::string::npos) continue;
        if (catalog.namespace_names.count(ns) > 0) continue;
        catalog.add(policy, "IST0101", fmt::format("Referenced namespace not found: \"{}\"", ns));
      }
    }
  }
}

}  // namespace

std::string labels_text(const Labels& labels) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : labels) parts.push_back(key + "=" + value);
  return join(parts, ",");
}

void analyze_references(Catalog& catalog) {
  for (const auto& config : catalog.virtual_services) {
    check_destinations(catalog, config);
    check_gateways(catalog, config);
  }
  for (const auto& config : catalog.gateways) check_gateway(catalog, config);
  for (const auto& config : catalog.destination_rules) check_rule(catalog, config);
  for (const auto& config : catalog.authorization_policies) {
    check_selector(catalog, config, config.config.spec.selector);
    check_policy_namespaces(catalog, config);
  }
  for (const auto& config : catalog.peer_authentications) {
    check_selector(catalog, config, config.config.spec.selector);
  }
  for (const auto& config : catalog.request_authentications) {
    check_selector(catalog, config, config.config.spec.selector);
  }
  for (const auto& config : catalog.sidecars) {
    check_selector(catalog, config, config.config.spec.workload_selector);
  }
  for (const auto& config : catalog.telemetries) {
    check_selector(catalog, config, config.config.spec.selector);
  }
  for (const auto& config : catalog.envoy_filters) {
    check_selector(catalog, config, config.config.spec.workload_selector);
  }
}

}  // namespace lateen::mesh
