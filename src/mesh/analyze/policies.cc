// Telemetries, EnvoyFilters, JWT routes and service entries: what upstream's analyzers of the same
// names find.
#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/mesh_config.h"

namespace lateen::mesh {
namespace {

template <typename Spec>
std::string names_of(const std::vector<const Analysed<Spec>*>& configs) {
  std::vector<std::string> names;
  for (const auto* config : configs) names.push_back(config->config.meta.name);
  std::sort(names.begin(), names.end());
  return "[" + join(names, " ") + "]";
}

MeshConfig mesh_config_of(const Catalog& catalog) {
  Issues issues;
  for (const AnalysisObject* map : catalog.config_maps) {
    if (data::get_string(map->value, {"metadata", "name"}) != "istio" ||
        data::get_string(map->value, {"metadata", "namespace"}) != catalog.options.root_namespace) {
      continue;
    }
    auto parsed = parse_mesh_config(data::get_string(map->value, {"data", "mesh"}, "{}"), issues);
    if (parsed.ok()) return *std::move(parsed);
  }
  return {};
}

void check_telemetry_selectors(Catalog& catalog) {
  using Config = const Analysed<Telemetry>*;
  std::map<std::string, std::vector<Config>> unselective;
  for (const auto& config : catalog.telemetries) {
    const Telemetry& spec = config.config.spec;
    if (spec.selector.empty() && spec.targets.empty()) {
      unselective[config.config.meta.ns].push_back(&config);
    }
  }
  for (const auto& [ns, configs] : unselective) {
    if (configs.size() < 2) continue;
    for (Config config : configs) {
      catalog.add(*config, "IST0160",
                  fmt::format("The Telemetries {} in namespace \"{}\" have no workload selector, "
                              "which can lead to undefined behavior.",
                              names_of(configs), ns));
    }
  }
  for (const auto& pod : catalog.pods) {
    std::vector<Config> selecting;
    for (const auto& config : catalog.telemetries) {
      const Labels& selector = config.config.spec.selector;
      if (!selector.empty() && config.config.meta.ns == pod.workload.ns &&
          selects(selector, pod.workload.labels)) {
        selecting.push_back(&config);
      }
    }
    if (selecting.size() < 2) continue;
    for (Config config : selecting) {
      catalog.add(*config, "IST0159",
                  fmt::format("The Telemetries {} in namespace \"{}\" select the same workload pod "
                              "\"{}\", which can lead to undefined behavior.",
                              names_of(selecting), pod.workload.ns, pod.workload.name),
                  "spec.selector.matchLabels." + config->config.spec.selector.begin()->first);
    }
  }
}

void check_telemetry_providers(Catalog& catalog, const MeshConfig& mesh) {
  if (!mesh.default_access_log.empty()) return;
  for (const auto& config : catalog.telemetries) {
    for (const auto& logging : config.config.spec.access_logging) {
      if (logging.is_disabled.value_or(false) || !logging.providers.empty()) continue;
      catalog.add(config, "IST0157",
                  fmt::format("The Telemetry {} in namespace \"{}\" with empty providers will be "
                              "ignored.",
                              config.config.meta.name, config.config.meta.ns));
    }
  }
}

// The filter a patch is about: its own name, or the one it matches.
std::string patched_name(const EnvoyFilter::Patch& patch) {
  const std::string_view own = data::get_string(patch.value, {"name"});
  if (!own.empty()) return std::string(own);
  return patch.value.is_object() && patch.listener ? patch.listener->filter : "";
}

void check_envoy_filter(Catalog& catalog, const Analysed<EnvoyFilter>& config,
                        std::set<std::string>& versioned) {
  using Op = EnvoyFilter::Operation;
  using Apply = EnvoyFilter::ApplyTo;
  for (const auto& patch : config.config.spec.patches) {
    const bool is_route =
        patch.apply_to == Apply::kRouteConfiguration || patch.apply_to == Apply::kHttpRoute;
    const std::string name = patched_name(patch);
    bool is_relative = patch.operation == Op::kInsertBefore || patch.operation == Op::kInsertAfter;
    if (patch.operation == Op::kAdd && is_route) {
      catalog.add(config, "IST0153",
                  "The ADD operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, "
                  "or HTTP_ROUTE.");
    } else if (patch.operation == Op::kRemove && is_route) {
      catalog.add(config, "IST0154",
                  "The REMOVE operation will be ignored when applyTo is set to "
                  "ROUTE_CONFIGURATION, or HTTP_ROUTE.");
    } else if (patch.operation == Op::kReplace && patch.apply_to != Apply::kNetworkFilter &&
               patch.apply_to != Apply::kHttpFilter && patch.apply_to != Apply::kVirtualHost) {
      catalog.add(config, "IST0152",
                  "The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER.");
    } else {
      is_relative |= patch.operation == Op::kRemove || patch.operation == Op::kReplace;
    }
    if (is_relative && config.config.spec.priority == 0) {
      if (versioned.count(name) > 0) {
        catalog.add(config, "IST0155",
                    "This EnvoyFilter does not have a priority and has a relative patch operation "
                    "(NSTERT_BEFORE/AFTER, REPLACE, MERGE, DELETE) and proxyVersion set which can "
                    "cause the EnvoyFilter not to be applied during an upgrade. Using the "
                    "INSERT_FIRST or ADD option or setting the priority may help in ensuring the "
                    "EnvoyFilter is applied correctly.");
      } else {
        catalog.add(config, "IST0151",
                    "This EnvoyFilter does not have a priority and has a relative patch operation "
                    "set which can cause the EnvoyFilter not to be applied. Using the INSERT_FIRST "
                    "of ADD option or setting the priority may help in ensuring the EnvoyFilter is "
                    "applied correctly.");
      }
    }
    if (!patch.proxy_version.empty()) versioned.insert(name);
  }
}

std::string claim_key(const VirtualService& spec) {
  constexpr std::string_view kPrefix = "@request.auth.claims";
  for (const HttpRoute& route : spec.http) {
    for (const HttpMatch& match : route.match) {
      for (const auto* headers : {&match.headers, &match.without_headers}) {
        for (const auto& [name, value] : *headers) {
          if (name.starts_with(kPrefix)) return name;
        }
      }
    }
  }
  return {};
}

bool is_authenticated(const Catalog& catalog, const Workload& pod) {
  for (const auto& config : catalog.request_authentications) {
    const Meta& meta = config.config.meta;
    if (meta.ns != pod.ns && meta.ns != catalog.options.root_namespace) continue;
    if (selects(config.config.spec.selector, pod.labels)) return true;
  }
  return false;
}

void check_claim_routes(Catalog& catalog) {
  for (const auto& config : catalog.virtual_services) {
    const std::string key = claim_key(config.config.spec);
    if (key.empty()) continue;
    for (const std::string& name : config.config.spec.gateways) {
      const std::string wanted = resolve_gateway(name, config.config.meta.ns);
      for (const auto& gateway : catalog.gateways) {
        if (full_name(gateway.config.meta) != wanted) continue;
        for (const auto& pod : catalog.pods) {
          if (!selects(gateway.config.spec.selector, pod.workload.labels)) continue;
          if (is_authenticated(catalog, pod.workload)) continue;
          catalog.add(config, "IST0149",
                      fmt::format("The virtual service uses the JWT claim based routing (key: {}) "
                                  "but found no request authentication for the gateway ({}) pod "
                                  "({}). The request authentication must first be applied for the "
                                  "gateway pods to validate the JWT token and make the claims "
                                  "available for routing.",
                                  key, wanted, pod.workload.name));
        }
      }
    }
  }
}

void check_entry_protocols(Catalog& catalog) {
  struct Use {
    const Analysed<ServiceEntry>* entry;
    std::string protocol;
  };
  std::map<std::pair<std::string, std::int64_t>, std::vector<Use>> uses;
  for (const auto& entry : catalog.service_entries) {
    for (const std::string& host : entry.config.spec.hosts) {
      for (const ServiceEntry::Port& port : entry.config.spec.ports) {
        std::string protocol = port.protocol;
        for (char& c : protocol) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        uses[{host, port.number}].push_back({&entry, std::move(protocol)});
      }
    }
  }
  for (const auto& [key, list] : uses) {
    std::set<std::string> protocols, names;
    for (const Use& use : list) {
      protocols.insert(use.protocol);
      names.insert(full_name(use.entry->config.meta));
    }
    if (protocols.size() < 2 || names.size() < 2) continue;
    for (const Use& use : list) {
      catalog.add(
          *use.entry, "IST0177",
          fmt::format("Multiple ServiceEntries ({}) define the same host \"{}\" and port "
                      "{} with conflicting protocols ({}).",
                      join(std::vector<std::string>(names.begin(), names.end()), ", "), key.first,
                      key.second,
                      join(std::vector<std::string>(protocols.begin(), protocols.end()), ", ")),
          "metadata.name");
    }
  }
}

bool shares_certificate(const ServerTls& a, const ServerTls& b) {
  if (!a.credential_name.empty() || !b.credential_name.empty()) {
    return a.credential_name == b.credential_name;
  }
  return !a.server_certificate.empty() && a.server_certificate == b.server_certificate &&
         !a.private_key.empty() && a.private_key == b.private_key;
}

void check_certificates(Catalog& catalog) {
  for (const auto& a : catalog.gateways) {
    for (const auto& b : catalog.gateways) {
      // b's selector has all of a's labels: some workload may serve both.
      if (&a == &b || !selects(a.config.spec.selector, b.config.spec.selector)) continue;
      for (const Server& mine : a.config.spec.servers) {
        for (const Server& other : b.config.spec.servers) {
          if (!mine.tls || !other.tls || !shares_certificate(*mine.tls, *other.tls)) continue;
          catalog.add(a, "IST0138",
                      fmt::format("Duplicate certificate in multiple gateways [{} {}] may cause "
                                  "404s if clients re-use HTTP2 connections.",
                                  full_name(a.config.meta), full_name(b.config.meta)),
                      "metadata.name");
        }
      }
    }
  }
}

void check_credentials(Catalog& catalog) {
  for (const auto& gateway : catalog.gateways) {
    const Workload* workload = nullptr;
    for (const auto& pod : catalog.pods) {
      if (workload == nullptr && selects(gateway.config.spec.selector, pod.workload.labels)) {
        workload = &pod.workload;
      }
    }
    if (workload == nullptr) continue;
    for (const Server& server : gateway.config.spec.servers) {
      if (!server.tls || server.tls->credential_name.empty()) continue;
      const auto secret = catalog.secrets.find({workload->ns, server.tls->credential_name});
      if (secret == catalog.secrets.end()) continue;
      std::string_view text;
      for (const char* key : {"tls.crt", "cert"}) {
        if (text.empty()) text = data::get_string(secret->second->value, {"data", key});
      }
      const auto pem = base64_decode(text);
      if (pem.ok() && pem->find("-----BEGIN CERTIFICATE-----") != std::string::npos) continue;
      catalog.add(gateway, "IST0161",
                  fmt::format("The credential referenced by the Gateway {} in namespace {} is "
                              "invalid, which can cause the traffic not to work as expected.",
                              gateway.config.meta.name, workload->ns));
    }
  }
}

void check_deprecated(Catalog& catalog) {
  const auto replaced = [](std::string_view old, std::string_view now) {
    return fmt::format("Deprecated: {} is deprecated; use {}", old, now);
  };
  for (const auto& config : catalog.virtual_services) {
    for (const data::Json& route : data::get_array(config.source->value, {"spec", "http"})) {
      if (data::get_int(route, {"fault", "delay", "percent"}) > 0) {
        catalog.add(config, "IST0002",
                    replaced("HTTPRoute.fault.delay.percent", "HTTPRoute.fault.delay.percentage"));
      }
    }
  }
  for (const auto& config : catalog.sidecars) {
    if (!config.config.spec.egress_proxy) continue;
    catalog.add(config, "IST0002", "Deprecated: OutboundTrafficPolicy.EgressProxy ignored");
  }
}

}  // namespace

void analyze_policies(Catalog& catalog) {
  const MeshConfig mesh = mesh_config_of(catalog);
  check_telemetry_selectors(catalog);
  check_telemetry_providers(catalog, mesh);
  std::set<std::string> versioned;
  for (const auto& config : catalog.envoy_filters) check_envoy_filter(catalog, config, versioned);
  check_claim_routes(catalog);
  check_entry_protocols(catalog);
  check_certificates(catalog);
  check_credentials(catalog);
  check_deprecated(catalog);
}

}  // namespace lateen::mesh
