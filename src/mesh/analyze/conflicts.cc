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

// Namespaces that see a config; "*" is all of them.
std::set<std::string> scopes_of(const std::vector<std::string>& export_to, const std::string& ns) {
  std::set<std::string> out;
  for (const std::string& each : export_to) {
    if (each == "*") return {"*"};
    out.insert(each == "." ? ns : each);
  }
  if (out.empty()) out.insert("*");
  return out;
}

// Virtual services of one host that some client sees together.
void check_mesh_hosts(Catalog& catalog) {
  using Configs = std::vector<const Analysed<VirtualService>*>;
  std::map<std::pair<std::string, std::string>, Configs> by_host;  // scope and host
  for (const auto& config : catalog.virtual_services) {
    const Meta& meta = config.config.meta;
    if (!is_for_mesh(config.config.spec)) continue;
    for (const std::string& scope : scopes_of(config.config.spec.export_to, meta.ns)) {
      for (const std::string& host : config.config.spec.hosts)
        by_host[{scope, resolve_host(host, meta.ns, catalog.options.domain)}].push_back(&config);
    }
  }
  std::set<const Analysed<VirtualService>*> reported;
  for (const auto& [key, own] : by_host) {
    const auto& [scope, host] = key;
    Configs clashing = own;
    for (const auto& [other, configs] : by_host) {
      // What all see, this namespace sees as well.
      if (scope == "*" || other.first != "*" || !hosts_overlap(host, other.second)) continue;
      clashing.insert(clashing.end(), configs.begin(), configs.end());
    }
    if (clashing.size() < 2) continue;
    std::vector<std::string> names;
    for (const auto* config : clashing) names.push_back(full_name(config->config.meta));
    std::sort(names.begin(), names.end());
    for (const auto* config : clashing) {
      if (!reported.insert(config).second) continue;
      catalog.add(*config, "IST0109",
                  fmt::format("The VirtualServices {} associated with mesh gateway define the same "
                              "host {}/{} which can lead to undefined behavior. This can be fixed "
                              "by merging the conflicting VirtualServices into a single resource.",
                              join(names, ","), scope, host),
                  "metadata.name");
    }
  }
}

bool is_ambient(const Catalog& catalog, const Workload& pod) {
  const auto own = label_of(pod.labels, "istio.io/dataplane-mode");
  if (!own.empty()) return own == "ambient";
  for (const AnalysisObject* ns : catalog.namespaces) {
    if (data::get_string(ns->value, {"metadata", "name"}) == pod.ns)
      return label_of(read_labels(ns->value), "istio.io/dataplane-mode") == "ambient";
  }
  return false;
}

// Sidecars that select nothing, or only what has no sidecar.
void check_sidecar_selectors(Catalog& catalog) {
  constexpr const char* kNoImpact =
      "The policy has no impact: {} is in ambient mode, the policy "
      "has no impact.";
  for (const auto& config : catalog.sidecars) {
    const Labels& selector = config.config.spec.workload_selector;
    const std::string& ns = config.config.meta.ns;
    bool is_selecting = false, is_useless = false;
    for (const auto& pod : catalog.pods) {
      if (pod.workload.ns != ns || !selects(selector, pod.workload.labels)) continue;
      is_selecting = true;
      is_useless |= !selector.empty() && is_ambient(catalog, pod.workload);
    }
    if (selector.empty()) {
      Workload any;
      any.ns = ns;
      is_useless = is_ambient(catalog, any);
    } else if (!is_selecting) {
      catalog.add(config, "IST0101",
                  fmt::format("Referenced selector not found: \"{}\"", labels_text(selector)),
                  "spec.workloadSelector.labels." + selector.begin()->first);
    }
    if (is_useless)
      catalog.add(config, "IST0167",
                  fmt::format(fmt::runtime(kNoImpact),
                              selector.empty() ? "namespace" : "selected workload"));
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
                      names_of(configs), ns),
          "metadata.name");
    }
  }
  for (const auto& pod : catalog.pods) {
    std::vector<const Analysed<Sidecar>*> selecting;
    for (const auto& config : catalog.sidecars) {
      const Labels& selector = config.config.spec.workload_selector;
      if (!selector.empty() && config.config.meta.ns == pod.workload.ns &&
          selects(selector, pod.workload.labels) && !is_ambient(catalog, pod.workload)) {
        selecting.push_back(&config);
      }
    }
    if (selecting.size() < 2) continue;
    for (const auto* config : selecting) {
      catalog.add(*config, "IST0110",
                  fmt::format("The Sidecars {} in namespace \"{}\" select the same workload pod "
                              "\"{}\", which can lead to undefined behavior.",
                              names_of(selecting), pod.workload.ns, pod.workload.name),
                  "metadata.name");
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
                                  full_name(b.config.meta), join(parts, ","), mine.port.number,
                                  join(mine.hosts, ",")),
                      "spec.selector." +
                          (parts.empty() ? std::string() : a.config.spec.selector.begin()->first));
        }
      }
    }
  }
}

}  // namespace

void analyze_conflicts(Catalog& catalog) {
  check_mesh_hosts(catalog);
  check_sidecars(catalog);
  check_sidecar_selectors(catalog);
  check_gateways(catalog);
}

}  // namespace lateen::mesh
