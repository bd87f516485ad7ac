// Scope: what one proxy sees of the mesh, as exportTo and its Sidecar config allow. Made per
// snapshot and shared by proxies that have the same namespace, labels and Sidecar.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "discovery/snapshot.h"

namespace lateen::discovery {

struct Scope {
  struct Egress {
    int port = 0;  // 0: the catch-all listener
    mesh::Protocol protocol = mesh::Protocol::kUnsupported;
    std::string bind;
    bool binds_port = false;  // captureMode NONE: applications dial it themselves
    std::vector<mesh::ServicePtr> services;
    Configs<mesh::VirtualService> virtual_services;  // bound to "mesh"
    // Of the lists' objects: equal marks are equal lists, as long as the objects live.
    std::uint64_t services_mark = 0, configs_mark = 0;

    // The one whose HTTP routes hold for `host`: the most specific, then the oldest.
    mesh::ConfigPtr<mesh::VirtualService> http_config_for(std::string_view host) const;
    void index_virtual_services();

   private:
    ByName<mesh::ConfigPtr<mesh::VirtualService>> http_by_host_;
    Configs<mesh::VirtualService> http_wildcards_;  // with a pattern among their hosts
  };
  std::vector<Egress> egress;              // at least one
  std::vector<mesh::ServicePtr> services;  // of all egress listeners, no duplicates
  std::uint64_t services_mark = 0;
  mesh::ConfigPtr<mesh::Sidecar> sidecar;  // null when none
  bool allows_any_outbound = true;
  std::string other_cluster;  // where what nobody knows goes: through, nowhere, an egress proxy

  // Everything but the virtual services is the same.
  bool has_same_services(const Scope& other) const;
  // The egress listener that speaks for a port: its own, or the catch-all.
  const Egress& egress_for(int port) const;
  // The service called `host` in this scope; null when it is not visible.
  const mesh::Service* find(std::string_view host) const { return find_shared(host).get(); }
  const mesh::ServicePtr& find_shared(std::string_view host) const;

 private:
  friend std::shared_ptr<const Scope> make_scope(const MeshSnapshot&, const Proxy&);
  ByName<mesh::ServicePtr> by_host_;
};

std::shared_ptr<const Scope> make_scope(const MeshSnapshot& mesh, const Proxy& proxy);
// Proxies with equal keys have equal scopes.
std::string scope_key(const Proxy& proxy, const mesh::ConfigPtr<mesh::Sidecar>& sidecar);

// What generators are given.
struct View {
  const MeshSnapshot& mesh;
  const Proxy& proxy;
  const Scope& scope;
  std::vector<Target> targets;  // what the proxy's own workload serves
};

}  // namespace lateen::discovery
