// Addresses, redirection and life cycles: what Kubernetes and the pods' iptables do for a real
// mesh.
#include "mesh.h"

#include <algorithm>

#include "agent/bootstrap.h"
#include "base/log.h"
#include "base/strings.h"
#include "data/yaml.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "kube/object.h"
#include "proxy/listener/worker_listener.h"
#include "proxy/server/bootstrap.h"

namespace lateen::mesh_test {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr int kOutboundPort = 15001, kInboundPort = 15006;
constexpr hours kLongLife{24 * 365 * 8};  // OpenSSL checks certificates by the machine's clock
constexpr std::string_view kPassthroughIp = "127.0.0.6";
constexpr std::string_view kDomain = "cluster.local";

std::string key_of(const Json& object) {
  return std::string(kube::kind_of(object)) + " " + kube::key_of(object).to_string();
}

Json object_of(std::string_view api_version, std::string_view kind, std::string_view ns,
               std::string_view name) {
  return JsonObject{{"apiVersion", api_version},
                    {"kind", kind},
                    {"metadata", JsonObject{{"name", name}, {"namespace", ns}}}};
}

// The client has answered all it was sent.
bool is_settled(const xds::Session& session) {
  for (const auto& [type, watch] : session.watches()) {
    if (!watch.nonce_sent.empty() && watch.nonce_sent != watch.nonce_acked &&
        watch.nonce_sent != watch.nonce_rejected)
      return false;
  }
  return !session.watches().empty();
}

JsonArray service_ports(const std::vector<PortSpec>& ports, bool is_of_slice) {
  JsonArray out;
  for (const PortSpec& port : ports) {
    const int target = port.target == 0 ? port.port : port.target;
    JsonObject one{
        {"name", port.name}, {"port", is_of_slice ? target : port.port}, {"protocol", "TCP"}};
    if (!is_of_slice) one["targetPort"] = target;
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

App* Pod::app(int port) {
  const auto found = apps_.find(port);
  return found == apps_.end() ? nullptr : found->second.get();
}
std::string Pod::spiffe() const {
  return "spiffe://cluster.local/ns/" + spec_.ns + "/sa/" + spec_.app;
}

// DNS as the proxies see it.
class Mesh::Names final : public net::Resolver {
 public:
  Names(Mesh& mesh, Node& node, std::string ns) : mesh_(mesh), node_(node), ns_(std::move(ns)) {}
  void resolve(event::Scope& scope, std::string_view name, net::Family,
               event::Completion<net::Resolved> done) override {
    const auto ip = mesh_.resolve(name, ns_);
    Result<net::Resolved> found =
        ip.ok() ? Result<net::Resolved>(net::Resolved{{*ip}, seconds(30)}) : ip.error();
    event::after(
        scope, node_, nanoseconds(0),
        [done = std::move(done), found = std::move(found)]() mutable { done(std::move(found)); });
  }

 private:
  Mesh& mesh_;
  Node& node_;
  std::string ns_;
};

Mesh::Mesh(World& world, Options options)
    : world_(world), options_(std::move(options)), control_node_(world.add_node("istiod")) {
  auto material = ca::Authority::self_signed(kDomain, world_.clock().wall());
  CHECK(material.ok());
  auto authority = ca::Authority::make(*std::move(material), {kLongLife, kLongLife});
  CHECK(authority.ok());
  authority_ = std::make_unique<ca::Authority>(*std::move(authority));
  world_.set_router([this](Node& from, const net::Address& to, const net::DialOptions& dial) {
    return route(from, to, dial);
  });
  JsonObject config = options_.mesh_config;
  if (!options_.access_log.empty()) {
    config["accessLogFile"] = options_.access_log;
    config["accessLogEncoding"] = "JSON";
  }
  Json map = object_of("v1", "ConfigMap", "istio-system", "istio");
  data::set(map, {"data", "mesh"}, Json(data::dump_yaml(config)));
  put(map);
}

Mesh::~Mesh() {
  for (const auto& pod : pods_) stop_pod(*pod);
  stop_control_plane();
}

void Mesh::put(const Json& object) {
  objects_[key_of(object)] = object;
  if (control_plane_ != nullptr) control_plane_->put(object);
}

void Mesh::remove(const Json& object) {
  objects_.erase(key_of(object));
  if (control_plane_ != nullptr) control_plane_->remove(object);
}

std::vector<Json> Mesh::objects() const {
  std::vector<Json> out;
  for (const auto& [key, object] : objects_) out.push_back(object);
  return out;
}

void Mesh::add_service(const std::string& ns, const std::string& app, const std::string& cluster_ip,
                       const std::vector<PortSpec>& ports) {
  services_.push_back({ns, app, cluster_ip, ports});
  Json service = object_of("v1", "Service", ns, app);
  data::set(service, {"spec"},
            JsonObject{{"clusterIP", cluster_ip},
                       {"selector", JsonObject{{"app", app}}},
                       {"ports", service_ports(ports, false)}});
  put(service);
}

Pod& Mesh::add_pod(PodSpec spec) {
  Node& app_node = world_.add_node(spec.name);
  Node* proxy_node =
      spec.has_proxy || spec.is_gateway ? &world_.add_node(spec.name + "/proxy") : nullptr;
  pods_.push_back(std::unique_ptr<Pod>(new Pod(std::move(spec), app_node, proxy_node)));
  Pod& pod = *pods_.back();
  places_[&app_node] = {&pod, false};
  if (proxy_node != nullptr) places_[proxy_node] = {&pod, true};
  if (!pod.spec_.is_external) {
    Json object = object_of("v1", "Pod", pod.spec_.ns, pod.spec_.name);
    JsonObject labels = pod.spec_.labels;
    labels["app"] = pod.spec_.app;
    labels["version"] = pod.spec_.version;
    if (proxy_node != nullptr) labels["security.istio.io/tlsMode"] = "istio";
    data::set(object, {"metadata", "labels"}, std::move(labels));
    JsonArray containers = {JsonObject{{"name", pod.spec_.app}}};
    if (proxy_node != nullptr) {
      const char* role = pod.spec_.is_gateway ? "router" : "sidecar";
      containers.push_back(JsonObject{{"name", "istio-proxy"}, {"args", JsonArray{"proxy", role}}});
    }
    data::set(
        object, {"spec"},
        JsonObject{{"serviceAccountName", pod.spec_.app}, {"containers", std::move(containers)}});
    const JsonObject ready{{"type", "Ready"}, {"status", "True"}};
    data::set(object, {"status"},
              JsonObject{
                  {"podIP", pod.spec_.ip}, {"phase", "Running"}, {"conditions", JsonArray{ready}}});
    put(object);
  }
  if (is_started_) start_pod(pod);
  return pod;
}

void Mesh::publish_endpoints(const std::string& ns, const std::string& app) {
  for (const Service& service : services_) {
    if (service.ns != ns || service.app != app) continue;
    Json slice = object_of("discovery.k8s.io/v1", "EndpointSlice", ns, app + "-1");
    data::set(slice, {"metadata", "labels"}, JsonObject{{"kubernetes.io/service-name", app}});
    data::set(slice, {"addressType"}, "IPv4");
    data::set(slice, {"ports"}, service_ports(service.ports, true));
    JsonArray endpoints;
    for (const auto& pod : pods_) {
      if (pod->spec_.ns != ns || pod->spec_.app != app || pod->spec_.is_external) continue;
      const bool is_ready = pod->is_running_ || !is_started_;
      endpoints.push_back(
          JsonObject{{"addresses", JsonArray{pod->spec_.ip}},
                     {"conditions", JsonObject{{"ready", is_ready}, {"serving", is_ready}}},
                     {"targetRef", JsonObject{{"kind", "Pod"}, {"name", pod->spec_.name}}}});
    }
    data::set(slice, {"endpoints"}, std::move(endpoints));
    put(slice);
  }
}

Pod* Mesh::find_pod(std::string_view name) {
  for (const auto& pod : pods_)
    if (pod->spec_.name == name) return pod.get();
  for (const auto& pod : pods_)
    if (pod->spec_.app == name) return pod.get();
  return nullptr;
}

Result<net::Ip> Mesh::resolve(std::string_view host, std::string_view ns) const {
  if (auto ip = net::Ip::parse(host); ip.ok()) return ip;
  for (const Service& service : services_) {
    const std::string full = service.app + "." + service.ns + ".svc." + std::string(kDomain);
    const std::string_view view = full;
    const bool is_named =
        host == view || host == view.substr(0, view.size() - kDomain.size() - 1) ||
        host == service.app + "." + service.ns || (host == service.app && ns == service.ns);
    if (is_named) return net::Ip::parse(service.cluster_ip);
  }
  if (const auto found = names_.find(std::string(host)); found != names_.end())
    return net::Ip::parse(found->second);
  return not_found("no such host: " + std::string(host));
}

Route Mesh::route(Node& from, const net::Address& to, const net::DialOptions& dial) {
  const Place place = places_.contains(&from) ? places_[&from] : Place{};
  Route route;
  route.door = door_of(place, to, dial);
  if (dial.source) route.from = *dial.source;
  else if (place.pod != nullptr)
    if (const auto ip = net::Ip::parse(place.pod->spec_.ip); ip.ok())
      route.from = net::Address(*ip, 0);
  if (meddle_) meddle_(from, to, route);
  return route;
}

Door Mesh::door_of(const Place& from, const net::Address& to, const net::DialOptions& dial) {
  if (to.is_unix()) {
    if (control_plane_ == nullptr || from.pod == nullptr || !to.path().ends_with("/XDS")) return {};
    return {&control_node_, to,
            [this, spiffe = from.pod->spiffe()](std::unique_ptr<net::Stream> stream) {
              if (control_plane_ != nullptr) control_plane_->accept(std::move(stream), spiffe);
            }};
  }
  const std::string ip = to.ip().to_string();
  const bool is_own = from.pod != nullptr && (to.ip().is_loopback() || ip == from.pod->spec_.ip);
  if (from.pod != nullptr && from.is_proxy && is_own) {
    const bool is_delivery = to.ip().is_loopback() || from.pod->spec_.is_gateway ||
                             (dial.source && dial.source->ip().to_string() == kPassthroughIp);
    return is_delivery ? app_door(*from.pod, to) : proxy_door(*from.pod, to, true);
  }
  if (from.pod != nullptr && !from.is_proxy && is_own) return app_door(*from.pod, to);
  if (from.pod != nullptr && !from.is_proxy && from.pod->spec_.has_proxy &&
      !from.pod->spec_.is_gateway)
    return proxy_door(*from.pod, to, false);
  for (const auto& pod : pods_) {
    if (pod->spec_.ip != ip) continue;
    return pod->spec_.is_gateway || pod->spec_.has_proxy ? proxy_door(*pod, to, true)
                                                         : app_door(*pod, to);
  }
  // A cluster address that no proxy translated: the node does, to the first ready pod.
  for (const Service& service : services_) {
    if (service.cluster_ip != ip) continue;
    for (const auto& pod : pods_) {
      if (pod->spec_.ns != service.ns || pod->spec_.app != service.app || !pod->is_running_)
        continue;
      for (const PortSpec& port : service.ports) {
        if (port.port != to.port()) continue;
        const auto address = net::Ip::parse(pod->spec_.ip);
        const int target = port.target == 0 ? port.port : port.target;
        return door_of(from, net::Address(*address, static_cast<std::uint16_t>(target)), dial);
      }
    }
  }
  return {};
}

Door Mesh::proxy_door(Pod& pod, const net::Address& to, bool is_inbound) {
  if (pod.proxy_ == nullptr) return {};
  proxy::Worker& worker = *pod.proxy_->publisher().workers().front();
  const auto find = [&pod, is_inbound, to](proxy::Worker& own) {
    if (pod.spec_.is_gateway) return own.listener_for(to);
    return own.find_listener(is_inbound ? "virtualInbound" : "virtualOutbound");
  };
  if (find(worker) == nullptr) return {};
  const auto own_ip = net::Ip::parse(pod.spec_.ip);
  const int port = is_inbound ? kInboundPort : kOutboundPort;
  const net::Address local =
      pod.spec_.is_gateway ? to : net::Address(*own_ip, static_cast<std::uint16_t>(port));
  return {pod.proxy_node_, local, [&pod, find](std::unique_ptr<net::Stream> stream) {
            if (pod.proxy_ == nullptr) return;
            auto* listener = find(*pod.proxy_->publisher().workers().front());
            if (listener != nullptr) listener->accept(std::move(stream));
          }};
}

Door Mesh::app_door(Pod& pod, const net::Address& to) {
  if (pod.app(to.port()) == nullptr) return {};
  return {&pod.app_node_, to, [&pod, port = to.port()](std::unique_ptr<net::Stream> stream) {
            if (App* app = pod.app(port)) app->accept(std::move(stream));
          }};
}

bool Mesh::start() {
  is_started_ = true;
  start_control_plane();
  for (const auto& pod : pods_) start_pod(*pod);
  return converge(seconds(60));
}

void Mesh::start_control_plane() {
  if (control_plane_ != nullptr) return;
  control_plane_ = std::make_unique<ControlPlane>(control_node_, options_.is_watching);
  for (const auto& [key, object] : objects_) control_plane_->put(object);
  control_plane_->start();
}

void Mesh::stop_control_plane() {
  control_node_.drop_work();
  control_plane_.reset();
  control_node_.drop_work();
}

void Mesh::start_pod(Pod& pod) {
  if (pod.is_running_) return;
  pod.is_running_ = true;
  for (const PortSpec& port : pod.spec_.ports) {
    const int number = port.target == 0 ? port.port : port.target;
    pod.apps_[number] =
        std::make_unique<App>(pod.app_node_, AppOptions{pod.spec_.name, port.is_tcp, port.tls});
  }
  if (pod.proxy_node_ != nullptr) start_proxy(pod);
}

void Mesh::stop_pod(Pod& pod) {
  if (!pod.is_running_) return;
  pod.is_running_ = false;
  stop_proxy(pod);
  pod.app_node_.drop_work();
  pod.apps_.clear();
  pod.app_node_.drop_work();
}

void Mesh::restart_proxy(Pod& pod) {
  stop_proxy(pod);
  start_proxy(pod);
}

void Mesh::stop_proxy(Pod& pod) {
  if (pod.proxy_ == nullptr) return;
  pod.proxy_node_->drop_work();
  pod.proxy_.reset();
  pod.proxy_node_->drop_work();
}

std::string Mesh::bootstrap_of(const Pod& pod) const {
  const PodSpec& spec = pod.spec_;
  agent::Options options;
  options.role = spec.is_gateway ? agent::Role::kRouter : agent::Role::kSidecar;
  options.domain = spec.ns + ".svc." + std::string(kDomain);
  options.pod_name = spec.name;
  options.pod_namespace = spec.ns;
  options.ips = {spec.ip};
  options.service_account = spec.app;
  options.metadata = {{"WORKLOAD_NAME", spec.app + "-" + spec.version},
                      {"CLUSTER_ID", "Kubernetes"},
                      {"MESH_ID", std::string(kDomain)},
                      {"INTERCEPTION_MODE", "REDIRECT"}};
  options.labels = spec.labels;
  options.labels["app"] = spec.app;
  options.labels["version"] = spec.version;
  options.labels["service.istio.io/canonical-name"] = spec.app;
  options.labels["service.istio.io/canonical-revision"] = spec.version;
  if (const auto found = options_.mesh_config.if_contains("defaultConfig"))
    options.proxy_config = *found;
  else options.proxy_config = JsonObject();
  Json bootstrap = agent::make_bootstrap(options, true);
  data::erase(bootstrap, {"admin"});  // a real socket
  const auto issued = authority_->issue_serving({}, pod.spiffe(), kLongLife, world_.clock().wall());
  CHECK(issued.ok());
  const auto inlined = [](const std::string& text) { return JsonObject{{"inline_string", text}}; };
  Json identity =
      JsonObject{{"name", "default"},
                 {"tls_certificate", JsonObject{{"certificate_chain", inlined(issued->chain_pem)},
                                                {"private_key", inlined(issued->key_pem)}}}};
  Json root = JsonObject{
      {"name", "ROOTCA"},
      {"validation_context", JsonObject{{"trusted_ca", inlined(authority_->root_pem())}}}};
  data::set(bootstrap, {"static_resources", "secrets"},
            JsonArray{std::move(identity), std::move(root)});
  return data::dump_json(bootstrap);
}

void Mesh::start_proxy(Pod& pod) {
  proxy::Options options;
  options.config_yaml = bootstrap_of(pod);
  options.drain_time = seconds(5);
  auto bootstrap = proxy::load_bootstrap(options);
  CHECK(bootstrap.ok());
  pod.proxy_ = std::make_unique<proxy::Server>(
      *pod.proxy_node_, options, *std::move(bootstrap),
      std::make_unique<Names>(*this, *pod.proxy_node_, pod.spec_.ns));
  const auto started = pod.proxy_->start();
  if (!started.ok()) LOG(kError, "mesh", "{}: {}", pod.spec_.name, started.error().message());
  CHECK(started.ok());
}

bool Mesh::is_converged() const {
  if (control_plane_ == nullptr) return false;
  std::map<std::string, const discovery::Ads::Stream*> streams;
  const auto all = control_plane_->ads().streams();
  for (const auto& stream : all)
    if (stream.proxy) streams[stream.proxy->pod] = &stream;
  for (const auto& pod : pods_) {
    if (pod->proxy_ == nullptr) continue;
    if (pod->proxy_->state() != proxy::ServerState::kLive) return false;
    const auto found = streams.find(pod->spec_.name);
    if (found == streams.end() || found->second->session == nullptr) return false;
    if (!is_settled(*found->second->session)) return false;
  }
  return true;
}

bool Mesh::converge(nanoseconds limit) {
  if (control_plane_ != nullptr) control_plane_->sync();
  // Debounce and the first push come before it is worth looking.
  world_.run_for(milliseconds(20));
  return world_.run_until([this] { return is_converged(); }, limit);
}

}  // namespace lateen::mesh_test
