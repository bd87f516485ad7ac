#include "cli/analysis/services.h"

#include "mesh/hostname.h"

// The registry as analysis sees it.
namespace lateen::cli {

Hosts::Hosts(const World& world) : world_(world) {
  for (const Subject& service : world.all("Service")) {
    auto& ports = ports_[std::string(kube::name_of(service.object)) + "." +
                         std::string(kube::namespace_of(service.object)) + ".svc." + world.domain];
    for (const Json& port : data::get_array(service.object, {"spec", "ports"}))
      ports.insert(data::get_int(port, {"port"}));
  }
  for (const Subject& entry : world.all("ServiceEntry")) {
    for (const Json& host : data::get_array(entry.object, {"spec", "hosts"})) {
      auto& ports = ports_[full_name(data::as_string(host), kube::namespace_of(entry.object))];
      for (const Json& port : data::get_array(entry.object, {"spec", "ports"}))
        ports.insert(data::get_int(port, {"number"}));
    }
  }
}

std::string Hosts::full_name(std::string_view host, std::string_view ns) const {
  const std::string full = mesh::resolve_host(host, ns, world_.domain);
  // "reviews.default" and "reviews.default.svc" mean the service, too.
  if (ports_.contains(full)) return full;
  for (const std::string& candidate :
       {full + ".svc." + world_.domain, full + "." + world_.domain}) {
    if (ports_.contains(candidate)) return candidate;
  }
  return full;
}

bool Hosts::knows(std::string_view host, std::string_view ns) const {
  const std::string full = full_name(host, ns);
  if (ports_.contains(full)) return true;
  for (const auto& [known, ports] : ports_) {
    if (mesh::is_wildcard_host(known) && mesh::host_covers(known, full)) return true;
    if (mesh::is_wildcard_host(full) && mesh::host_covers(full, known)) return true;
  }
  return false;
}

std::set<std::int64_t> Hosts::ports(std::string_view host, std::string_view ns) const {
  const auto found = ports_.find(full_name(host, ns));
  return found != ports_.end() ? found->second : std::set<std::int64_t>();
}

}  // namespace lateen::cli
