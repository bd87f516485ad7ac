// Checks of VirtualServices: IST0101 (hosts, subsets, gateways), IST0109, IST0112, IST0130,
// IST0131, IST0132.
#include <algorithm>
#include <map>

#include "base/strings.h"
#include "cli/analysis/services.h"
#include "cli/analysis/world.h"
#include "mesh/hostname.h"

namespace lateen::cli {
namespace {

struct Destination {
  const Json* value;
  bool is_mirror;
};

std::vector<Destination> destinations_of(const Json& spec) {
  std::vector<Destination> out;
  for (const std::string_view protocol : {"http", "tls", "tcp"}) {
    for (const Json& rule : data::get_array(spec, {protocol})) {
      for (const Json& route : data::get_array(rule, {"route"})) {
        if (const Json* found = data::find(route, {"destination"})) out.push_back({found, false});
      }
      if (const Json* mirror = data::find(rule, {"mirror"})) out.push_back({mirror, true});
      for (const Json& each : data::get_array(rule, {"mirrors"})) {
        if (const Json* found = data::find(each, {"destination"})) out.push_back({found, true});
      }
    }
  }
  return out;
}

bool has_subset(const World& world, const Hosts& hosts, std::string_view host, std::string_view ns,
                std::string_view subset) {
  const std::string wanted = hosts.full_name(host, ns);
  for (const Subject& rule : world.all("DestinationRule")) {
    const std::string of = hosts.full_name(data::get_string(rule.object, {"spec", "host"}),
                                           kube::namespace_of(rule.object));
    if (of != wanted && !(mesh::is_wildcard_host(of) && mesh::host_covers(of, wanted))) continue;
    for (const Json& each : data::get_array(rule.object, {"spec", "subsets"})) {
      if (data::get_string(each, {"name"}) == subset) return true;
    }
  }
  return false;
}

// "ns/name" or "name" of the VirtualService's own namespace.
kube::Key gateway_key(std::string_view text, std::string_view ns) {
  if (const auto cut = split_once(text, "/"))
    return {std::string(cut->first), std::string(cut->second)};
  return {std::string(ns), std::string(text)};
}

std::vector<std::string> gateways_of(const Json& object) {
  std::vector<std::string> out;
  for (const Json& each : data::get_array(object, {"spec", "gateways"}))
    out.emplace_back(data::as_string(each));
  if (out.empty()) out.emplace_back("mesh");
  return out;
}

bool gateway_serves(const Json& gateway, std::string_view host) {
  for (const Json& server : data::get_array(gateway, {"spec", "servers"})) {
    for (const Json& each : data::get_array(server, {"hosts"})) {
      std::string_view of = data::as_string(each);
      if (const auto cut = split_once(of, "/")) of = cut->second;
      if (mesh::hosts_overlap(of, host)) return true;
    }
  }
  return false;
}

std::string bracketed(const std::vector<std::string>& items) {
  return "[" + join(items, " ") + "]";
}

}  // namespace

void check_destinations(const World& world, std::vector<Message>& out) {
  const Hosts hosts(world);
  for (const Subject& service : world.all("VirtualService")) {
    const Json* spec = data::find(service.object, {"spec"});
    if (spec == nullptr) continue;
    const auto ns = kube::namespace_of(service.object);
    for (const Destination& each : destinations_of(*spec)) {
      const auto host = data::get_string(*each.value, {"host"});
      const auto subset = data::get_string(*each.value, {"subset"});
      const auto port = data::get_int(*each.value, {"port", "number"});
      if (host.empty()) continue;
      const auto missing = [&](std::string_view type, const std::string& what) {
        out.push_back(about(service, "IST0101", Severity::kError,
                            "Referenced " + std::string(type) + " not found: " + quoted(what)));
      };
      if (!hosts.knows(host, ns)) {
        missing(each.is_mirror ? "mirror host" : "host", std::string(host));
        continue;
      }
      if (!subset.empty() && !has_subset(world, hosts, host, ns, subset)) {
        missing(
            each.is_mirror ? "mirror+subset in destinationrule" : "host+subset in destinationrule",
            std::string(host) + "+" + std::string(subset));
      }
      const auto ports = hosts.ports(host, ns);
      if (port != 0 && !ports.empty() && !ports.contains(port))
        missing("host:port", std::string(host) + ":" + std::to_string(port));
      if (port == 0 && ports.size() > 1) {
        std::vector<std::string> names;
        for (const auto number : ports) names.push_back(std::to_string(number));
        out.push_back(
            about(service, "IST0112", Severity::kError,
                  "This VirtualService routes to a service " + quoted(host) +
                      " that exposes multiple ports " + bracketed(names) +
                      ". Specifying a port in the destination is required to disambiguate."));
      }
    }
  }
}

void check_gateway_references(const World& world, std::vector<Message>& out) {
  for (const Subject& service : world.all("VirtualService")) {
    for (const std::string& name : gateways_of(service.object)) {
      if (name == "mesh" || name.empty()) continue;
      const Subject* gateway =
          world.find("Gateway", gateway_key(name, kube::namespace_of(service.object)));
      if (gateway == nullptr) {
        out.push_back(about(service, "IST0101", Severity::kError,
                            "Referenced gateway not found: " + quoted(name)));
        continue;
      }
      std::vector<std::string> unserved;
      for (const Json& host : data::get_array(service.object, {"spec", "hosts"})) {
        if (!gateway_serves(gateway->object, data::as_string(host)))
          unserved.emplace_back(data::as_string(host));
      }
      if (unserved.empty()) continue;
      out.push_back(
          about(service, "IST0132", Severity::kWarning,
                "one or more host " + bracketed(unserved) + " defined in VirtualService " +
                    std::string(kube::namespace_of(service.object)) + "/" +
                    std::string(kube::name_of(service.object)) + " not found in Gateway " +
                    std::string(kube::namespace_of(gateway->object)) + "/" +
                    std::string(kube::name_of(gateway->object)) + "."));
    }
  }
}

void check_mesh_hosts(const World& world, std::vector<Message>& out) {
  std::map<std::string, std::vector<const Subject*>> by_host;
  for (const Subject& service : world.all("VirtualService")) {
    const auto gateways = gateways_of(service.object);
    if (std::find(gateways.begin(), gateways.end(), "mesh") == gateways.end()) continue;
    const auto ns = kube::namespace_of(service.object);
    std::string scope = "*";
    for (const Json& each : data::get_array(service.object, {"spec", "exportTo"})) {
      if (data::as_string(each) == ".") scope = ns;
    }
    for (const Json& host : data::get_array(service.object, {"spec", "hosts"})) {
      by_host[scope + "|" + mesh::resolve_host(data::as_string(host), ns, world.domain)].push_back(
          &service);
    }
  }
  for (const auto& [key, services] : by_host) {
    if (services.size() < 2) continue;
    std::vector<std::string> names;
    for (const Subject* each : services) names.push_back(kube::key_of(each->object).to_string());
    std::sort(names.begin(), names.end());
    for (const Subject* each : services) {
      out.push_back(about(*each, "IST0109", Severity::kError,
                          "The VirtualServices " + join(names, ",") +
                              " associated with mesh gateway define the same host " +
                              key.substr(key.find('|') + 1) +
                              " which can lead to undefined behavior. This can be fixed by merging "
                              "the conflicting VirtualServices into a single resource."));
    }
  }
}

void check_route_order(const World& world, std::vector<Message>& out) {
  for (const Subject& service : world.all("VirtualService")) {
    bool is_after_all = false;
    std::map<std::string, std::string> seen;
    const auto& rules = data::get_array(service.object, {"spec", "http"});
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const std::string name(data::get_string(rules[i], {"name"}));
      const std::string label = name.empty() ? "#" + std::to_string(i) : quoted(name);
      const auto& matches = data::get_array(rules[i], {"match"});
      if (is_after_all) {
        out.push_back(about(service, "IST0130", Severity::kWarning,
                            "VirtualService rule " + label + " not used (" +
                                (matches.empty() ? "only the last rule can have no matches"
                                                 : "follows a rule that matches everything") +
                                ")."));
      }
      std::size_t duplicates = 0;
      for (std::size_t k = 0; k < matches.size(); ++k) {
        Json plain = matches[k];
        data::erase(plain, {"name"});
        const auto [first, is_new] = seen.emplace(data::dump_json(plain), label);
        if (is_new) continue;
        ++duplicates;
        out.push_back(about(service, "IST0131", Severity::kInfo,
                            "VirtualService rule " + label + " match #" + std::to_string(k) +
                                " is not used (duplicate/overlapping match in rule " +
                                first->second + ")."));
      }
      if (!matches.empty() && duplicates == matches.size()) {
        out.push_back(
            about(service, "IST0130", Severity::kWarning,
                  "VirtualService rule " + label + " not used (all matches used by prior rules)."));
      }
      is_after_all = is_after_all || matches.empty();
    }
  }
}

}  // namespace lateen::cli
