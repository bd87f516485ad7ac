// The balancer: changed services in, one transaction out.
#include "cluster/balancer/balancer.h"

#include <fmt/format.h>

#include <future>

#include "base/log.h"
#include "event/epoll_loop.h"

namespace lateen::cluster::balancer {

namespace {
constexpr seconds kSyncLimit{30};
constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";
}  // namespace

Balancer::Balancer(kube::Client& client, const Clock& clock, HostPorts* host_ports)
    : client_(client), clock_(clock), host_ports_(host_ports) {}

Balancer::~Balancer() {
  pods_.reset();
  slices_.reset();
  services_.reset();
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
  if (loop_thread_.joinable()) {
    loop_->post([this] {
      host_port_table_.clear();
      loop_->stop();
    });
    loop_thread_.join();
  }
}

Result<> Balancer::start() {
  TRY(os::nft_apply(table_setup()).at("setting up service addresses"));
  loop_ = TRY(event::make_epoll_loop(clock_, system_random()));
  loop_thread_ = std::thread([this] { loop_->run(); });
  const auto note = [this](kube::Key key) {
    const std::lock_guard lock(mutex_);
    dirty_.services.insert(std::move(key));
    changed_.notify_one();
  };
  services_ = std::make_unique<kube::Informer>(client_, kube::resources::services());
  services_->on_change([note](const kube::Change& change) { note(kube::key_of(change.object())); });
  slices_ = std::make_unique<kube::Informer>(client_, kube::resources::endpoint_slices());
  slices_->on_change([note](const kube::Change& change) {
    note({std::string(kube::namespace_of(change.object())),
          std::string(kube::label(change.object(), kServiceLabel))});
  });
  pods_ = std::make_unique<kube::Informer>(client_, kube::resources::pods());
  pods_->on_change([this](const kube::Change& change) {
    const bool concerns_us = (change.before != nullptr && !host_ports_of(*change.before).empty()) ||
                             (change.after != nullptr && !host_ports_of(*change.after).empty());
    if (!concerns_us) return;
    const std::lock_guard lock(mutex_);
    dirty_.pods.insert(kube::key_of(change.object()));
    changed_.notify_one();
  });
  services_->start();
  slices_->start();
  pods_->start();
  if (!services_->wait_synced(kSyncLimit) || !slices_->wait_synced(kSyncLimit) ||
      !pods_->wait_synced(kSyncLimit))
    return unavailable("the API server does not list services");
  worker_ = std::thread([this] { work(); });
  return {};
}

void Balancer::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return is_stopping_ || !dirty_.empty(); });
    if (is_stopping_) return;
    const Changes changed = std::exchange(dirty_, {});
    lock.unlock();
    apply(changed);
    lock.lock();
  }
}

std::vector<kube::ObjectPtr> Balancer::slices_of(const kube::Key& service) const {
  std::vector<kube::ObjectPtr> own;
  for (auto& slice : slices_->list(service.ns))
    if (kube::label(*slice, kServiceLabel) == service.name) own.push_back(std::move(slice));
  return own;
}

void Balancer::apply(const Changes& changed) {
  for (const kube::Key& key : changed.pods) {
    const auto pod = pods_->find(key);
    if (pod == nullptr) by_pod_.erase(key);
    else by_pod_[key] = rules_of_pod(*pod);
  }
  for (const kube::Key& key : changed.services) {
    const auto service = services_->find(key);
    if (service == nullptr) {
      by_service_.erase(key);
    } else {
      Rules rules = rules_of(*service, slices_of(key));
      by_service_[key] = std::move(rules);
    }
  }
  Rules wanted;
  for (const auto& [key, rules] : by_service_) wanted.add(rules);
  for (const auto& [key, rules] : by_pod_) wanted.add(rules);
  const std::string commands = transaction(applied_, wanted);
  if (!commands.empty()) {
    auto done = os::nft_apply(commands);
    if (done.ok()) {
      applied_ = std::move(wanted);
    } else {
      // Out of step with the kernel, for whatever reason: begin again from nothing.
      LOG(kError, "balancer", "service rules were refused, setting all up again: {}",
          done.error().message());
      auto again = os::nft_apply(table_setup() + transaction(Rules{}, wanted));
      if (again.ok()) applied_ = std::move(wanted);
      else LOG(kError, "balancer", "service rules were refused again: {}", again.error().message());
    }
  }
  for (const kube::Key& key : changed.services) {
    const auto service = services_->find(key);
    update_load_balancer(key, service.get());
  }
  if (host_ports_ == nullptr) return;
  for (const kube::Key& key : changed.pods) {
    std::map<int, net::Address> ports;
    const auto pod = pods_->find(key);
    if (pod != nullptr) {
      for (const auto& [port, endpoint] : host_ports_of(*pod)) {
        auto ip = net::Ip::parse(endpoint.ip);
        if (ip.ok())
          ports[port.second + (port.first ? HostPorts::kUdp : 0)] =
              net::Address(*ip, static_cast<std::uint16_t>(endpoint.port));
      }
    }
    update_ports("pod " + key.to_string(), ports, {});
  }
}

void Balancer::update_load_balancer(const kube::Key& key, const Json* service) {
  if (host_ports_ == nullptr) return;
  std::map<int, net::Address> wanted;
  std::set<int> important;
  const auto type =
      service != nullptr ? data::get_string(*service, {"spec", "type"}) : std::string_view();
  const bool is_load_balancer = type == "LoadBalancer";
  if (is_load_balancer || type == "NodePort") {
    auto ip = net::Ip::parse(data::get_string(*service, {"spec", "clusterIP"}));
    if (!ip.ok()) return;
    for (const Json& port : data::get_array(*service, {"spec", "ports"})) {
      const auto protocol = data::get_string(port, {"protocol"}, "TCP");
      if (protocol != "TCP" && protocol != "UDP") continue;
      const int udp = protocol == "UDP" ? HostPorts::kUdp : 0;
      const net::Address to(*ip, static_cast<std::uint16_t>(data::get_int(port, {"port"})));
      // A LoadBalancer's own ports are the way in; its node ports are for the node's address.
      if (is_load_balancer) {
        wanted[to.port() + udp] = to;
        important.insert(to.port() + udp);
      } else if (const auto node_port = data::get_int(port, {"nodePort"}); node_port > 0) {
        wanted[static_cast<int>(node_port) + udp] = to;
      }
    }
  }
  const bool is_reachable = update_ports("service " + key.to_string(), wanted, important);
  if (is_load_balancer) publish_ingress(*service, is_reachable);
}

bool Balancer::update_ports(const std::string& owner, const std::map<int, net::Address>& wanted,
                            const std::set<int>& important) {
  std::vector<int> unwanted;
  for (const auto& [port, entry] : host_port_table_) {
    const auto kept = wanted.find(port);
    if (entry.owner == owner && (kept == wanted.end() || kept->second != entry.to))
      unwanted.push_back(port);
  }
  for (const int port : unwanted) close_host_port(port);
  bool is_reachable = false;
  for (const auto& [port, to] : wanted) {
    const auto found = host_port_table_.find(port);
    if (found != host_port_table_.end()) {
      is_reachable = is_reachable || (found->second.owner == owner && important.contains(port));
      continue;
    }
    auto opened = open_host_port(port, owner, to);
    if (opened.ok()) is_reachable = is_reachable || important.contains(port);
    else
      LOG(kWarn, "balancer", "port {} of {}: {}", port % HostPorts::kUdp, owner,
          opened.error().message());
  }
  // Ports that just came free may be what others wait for.
  if (unwanted.empty()) return is_reachable;
  const std::lock_guard lock(mutex_);
  for (const auto& other : services_->list()) {
    const kube::Key key = kube::key_of(*other);
    const auto type = data::get_string(*other, {"spec", "type"});
    if ("service " + key.to_string() != owner && (type == "LoadBalancer" || type == "NodePort"))
      dirty_.services.insert(key);
  }
  for (const auto& [key, rules] : by_pod_)
    if ("pod " + key.to_string() != owner) dirty_.pods.insert(key);
  return is_reachable;
}

Result<> Balancer::open_host_port(int port, const std::string& owner, const net::Address& to) {
  Fd listening = TRY(host_ports_->listen(port));
  HostPort& entry = host_port_table_[port];
  entry.owner = owner;
  entry.to = to;
  std::promise<void> made;
  loop_->post([&] {
    if (port >= HostPorts::kUdp) {
      entry.udp_relay = std::make_unique<UdpRelay>(*loop_, std::move(listening), to);
    } else {
      entry.relay = std::make_unique<Relay>(*loop_, std::move(listening), to);
    }
    made.set_value();
  });
  made.get_future().wait();
  return {};
}

void Balancer::close_host_port(int port) {
  std::promise<void> ended;
  loop_->post([&] {
    host_port_table_[port].relay.reset();
    host_port_table_[port].udp_relay.reset();
    ended.set_value();
  });
  ended.get_future().wait();
  host_port_table_.erase(port);
  host_ports_->close(port);
}

void Balancer::publish_ingress(const Json& service, bool is_reachable) {
  data::JsonArray ingress;
  if (is_reachable) {
    ingress.push_back(data::JsonObject{{"hostname", "localhost"}});
  }
  const Json* now = data::find(service, {"status", "loadBalancer", "ingress"});
  const bool is_same = now == nullptr ? ingress.empty() : data::equal(*now, ingress);
  if (is_same) return;
  const Json patch = data::JsonObject{
      {"status", data::JsonObject{{"loadBalancer", data::JsonObject{{"ingress", ingress}}}}}};
  auto patched = client_.patch(kube::resources::services(), kube::key_of(service),
                               kube::Patch::kMerge, patch, {.subresource = "status"});
  if (!patched.ok() && patched.error().code() != Code::kNotFound)
    LOG(kWarn, "balancer", "status of service {}: {}", kube::key_of(service).to_string(),
        patched.error().message());
}

}  // namespace lateen::cluster::balancer
