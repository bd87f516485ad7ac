#include "discovery/generate/name_table.h"

#include <set>

#include "istio/name_table.pb.h"
#include "mesh/hostname.h"

namespace lateen::discovery {

void fill_name_table(const View& view, istio::networking::nds::v1::NameTable& out) {
  for (const mesh::ServicePtr& service : view.scope.services) {
    std::vector<std::string> ips;
    for (const std::string& address : service->addresses) {
      if (mesh::is_ip(address)) ips.push_back(address);
    }
    if (ips.empty() && view.proxy.uses_auto_addresses && !service->auto_address.empty()) {
      ips.push_back(service->auto_address);
    }
    const bool is_kubernetes = service->registry == mesh::Service::Registry::kKubernetes;
    const auto fill = [&](const std::string& host, const std::vector<std::string>& addresses,
                          const std::string& shortname) {
      auto& info = (*out.mutable_table())[host];
      for (const std::string& address : addresses) info.add_ips(address);
      info.set_registry(is_kubernetes ? "Kubernetes" : "External");
      if (!is_kubernetes) return;
      info.set_shortname(shortname);
      info.set_namespace_(service->ns);
    };
    if (service->is_headless) {
      std::set<std::string> seen;
      const auto endpoints = view.mesh.endpoints_of(*service);
      for (const mesh::Endpoint& endpoint : endpoints->endpoints) {
        if (!seen.insert(endpoint.address).second) continue;
        ips.push_back(endpoint.address);
        // Members of a StatefulSet have names of their own.
        if (!endpoint.hostname.empty()) {
          fill(endpoint.hostname + "." + service->host, {endpoint.address},
               endpoint.hostname + "." + service->name);
        }
      }
    }
    if (!ips.empty()) fill(service->host, ips, service->name);
  }
}

}  // namespace lateen::discovery
