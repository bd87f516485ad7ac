// What is named and not there: hosts, subsets, gateways, credentials, workloads.
#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

template <typename Visit>
void each_destination(const Analysed<VirtualService>& from, Visit visit) {
  const VirtualService& spec = from.config.spec;
  const auto& written = data::get_array(from.source->value, {"spec", "http"});
  for (std::size_t i = 0; i < spec.http.size(); ++i) {
    const HttpRoute& route = spec.http[i];
    for (std::size_t j = 0; j < route.route.size(); ++j)
      visit(route.route[j].destination, false,
            fmt::format("spec.http[{}].route[{}].destination.host", i, j));
    const bool is_single = i < written.size() && data::find(written[i], {"mirror"}) != nullptr;
    for (std::size_t j = 0; j < route.mirrors.size(); ++j)
      visit(route.mirrors[j].destination, /*is_mirror=*/true,
            is_single ? fmt::format("spec.http[{}].mirror.host", i)
                      : fmt::format("spec.http[{}].mirrors[{}].host", i, j));
  }
  for (const auto& [name, routes] : {std::pair("tls", &spec.tls), std::pair("tcp", &spec.tcp)}) {
    for (std::size_t i = 0; i < routes->size(); ++i) {
      for (std::size_t j = 0; j < (*routes)[i].route.size(); ++j)
        visit((*routes)[i].route[j].destination, false,
              fmt::format("spec.{}[{}].route[{}].destination.host", name, i, j));
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
  each_destination(
      virtual_service, [&](const Destination& to, bool is_mirror, const std::string& path) {
        const std::string host = resolve_host(to.host, ns, catalog.options.domain);
        if (!catalog.knows_host(host, ns)) {
          catalog.add(virtual_service, "IST0101",
                      fmt::format("Referenced {} not found: \"{}\"",
                                  is_mirror ? "mirror host" : "host", to.host),
                      path);
        }
        if (!to.subset.empty() && !has_subset(catalog, host, to.subset)) {
          catalog.add(virtual_service, "IST0101",
                      fmt::format("Referenced {}+subset in destinationrule not found: \"{}+{}\"",
                                  is_mirror ? "mirror" : "host", to.host, to.subset),
                      path);
        }
        const auto* service = catalog.find_service(host);
        if (service == nullptr) return;
        if (to.port != 0) {
          if (service->service.find_port(to.port) == nullptr) {
            catalog.add(virtual_service, "IST0101",
                        fmt::format("Referenced host:port not found: \"{}:{}\"", to.host, to.port),
                        path);
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
                          to.host, join(ports, " ")),
              path);
        }
      });
}

// A subset that sidecars choose for a host: at a gateway it is not chosen, whose routes name none.
void check_ingress_subsets(Catalog& catalog) {
  for (const auto& at_gateway : catalog.virtual_services) {
    if (at_gateway.config.spec.gateways.empty()) continue;
    int index = 0;
    for (const HttpRoute& route : at_gateway.config.spec.http) {
      const int rule = index++;
      for (std::size_t i = 0; i < route.route.size(); ++i) {
        const Destination& to = route.route[i].destination;
        if (!to.subset.empty()) continue;
        for (const auto& inside : catalog.virtual_services) {
          const auto& hosts = inside.config.spec.hosts;
          if (std::find(hosts.begin(), hosts.end(), to.host) == hosts.end()) continue;
          const bool has_subset = std::any_of(
              inside.config.spec.http.begin(), inside.config.spec.http.end(), [&](const auto& own) {
                return std::any_of(own.route.begin(), own.route.end(), [&](const auto& each) {
                  return !each.destination.subset.empty() && each.destination.host == to.host;
                });
              });
          if (!has_subset) continue;
          catalog.add(at_gateway, "IST0140",
                      fmt::format("Subset in virtual service {} has no effect on ingress gateway "
                                  "{} requests",
                                  full_name(inside.config.meta), full_name(at_gateway.config.meta)),
                      fmt::format("spec.http[{}].route[{}].destination.host", rule, i));
        }
      }
    }
  }
}

bool is_kubernetes_gateway(const data::Json& object) {
  return data::get_string(object, {"kind"}) == "Gateway" &&
         data::get_string(object, {"apiVersion"}).starts_with("gateway.networking.k8s.io/");
}

bool has_listener_for(const data::Json& gateway, const std::string& host) {
  for (const data::Json& listener : data::get_array(gateway, {"spec", "listeners"})) {
    const auto own = data::get_string(listener, {"hostname"});
    if (own.empty() || host_covers(own, host)) return true;
  }
  return false;
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
  int index = -1;
  for (const std::string& name : virtual_service.config.spec.gateways) {
    const std::string path = fmt::format("spec.gateways[{}]", ++index);
    if (name == "mesh") continue;
    // What the control plane makes of the Gateway API is named in a finding of its own.
    if (name.find("istio-autogenerated-k8s-gateway") != std::string::npos) continue;
    std::string wanted = resolve_gateway(name, meta.ns);
    if (wanted.starts_with("/")) wanted.erase(0, 1);  // of what is in no namespace
    const auto& hosts = virtual_service.config.spec.hosts;
    bool exists = false, is_any_served = false;
    for (const auto& gateway : catalog.gateways) {
      if (full_name(gateway.config.meta) != wanted) continue;
      exists = true;
      is_any_served |= std::any_of(hosts.begin(), hosts.end(), [&](const auto& own) {
        return is_served(gateway, own, meta.ns);
      });
    }
    for (const AnalysisObject& object : catalog.all) {
      if (!is_kubernetes_gateway(object.value) || full_name(read_meta(object.value)) != wanted)
        continue;
      exists = true;
      is_any_served |= std::any_of(hosts.begin(), hosts.end(), [&](const auto& own) {
        return has_listener_for(object.value, own);
      });
    }
    if (!exists) {
      catalog.add(virtual_service, "IST0101",
                  fmt::format("Referenced gateway not found: \"{}\"", name), path);
    }
    if (is_any_served) continue;
    catalog.add(virtual_service, "IST0132",
                fmt::format("one or more host [{}] defined in VirtualService {} not found in "
                            "Gateway {}.",
                            join(hosts, " "), full_name(meta), wanted),
                path);
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
  const std::string path =
      "spec.selector." + (spec.selector.empty() ? std::string() : spec.selector.begin()->first);
  std::vector<const Workload*> workloads;
  for (const auto& pod : catalog.pods) {
    if (selects(spec.selector, pod.workload.labels)) workloads.push_back(&pod.workload);
  }
  if (workloads.empty() && !selects_some_pod(catalog, spec.selector, "")) {
    // Files alone have no workloads: then nothing can be said.
    const bool can_tell = !catalog.pods.empty() || !catalog.deployments.empty();
    if (can_tell && !spec.selector.empty()) {
      catalog.add(gateway, "IST0101",
                  fmt::format("Referenced selector not found: \"{}\"", selector), path);
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
                              number, selector),
                  path);
    }
    if (!server.tls || server.tls->credential_name.empty() || workloads.empty()) continue;
    const std::string& ns = workloads.front()->ns;
    if (catalog.secrets.empty() || catalog.secrets.count({ns, server.tls->credential_name}) > 0) {
      continue;
    }
    catalog.add(
        gateway, "IST0101",
        fmt::format("Referenced credentialName not found: \"{}\"", server.tls->credential_name),
        fmt::format("spec.servers[{}].tls.credentialName", &server - spec.servers.data()));
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
  const auto report = [&](const std::optional<ClientTls>& tls, int port, const std::string& path) {
    if (!tls || !tls->ca_certificates.empty()) return;
    // Sidecars take a credential by name only where the rule says for which workloads it is.
    if (!tls->credential_name.empty() && !spec.workload_selector.empty()) return;
    if (tls->mode != ClientTls::Mode::kSimple && tls->mode != ClientTls::Mode::kMutual) return;
    catalog.add(
        rule, port == 0 ? "IST0128" : "IST0129",
        fmt::format("DestinationRule {} in namespace {} has TLS mode set to {} but no "
                    "caCertificates are set to validate server identity for host: {}{}",
                    meta.name, meta.ns, tls->mode == ClientTls::Mode::kSimple ? "SIMPLE" : "MUTUAL",
                    spec.host, port == 0 ? "" : fmt::format(" at port number:{}", port)),
        path);
  };
  report(spec.policy->tls, 0, "spec.trafficPolicy.tls.caCertificates");
  int index = 0;
  for (const PortTrafficPolicy& port : spec.policy->ports)
    report(port.tls, port.port,
           fmt::format("spec.trafficPolicy.portLevelSettings[{}].tls.caCertificates", index++));
}

// By name, by prefix ("prod-*") or by suffix.
bool is_known_namespace(const Catalog& catalog, std::string_view pattern) {
  if (pattern == "*") return true;
  return std::any_of(catalog.namespace_names.begin(), catalog.namespace_names.end(),
                     [&](const std::string& name) {
                       if (pattern.starts_with("*")) return name.ends_with(pattern.substr(1));
                       if (pattern.ends_with("*"))
                         return name.starts_with(pattern.substr(0, pattern.size() - 1));
                       return iequals(name, pattern);
                     });
}

void check_policy_namespaces(Catalog& catalog, const Analysed<AuthorizationPolicy>& policy) {
  for (const auto& rule : policy.config.spec.rules) {
    for (const auto& source : rule.from) {
      for (const auto* names : {&source.namespaces, &source.not_namespaces}) {
        for (const std::string& ns : *names) {
          if (catalog.namespaces.empty() || is_known_namespace(catalog, ns)) continue;
          catalog.add(policy, "IST0101", fmt::format("Referenced namespace not found: \"{}\"", ns),
                      fmt::format("spec.rules[{}].from[{}].source.namespaces[{}]",
                                  &rule - policy.config.spec.rules.data(),
                                  &source - rule.from.data(), &ns - names->data()));
        }
      }
    }
  }
}

}  // namespace

std::string full_name(const Meta& meta) {
  return meta.ns.empty() ? meta.name : meta.ns + "/" + meta.name;
}

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
  check_ingress_subsets(catalog);
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
  for (const auto& config : catalog.telemetries) {
    check_selector(catalog, config, config.config.spec.selector);
  }
  for (const auto& config : catalog.envoy_filters) {
    check_selector(catalog, config, config.config.spec.workload_selector);
  }
}

}  // namespace lateen::mesh
