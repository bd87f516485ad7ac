// What contradicts something else: hosts twice, selectors twice, gateways on one port.
#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

bool is_for_mesh(const VirtualService& spec) {
  if (spec.gateways.empty()) return true;
  for (const std::string& gateway : spec.gateways) {
    if (gateway == "mesh") return true;
  }
  return false;
}

void check_mesh_hosts(Catalog& catalog) {
  std::map<std::string, std::vector<const Analysed<VirtualService>*>> by_host;
  for (const auto& config : catalog.virtual_services) {
    if (!is_for_mesh(config.config.spec)) continue;
    for (const std::string& host : config.config.spec.hosts) {
      by_host[resolve_host(host, config.config.meta.ns, catalog.options.domain)].push_back(&config);
    }
  }
  for (const auto& [host, configs] : by_host) {
    // Configs that no client sees together do not conflict.
    std::vector<const Analysed<VirtualService>*> clashing;
    for (const auto* a : configs) {
      for (const auto* b : configs) {
        if (a == b) continue;
        const auto& to_a = a->config.spec.export_to;
        const auto& to_b = b->config.spec.export_to;
        const bool is_shared = a->config.meta.ns == b->config.meta.ns ||
                               is_exported_to(to_a, a->config.meta.ns, b->config.meta.ns) ||
                               is_exported_to(to_b, b->config.meta.ns, a->config.meta.ns);
        if (is_shared) {
          clashing.push_back(a);
          break;
        }
      }
    }
    if (clashing.size() < 2) continue;
    std::vector<std::string> names;
    for (const auto* config : clashing) {
      names.push_back(config->config.meta.ns + "/" + config->config.meta.name);
    }
    std::sort(names.begin(), names.end());
    for (const auto* config : clashing) {
      catalog.add(*config, "IST0109",
                  fmt::format("The VirtualServices {} associated with mesh gateway define the same "
                              "host {} which can lead to undefined behavior. This can be fixed by "
                              "merging the conflicting VirtualServices into a single resource.",
                              join(names, ","), host));
    }
  }
}

void check_sidecars(Catalog& catalog) {
  std::map<std::string, std::vector<const Analysed<Sidecar>*>> without_selector;
  for (const auto& config : catalog.sidecars) {
    if (config.config.spec.workload_selector.empty()) {
      without_selector[config.config.meta.ns].push_back(&config);
    }
  }
  const auto names_of = [](const std::vector<const Analysed<Sidecar>*>& configs) {
    std::vector<std::string> names;
    for (const auto* config : configs) names.push_back(config->config.meta.name);
    std::sort(names.begin(), names.end());
    return "[" + join(names, " ") + "]";
  };
  for (const auto& [ns, configs] : without_selector) {
    if (configs.size() < 2) continue;
    for (const auto* config : configs) {
      catalog.add(
          *config, "IST0111",
          fmt::format("The Sidecars {} in namespace \"{}\" have no workload selector, which "
                      "can lead to undefined behavior.",
                      names_of(configs), ns));
    }
  }
  for (const auto& pod : catalog.pods) {
    std::vector<const Analysed<Sidecar>*> selecting;
    for (const auto& config : catalog.sidecars) {
      const Labels& selector = config.config.spec.workload_selector;
      if (!selector.empty() && config.config.meta.ns == pod.workload.ns &&
          selects(selector, pod.workload.labels)) {
        selecting.push_back(&config);
      }
    }
    if (selecting.size() < 2) continue;
    for (const auto* config : selecting) {
      catalog.add(*config, "IST0110",
                  fmt::format("The Sidecars {} in namespace \"{}\" select the same workload pod "
                              "\"{}\", which can lead to undefined behavior.",
                              names_of(selecting), pod.workload.ns, pod.workload.name));
    }
  }
}

void check_gateways(Catalog& catalog) {
  for (const auto& a : catalog.gateways) {
    for (const auto& b : catalog.gateways) {
      if (&a == &b || a.config.spec.selector != b.config.spec.selector) continue;
      for (const Server& mine : a.config.spec.servers) {
        for (const Server& other : b.config.spec.servers) {
          if (mine.port.number != other.port.number || mine.hosts != other.hosts) continue;
          std::vector<std::string> parts;
          for (const auto& [key, value] : a.config.spec.selector)
            parts.push_back(key + "=" + value);
          catalog.add(a, "IST0145",
                      fmt::format("Conflict with gateways {} (workload selector {}, port {}, hosts "
                                  "{}).",
                                  b.config.meta.ns + "/" + b.config.meta.name, join(parts, ","),
                                  mine.port.number, join(mine.hosts, ",")));
        }
      }
    }
  }
}

}  // namespace

void analyze_conflicts(Catalog& catalog) {
  check_mesh_hosts(catalog);
  check_sidecars(catalog);
  check_gateways(catalog);
}

}  // namespace lateen::mesh
