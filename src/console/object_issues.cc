// Checks of one object against its neighbours.
#include "console/object_issues.h"

#include <fmt/core.h>

#include <algorithm>

#include "kube/object.h"
#include "mesh/kinds.h"

namespace lateen::console {
namespace {

using data::Json;

// "reviews" and "reviews.shop" are short for names of the cluster.
std::string full_host(std::string_view host, std::string_view ns) {
  const auto dots = std::count(host.begin(), host.end(), '.');
  if (dots == 0) return fmt::format("{}.{}.svc.cluster.local", host, ns);
  if (host.ends_with(".svc")) return fmt::format("{}.cluster.local", host);
  if (dots == 1) return fmt::format("{}.svc.cluster.local", host);
  return std::string(host);
}

void complain(data::JsonArray& issues, std::string path, std::string message) {
  issues.push_back(
      {{"severity", "warning"}, {"path", std::move(path)}, {"message", std::move(message)}});
}

void check_destination(const Json& destination, std::string_view ns, const std::string& path,
                       const Neighbours& neighbours, data::JsonArray& issues) {
  const auto host = data::get_string(destination, {"host"});
  if (host.empty()) return;
  if (!neighbours.has_host(host, ns)) {
    return complain(issues, path + ".host",
                    fmt::format("no service or ServiceEntry is called {}", full_host(host, ns)));
  }
  const auto subset = data::get_string(destination, {"subset"});
  if (!subset.empty() && !neighbours.has_subset(host, subset, ns)) {
    complain(issues, path + ".subset",
             fmt::format("no DestinationRule of {} has a subset {}", host, subset));
  }
}

void check_references(const Json& object, const Neighbours& neighbours, data::JsonArray& issues) {
  const auto ns = kube::namespace_of(object);
  for (const Json& gateway : data::get_array(object, {"spec", "gateways"})) {
    const auto name = data::as_string(gateway);
    if (name != "mesh" && !neighbours.has_gateway(name, ns)) {
      complain(issues, "spec.gateways", fmt::format("no Gateway is called {}", name));
    }
  }
  for (const char* protocol : {"http", "tcp", "tls"}) {
    const auto& routes = data::get_array(object, {"spec", protocol});
    for (std::size_t i = 0; i < routes.size(); ++i) {
      const auto& targets = data::get_array(routes[i], {"route"});
      for (std::size_t j = 0; j < targets.size(); ++j) {
        const Json* destination = data::find(targets[j], {"destination"});
        if (destination == nullptr) continue;
        check_destination(*destination, ns,
                          fmt::format("spec.{}[{}].route[{}].destination", protocol, i, j),
                          neighbours, issues);
      }
    }
  }
}

}  // namespace

Neighbours Neighbours::none() { return {}; }

void Neighbours::add(const Json& object) {
  is_empty_ = false;
  const auto kind = kube::kind_of(object);
  const auto ns = kube::namespace_of(object);
  const std::string name(kube::name_of(object));
  if (kind == "Service") hosts_.insert(full_host(name, ns));
  if (kind == "Gateway") gateways_.insert(fmt::format("{}/{}", ns, name));
  if (kind == "ServiceEntry") {
    for (const Json& host : data::get_array(object, {"spec", "hosts"})) {
      hosts_.insert(std::string(data::as_string(host)));
    }
  }
  if (kind == "DestinationRule") {
    const std::string host = full_host(data::get_string(object, {"spec", "host"}), ns);
    for (const Json& subset : data::get_array(object, {"spec", "subsets"})) {
      subsets_.insert(fmt::format("{}|{}", host, data::get_string(subset, {"name"})));
    }
  }
}

bool Neighbours::has_host(std::string_view host, std::string_view ns) const {
  if (is_empty_ || host.find('*') != std::string_view::npos) return true;
  if (hosts_.contains(full_host(host, ns)) || hosts_.contains(std::string(host))) return true;
  // *.example.com of a ServiceEntry.
  for (std::size_t dot = host.find('.'); dot != std::string_view::npos;
       dot = host.find('.', dot + 1)) {
    if (hosts_.contains("*" + std::string(host.substr(dot)))) return true;
  }
  return false;
}

bool Neighbours::has_gateway(std::string_view name, std::string_view ns) const {
  if (is_empty_) return true;
  if (name.find('/') != std::string_view::npos) return gateways_.contains(std::string(name));
  return gateways_.contains(fmt::format("{}/{}", ns, name));
}

bool Neighbours::has_subset(std::string_view host, std::string_view subset,
                            std::string_view ns) const {
  return is_empty_ || subsets_.contains(fmt::format("{}|{}", full_host(host, ns), subset));
}

data::JsonArray issues_of(const Json& object, const Neighbours& neighbours) {
  data::JsonArray issues;
  const mesh::Issues found = mesh::validate(object);
  for (const std::string& message : found.errors) {
    issues.push_back({{"severity", "error"}, {"path", ""}, {"message", message}});
  }
  for (const std::string& message : found.warnings) complain(issues, "", message);
  if (kube::kind_of(object) == "VirtualService" && !neighbours.is_empty()) {
    check_references(object, neighbours, issues);
  }
  return issues;
}

}  // namespace lateen::console
