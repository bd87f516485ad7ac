// What the walk looks at: objects of the API server and what proxies have loaded, each asked for
// once.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/envoy_dump.h"
#include "cli/explain/report.h"
#include "kube/client.h"

namespace lateen::cli::explain {

// A proxy's configuration, as its admin port tells it.
struct Loaded {
  std::vector<Json> listeners, routes, clusters;
  Json endpoints;  // EndpointsConfigDump of ?include_eds, or null
  Json statuses;   // of /clusters?format=json
  std::string trust_domain = "cluster.local";

  const Json* listener(std::string_view name) const;
  const Json* route(std::string_view name) const;
  const Json* cluster(std::string_view name) const;
};

// GET of a path on a pod's proxy, as JSON.
using AdminGet = std::function<Result<Json>(const Json& pod, const std::string& path)>;

// Over a forward to each pod's admin port. `client` outlives it.
AdminGet by_forward(kube::Client& client, int port);

class World {
 public:
  // `client` outlives it.
  World(kube::Client& client, AdminGet admin, std::string root_ns)
      : client_(client), admin_(std::move(admin)), root_ns_(std::move(root_ns)) {}

  // Of all namespaces; none where the server does not serve the kind.
  const std::vector<Json>& all(const kube::Resource& resource);
  const std::vector<Json>& pods() { return all(kube::resources::pods()); }
  const Json* pod_at(std::string_view ip);
  const Json* find(const kube::Resource& resource, std::string_view ns, std::string_view name);
  // The error says which proxy did not answer.
  Result<const Loaded*> loaded(const Json& pod);
  const std::string& root_ns() const { return root_ns_; }
  // Lists that failed for another reason than the kind's absence.
  const std::vector<std::string>& troubles() const { return troubles_; }

 private:
  kube::Client& client_;
  AdminGet admin_;
  std::string root_ns_;
  std::map<kube::Resource, std::vector<Json>> lists_;
  std::map<kube::Key, Loaded> proxies_;
  std::vector<std::string> troubles_;
};

kube::Resource istio_networking(std::string_view plural, std::string_view kind);
kube::Resource istio_security(std::string_view plural, std::string_view kind);

std::string pod_name(const Json& pod);  // "name.namespace"
bool has_proxy(const Json& pod);
bool is_gateway(const Json& pod);
// Why the injector left the pod alone, and what to do.
std::vector<std::string> why_no_proxy(World& world, const Json& pod);
// Whether a comma-separated list of ports in an annotation holds the port.
bool lists_port(std::string_view list, int port);
bool selects(const data::JsonObject& selector, const Json& object);

// The PeerAuthentication that counts for a port of a pod.
struct PeerRule {
  std::string mode = "PERMISSIVE";
  ObjectRef from;  // no name: nobody says, it is the default
  std::string level;
};
PeerRule peer_rule_for(World& world, const Json& pod, int port);

}  // namespace lateen::cli::explain
