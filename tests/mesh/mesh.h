// A whole mesh in one process: a control plane, pods with their real proxies, applications and
// clients, on the nodes of a World. Kubernetes' side (addresses, redirection, DNS, certificates) is
// played here; everything between is the real code.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app.h"
#include "ca/authority.h"
#include "control_plane.h"
#include "http/client.h"
#include "proxy/server/server.h"
#include "world.h"

namespace lateen::mesh_test {

struct PortSpec {
  std::string name = "http";
  int port = 80;
  int target = 0;  // 0: as `port`
  bool is_tcp = false;
  std::shared_ptr<const tls::Context> tls;  // of the application itself
};

struct PodSpec {
  std::string name;
  std::string app;
  std::string version = "v1";
  std::string ns = "default";
  std::string ip;
  data::JsonObject labels;  // beside app and version
  bool has_proxy = true;
  bool is_gateway = false;
  bool is_external = false;  // outside of the cluster: Kubernetes does not know it
  std::vector<PortSpec> ports;
};

// One pod's processes.
class Pod {
 public:
  const PodSpec& spec() const { return spec_; }
  proxy::Server* proxy() { return proxy_.get(); }
  App* app(int port);
  Node& app_node() { return app_node_; }
  Node* proxy_node() { return proxy_node_; }
  bool is_running() const { return is_running_; }
  std::string spiffe() const;

 private:
  friend class Mesh;
  Pod(PodSpec spec, Node& app_node, Node* proxy_node)
      : spec_(std::move(spec)), app_node_(app_node), proxy_node_(proxy_node) {}
  PodSpec spec_;
  Node& app_node_;
  Node* proxy_node_;
  std::unique_ptr<proxy::Server> proxy_;
  std::map<int, std::unique_ptr<App>> apps_;
  bool is_running_ = false;
};

class Mesh {
 public:
  struct Options {
    bool is_watching = false;      // the control plane reads an API server in memory
    std::string access_log;        // file of all proxies; empty: none
    data::JsonObject mesh_config;  // fields beside those that are needed here
  };
  Mesh(World& world, Options options);
  ~Mesh();

  World& world() { return world_; }
  ControlPlane* control_plane() { return control_plane_.get(); }

  // What the API server holds. Tells the control plane when it runs.
  void put(const data::Json& object);
  void remove(const data::Json& object);
  std::vector<data::Json> objects() const;

  // A Service of all pods with this app label.
  void add_service(const std::string& ns, const std::string& app, const std::string& cluster_ip,
                   const std::vector<PortSpec>& ports);
  // A pod: its object, its part of the app's EndpointSlice, its processes (started with the mesh).
  Pod& add_pod(PodSpec spec);
  // Endpoints follow: pods that run are ready.
  void publish_endpoints(const std::string& ns, const std::string& app);
  const std::vector<std::unique_ptr<Pod>>& pods() const { return pods_; }
  Pod* find_pod(std::string_view name);  // by name, or the first of an app

  // DNS outside of the cluster. resolve(): cluster names as a pod in `ns` means them, then these.
  void add_name(const std::string& host, const std::string& ip) { names_[host] = ip; }
  Result<net::Ip> resolve(std::string_view host, std::string_view ns) const;

  // Starts what is there; false when not everything serves within a virtual minute.
  bool start();
  void start_control_plane();
  void stop_control_plane();
  void start_pod(Pod& pod);  // application and proxy
  void stop_pod(Pod& pod);   // at once, as by SIGKILL
  void restart_proxy(Pod& pod);
  // True when every proxy runs, holds a stream and has acknowledged what it was sent last.
  bool is_converged() const;
  bool converge(nanoseconds limit);

  const ca::Authority& authority() const { return *authority_; }
  // Faults: what a dial meets, after the address was found. May change the route.
  using Meddle = std::function<void(Node& from, const net::Address& to, Route& route)>;
  void set_meddler(Meddle meddle) { meddle_ = std::move(meddle); }

 private:
  struct Place {
    Pod* pod = nullptr;
    bool is_proxy = false;
  };
  struct Service {
    std::string ns, app, cluster_ip;
    std::vector<PortSpec> ports;
  };
  class Names;
  Route route(Node& from, const net::Address& to, const net::DialOptions& options);
  Door door_of(const Place& from, const net::Address& to, const net::DialOptions& options);
  Door proxy_door(Pod& pod, const net::Address& to, bool is_inbound);
  Door app_door(Pod& pod, const net::Address& to);
  void start_proxy(Pod& pod);
  void stop_proxy(Pod& pod);
  std::string bootstrap_of(const Pod& pod) const;

  World& world_;
  Options options_;
  std::unique_ptr<ca::Authority> authority_;
  Node& control_node_;
  std::unique_ptr<ControlPlane> control_plane_;
  std::map<std::string, data::Json> objects_;  // by kind, namespace and name
  std::vector<std::unique_ptr<Pod>> pods_;
  std::map<const Node*, Place> places_;
  std::vector<Service> services_;
  std::map<std::string, std::string> names_;
  Meddle meddle_;
  bool is_started_ = false;
};

}  // namespace lateen::mesh_test
