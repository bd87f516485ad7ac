// What lies between clusters and versions: networks, services that differ, CRDs that are too old.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/networks.h"

namespace lateen::mesh {
namespace {

using data::get_string;

// Names that networks may say endpoints come from: the registry itself, and remote clusters.
std::set<std::string> known_registries(const Catalog& catalog) {
  std::set<std::string> out = {"Mock", "Kubernetes", "External"};
  for (const auto& [key, secret] : catalog.secrets) {
    if (label_of(read_labels(secret->value), "istio/multiCluster") != "true") continue;
    for (const std::string_view part : {"data", "stringData"}) {
      for (const auto& entry : data::get_object(secret->value, {part})) out.emplace(entry.key());
    }
  }
  return out;
}

void check_networks(Catalog& catalog) {
  for (const AnalysisObject* map : catalog.config_maps) {
    if (get_string(map->value, {"metadata", "name"}) != "istio" ||
        get_string(map->value, {"metadata", "namespace"}) != catalog.options.root_namespace)
      continue;
    Issues issues;
    const auto networks =
        parse_mesh_networks(get_string(map->value, {"data", "meshNetworks"}, "{}"), issues);
    if (!networks) {
      catalog.add(*map, "IST0001", "Internal error: " + networks.error().message());
      continue;
    }
    const auto known = known_registries(catalog);
    for (const auto& [name, network] : networks->networks) {
      for (const std::string& registry : network.registries) {
        if (known.count(registry) > 0) continue;
        catalog.add(*map, "IST0126",
                    fmt::format("Unknown service registry {} in network {}", registry, name));
      }
    }
  }
}

bool is_headless(const data::Json& service) {
  return get_string(service, {"spec", "clusterIP"}) == "None";
}

// Ports as they compare: by name, without what one cluster alone decides.
std::map<std::string, data::Json> ports_of(const data::Json& service) {
  std::map<std::string, data::Json> out;
  for (data::Json port : data::get_array(service, {"spec", "ports"})) {
    data::erase(port, {"nodePort"});
    const std::string name(get_string(port, {"name"}));
    out.insert_or_assign(name, std::move(port));
  }
  return out;
}

// One service in several clusters should be one service.
void check_services(Catalog& catalog) {
  std::map<std::pair<std::string, std::string>, std::vector<const AnalysisObject*>> by_name;
  for (const AnalysisObject& object : catalog.all) {
    if (object.cluster.empty() || get_string(object.value, {"kind"}) != "Service") continue;
    by_name[{std::string(get_string(object.value, {"metadata", "namespace"})),
             std::string(get_string(object.value, {"metadata", "name"}))}]
        .push_back(&object);
  }
  for (const auto& [name, copies] : by_name) {
    if (copies.size() < 2) continue;
    const data::Json& first = copies.front()->value;
    std::set<std::string> clusters, reasons;
    for (const AnalysisObject* copy : copies) {
      const auto differ = [&, copy](const char* why) {
        reasons.insert(why);
        clusters.insert(copy->cluster);
      };
      if (is_headless(first) != is_headless(copy->value))
        differ("service has mixed mode like headless and clusterIP");
      if (get_string(first, {"spec", "type"}, "ClusterIP") !=
          get_string(copy->value, {"spec", "type"}, "ClusterIP"))
        differ("service type is inconsistent");
      if (ports_of(first) != ports_of(copy->value)) differ("service ports are inconsistent");
    }
    if (reasons.empty()) continue;
    clusters.insert(copies.front()->cluster);
    std::vector<std::string> quoted;
    for (const std::string& each : clusters) quoted.push_back("\"" + each + "\"");
    catalog.add(
        *copies.front(), "IST0170",
        fmt::format("The service {} in namespace \"{}\" is inconsistent across clusters [{}], "
                    "which can lead to undefined behaviors. The inconsistent behaviors are: {}.",
                    name.second, name.first, join(quoted, " "),
                    join(std::vector<std::string>(reasons.begin(), reasons.end()), "; ")));
  }
}

using Version = std::array<std::int64_t, 3>;

// "v1.4.1-rc.1" is 1.4.1; false for what is no version.
bool parse_version(std::string_view text, Version& out) {
  if (text.starts_with("v")) text.remove_prefix(1);
  text = text.substr(0, text.find_first_of("-+"));
  const auto parts = split(text, '.');
  if (parts.size() != 3) return false;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto number = parse_int(parts[i]);
    if (!number || *number < 0) return false;
    out[i] = *number;
  }
  return true;
}

std::string version_text(const Version& version) {
  return fmt::format("{}.{}.{}", version[0], version[1], version[2]);
}

// Bundles of the Gateway API below these have kinds that are not read.
void check_crds(Catalog& catalog) {
  constexpr std::pair<std::string_view, Version> kOldest[] = {
      {"grpcroutes.gateway.networking.k8s.io", {1, 1, 0}},
      {"backendtlspolicies.gateway.networking.k8s.io", {1, 4, 0}},
      {"tlsroutes.gateway.networking.k8s.io", {1, 5, 0}},
      {"tcproutes.gateway.networking.k8s.io", {1, 6, 0}}};
  for (const AnalysisObject& object : catalog.all) {
    if (get_string(object.value, {"kind"}) != "CustomResourceDefinition") continue;
    const auto name = get_string(object.value, {"metadata", "name"});
    const std::string bundle(get_string(
        object.value, {"metadata", "annotations", "gateway.networking.k8s.io/bundle-version"}));
    Version installed{};
    if (!parse_version(bundle, installed)) continue;
    for (const auto& [crd, oldest] : kOldest) {
      if (crd != name || installed >= oldest) continue;
      const std::string shown = bundle.starts_with("v") ? bundle.substr(1) : bundle;
      catalog.add(object, "IST0176",
                  fmt::format("Gateway API CRD \"{}\" is at version \"{}\" but Istio requires at "
                              "least \"{}\"; resources of this kind will not be processed. Upgrade "
                              "the Gateway API CRDs to satisfy the minimum version.",
                              name, shown, version_text(oldest)));
    }
  }
}

}  // namespace

void analyze_clusters(Catalog& catalog) {
  check_networks(catalog);
  check_services(catalog);
  check_crds(catalog);
}

}  // namespace lateen::mesh
