// See service_addresses.h. Random picks keep clear of the lowest addresses, which people assign by
// hand.
#include "cluster/apiserver/service_addresses.h"

#include <fmt/format.h>

namespace lateen::cluster::apiserver {
namespace {

constexpr std::uint32_t kReservedLow = 256;

bool needs_ip(const Json& service) {
  return data::get_string(service, {"spec", "type"}, "ClusterIP") != "ExternalName";
}
bool needs_node_ports(const Json& service) {
  const auto type = data::get_string(service, {"spec", "type"});
  if (type == "NodePort") return true;
  return type == "LoadBalancer" &&
         data::get_bool(service, {"spec", "allocateLoadBalancerNodePorts"}, true);
}
std::string ip_of(const Json& service) {
  return std::string(data::get_string(service, {"spec", "clusterIP"}));
}
bool is_real_ip(const std::string& ip) { return !ip.empty() && ip != "None"; }

std::set<int> node_ports_of(const Json& service) {
  std::set<int> ports;
  for (const auto& port : data::get_array(service, {"spec", "ports"})) {
    if (const auto number = data::get_int(port, {"nodePort"}); number != 0)
      ports.insert(static_cast<int>(number));
  }
  if (const auto number = data::get_int(service, {"spec", "healthCheckNodePort"}); number != 0) {
    ports.insert(static_cast<int>(number));
  }
  return ports;
}

Status refused(const Json& service, std::string field, const Json& value, std::string_view why) {
  FieldErrors errors;
  errors.invalid(std::move(field), value, why);
  return Status::invalid("", "Service", kube::name_of(service), errors);
}

}  // namespace

ServiceAddresses::ServiceAddresses(const std::string& cidr, int first_port, int last_port,
                                   SharedRandom& random)
    : cidr_(net::Cidr::parse(cidr).value_or(net::Cidr(net::Ip::v4(0x0a600000), 16))),
      first_port_(first_port),
      last_port_(last_port),
      random_(random) {}

void ServiceAddresses::load(const Store& store) {
  const auto services = store.list("/services");
  std::lock_guard lock(mutex_);
  for (const auto& service : services.items) {
    if (const auto ip = ip_of(service->value); is_real_ip(ip)) ips_.insert(ip);
    for (const int port : node_ports_of(service->value)) ports_.insert(port);
  }
}

ServiceAddresses::Claim& ServiceAddresses::Claim::operator=(Claim&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(ips_, other.ips_);
  std::swap(ports_, other.ports_);
  std::swap(dropped_ips_, other.dropped_ips_);
  std::swap(dropped_ports_, other.dropped_ports_);
  return *this;
}

void ServiceAddresses::Claim::keep() {
  if (owner_ == nullptr) return;
  std::lock_guard lock(owner_->mutex_);
  for (const auto& ip : dropped_ips_) owner_->ips_.erase(ip);
  for (const int port : dropped_ports_) owner_->ports_.erase(port);
  owner_ = nullptr;
}

ServiceAddresses::Claim::~Claim() {
  if (owner_ == nullptr) return;
  std::lock_guard lock(owner_->mutex_);
  for (const auto& ip : ips_) owner_->ips_.erase(ip);
  for (const int port : ports_) owner_->ports_.erase(port);
}

std::string ServiceAddresses::nth_ip(std::uint32_t n) const {
  return net::Ip::v4(cidr_.ip().v4_bits() + n).to_string();
}

Outcome<> ServiceAddresses::claim_ip(const Json& service, const std::string& ip, Claim& claim) {
  auto parsed = net::Ip::parse(ip);
  if (!parsed.ok() || !cidr_.contains(*parsed)) {
    return refused(
        service, "spec.clusterIPs", JsonArray{Json(ip)},
        fmt::format(
            "failed to allocate IP {}: the provided network does not match the current range", ip));
  }
  std::lock_guard lock(mutex_);
  if (!ips_.insert(ip).second) {
    return refused(service, "spec.clusterIPs", JsonArray{Json(ip)},
                   fmt::format("failed to allocate IP {}: provided IP is already allocated", ip));
  }
  claim.ips_.push_back(ip);
  return {};
}

Outcome<std::string> ServiceAddresses::pick_ip(Claim& claim) {
  const std::uint32_t size = 1u << (32 - cidr_.prefix_bits());
  const std::uint32_t low = size > 2 * kReservedLow ? kReservedLow : 2;
  std::lock_guard lock(mutex_);
  const std::uint32_t span = size - low - 1;
  const auto start = static_cast<std::uint32_t>(random_.below(span));
  for (std::uint32_t i = 0; i < span; ++i) {
    const std::string ip = nth_ip(low + (start + i) % span);
    if (!ips_.insert(ip).second) continue;
    claim.ips_.push_back(ip);
    return ip;
  }
  return Status::internal("failed to allocate a serviceIP: range is full");
}

Outcome<int> ServiceAddresses::pick_port(Claim& claim) {
  const int span = last_port_ - first_port_ + 1;
  std::lock_guard lock(mutex_);
  const int start = static_cast<int>(random_.below(static_cast<std::uint64_t>(span)));
  for (int i = 0; i < span; ++i) {
    const int port = first_port_ + (start + i) % span;
    if (!ports_.insert(port).second) continue;
    claim.ports_.push_back(port);
    return port;
  }
  return Status::internal("failed to allocate a nodePort: range is full");
}

Outcome<ServiceAddresses::Claim> ServiceAddresses::claim_for_create(Json& service) {
  Claim claim;
  claim.owner_ = this;
  if (needs_ip(service)) {
    std::string ip = ip_of(service);
    if (ip.empty()) {
      ip = TRY(pick_ip(claim));
    } else if (ip != "None") {
      TRY(claim_ip(service, ip, claim));
    }
    data::set(service, {"spec", "clusterIP"}, Json(ip));
    data::set(service, {"spec", "clusterIPs"}, JsonArray{Json(ip)});
  }
  TRY(claim_ports(nullptr, service, claim));
  return claim;
}

Outcome<ServiceAddresses::Claim> ServiceAddresses::claim_for_update(const Json& before,
                                                                    Json& service) {
  Claim claim;
  claim.owner_ = this;
  const std::string old_ip = ip_of(before);
  std::string ip = ip_of(service);
  if (needs_ip(service)) {
    if (ip.empty()) ip = old_ip;  // Clients may leave it out; it is immutable.
    if (ip.empty()) {
      ip = TRY(pick_ip(claim));
    } else if (ip != old_ip) {
      if (is_real_ip(old_ip)) {
        return refused(service, "spec.clusterIPs[0]", JsonArray{Json(ip)},
                       "may not change once set");
      }
      if (ip != "None") TRY(claim_ip(service, ip, claim));
    }
    data::set(service, {"spec", "clusterIP"}, Json(ip));
    data::set(service, {"spec", "clusterIPs"}, JsonArray{Json(ip)});
  } else {
    data::erase(service, {"spec", "clusterIP"});
    data::erase(service, {"spec", "clusterIPs"});
  }
  TRY(claim_ports(&before, service, claim));
  const auto kept = node_ports_of(service);
  for (const int port : node_ports_of(before)) {
    if (!kept.contains(port)) claim.dropped_ports_.push_back(port);
  }
  if (is_real_ip(old_ip) && old_ip != ip_of(service)) claim.dropped_ips_.push_back(old_ip);
  return claim;
}

Outcome<> ServiceAddresses::claim_ports(const Json* before, Json& service, Claim& claim) {
  auto* ports_value = data::find(service, {"spec", "ports"});
  auto* ports = ports_value == nullptr ? nullptr : ports_value->if_array();
  if (ports == nullptr) return {};
  if (!needs_node_ports(service)) {
    // A type change to ClusterIP drops ports that were allocated, not asked for.
    if (before == nullptr || !needs_node_ports(*before)) return {};
    for (auto& port : *ports) data::erase(port, {"nodePort"});
    return {};
  }
  const std::set<int> held = before != nullptr ? node_ports_of(*before) : std::set<int>();
  std::set<int> asked;
  for (std::size_t i = 0; i < ports->size(); ++i) {
    Json& port = (*ports)[i];
    auto number = static_cast<int>(data::get_int(port, {"nodePort"}));
    if (number == 0 && before != nullptr) {
      // An update that leaves nodePort out keeps the one of the same port.
      for (const auto& old : data::get_array(*before, {"spec", "ports"})) {
        if (data::get_int(old, {"port"}) != data::get_int(port, {"port"})) continue;
        if (data::get_string(old, {"protocol"}, "TCP") !=
            data::get_string(port, {"protocol"}, "TCP"))
          continue;
        number = static_cast<int>(data::get_int(old, {"nodePort"}));
      }
    }
    const std::string field = fmt::format("spec.ports[{}].nodePort", i);
    if (number == 0) {
      number = TRY(pick_port(claim));
    } else if (number < first_port_ || number > last_port_) {
      return refused(
          service, field, Json(number),
          fmt::format("provided port is not in the valid range. The range of valid ports is {}-{}",
                      first_port_, last_port_));
    } else if (!held.contains(number) && !asked.contains(number)) {
      std::lock_guard lock(mutex_);
      if (!ports_.insert(number).second) {
        return refused(service, field, Json(number), "provided port is already allocated");
      }
      claim.ports_.push_back(number);
    }
    asked.insert(number);
    data::set(port, {"nodePort"}, Json(number));
  }
  const bool wants_health = data::get_string(service, {"spec", "type"}) == "LoadBalancer" &&
                            data::get_string(service, {"spec", "externalTrafficPolicy"}) == "Local";
  if (wants_health && data::get_int(service, {"spec", "healthCheckNodePort"}) == 0) {
    data::set(service, {"spec", "healthCheckNodePort"}, Json(TRY(pick_port(claim))));
  }
  return {};
}

void ServiceAddresses::release(const Json& service) {
  std::lock_guard lock(mutex_);
  if (const auto ip = ip_of(service); is_real_ip(ip)) ips_.erase(ip);
  for (const int port : node_ports_of(service)) ports_.erase(port);
}

}  // namespace lateen::cluster::apiserver
