// Pools are made on first use, one per host and protocol. A pool whose host left the endpoints
// drains and goes when idle.

#include "proxy/cluster/upstream.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "proxy/cluster/host_connector.h"

namespace lateen::proxy {

namespace {
constexpr std::size_t kMaxAddressHosts = 4096;
}

struct Upstream::Pool {
  std::unique_ptr<http::ClientPool> pool;
};

Upstream::Upstream(event::Loop& loop, ClusterRef config, EndpointsRef endpoints,
                   const OutlierReport& report, Surroundings& surroundings)
    : loop_(loop), config_(std::move(config)), report_(report), surroundings_(surroundings) {
  if (endpoints != nullptr) set_endpoints(std::move(endpoints));
}

Upstream::~Upstream() = default;

void Upstream::set_endpoints(EndpointsRef endpoints) {
  endpoints_ = std::move(endpoints);
  // Made when the first request asks: of a thousand clusters a worker uses few.
  balancer_ = nullptr;
  if (pools_.empty()) return;
  std::set<std::pair<net::Address, std::string>> present;
  for (const auto& priority : endpoints_->priorities)
    for (const auto& group : priority)
      for (const auto& host : group.hosts) present.emplace(host->address, host->special_key());
  for (auto it = pools_.begin(); it != pools_.end();) {
    const std::string& special = it->first.special;
    if (present.contains({it->first.address, special.substr(0, special.find('\n'))})) {
      ++it;
      continue;
    }
    it->second->pool->drain();
    retired_.push_back(std::move(it->second));
    it = pools_.erase(it);
  }
}

HostRef Upstream::pick(const PickContext& context) {
  if (endpoints_ == nullptr) return nullptr;
  if (balancer_ == nullptr)
    balancer_ = std::make_unique<LoadBalancer>(config_, endpoints_, loop_.random());
  return balancer_->pick(context, loop_.now());
}

HostRef Upstream::usable_host(const net::Address& address) const {
  if (endpoints_ == nullptr) return nullptr;
  for (const auto& priority : endpoints_->priorities)
    for (const auto& group : priority)
      for (const auto& host : group.hosts)
        if (host->address == address && host->is_available()) return host;
  return nullptr;
}

Upstream::HostCounts Upstream::count_hosts() const {
  HostCounts counts;
  if (endpoints_ == nullptr) return counts;
  for (const auto& priority : endpoints_->priorities)
    for (const auto& group : priority)
      for (const auto& host : group.hosts) {
        ++counts.all;
        if (host->is_available()) ++counts.usable;
        else if (host->state->is_ejected.load(std::memory_order_relaxed)) ++counts.ejected;
        else if (host->state->is_check_failed.load(std::memory_order_relaxed))
          ++counts.failed_check;
        else ++counts.unhealthy;
      }
  return counts;
}

HostRef Upstream::host_for_address(const net::Address& address) {
  if (const auto found = address_hosts_.find(address); found != address_hosts_.end())
    return found->second;
  if (address_hosts_.size() >= kMaxAddressHosts) address_hosts_.clear();
  HostConfig host;
  host.address = address;
  host.transport_socket = config_->socket_for({});
  host.state = std::make_shared<HostState>();
  return address_hosts_[address] = std::make_shared<const HostConfig>(std::move(host));
}

HostRef Upstream::host_for_name(std::string_view authority, std::uint16_t default_port) {
  std::string_view name = authority;
  std::uint16_t port = default_port;
  const auto bracket = authority.rfind(']');
  const auto colon = authority.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket) &&
      authority.find(':') == (bracket == std::string_view::npos ? colon : authority.find(':'))) {
    const auto number = parse_uint(authority.substr(colon + 1));
    if (!number || *number == 0 || *number > 65535) return nullptr;
    port = static_cast<std::uint16_t>(*number);
    name = authority.substr(0, colon);
  }
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  if (name.empty() || name.size() > 253) return nullptr;
  if (const auto ip = net::Ip::parse(name); ip.ok())
    return host_for_address(net::Address(*ip, port));
  const std::string key = to_lower(name) + ':' + std::to_string(port);
  if (const auto found = name_hosts_.find(key); found != name_hosts_.end()) return found->second;
  if (name_hosts_.size() >= kMaxAddressHosts) name_hosts_.clear();
  HostConfig host;
  host.hostname = to_lower(name);
  host.dns_name = host.hostname;
  host.address = net::Address(net::Ip(), port);
  host.transport_socket = config_->socket_for({});
  host.state = std::make_shared<HostState>();
  return name_hosts_[key] = std::make_shared<const HostConfig>(std::move(host));
}

PoolKey Upstream::key_of(const HostConfig& host) const {
  PoolKey key;
  key.address = host.address;
  key.transport_socket = host.transport_socket;
  key.special = host.special_key();
  return key;
}

bool Upstream::needs_passage(const HostConfig& host) const {
  return !host.internal_name.empty() ||
         config_->transport_sockets[host.transport_socket].proxy_protocol.has_value();
}

http::ClientPool& Upstream::pool(const HostRef& host, const PoolKey& key, PassageRef passage) {
  auto& slot = pools_[key];
  if (slot == nullptr) {
    http::ClientOptions options;
    options.protocol = key.protocol;
    options.connect_timeout = config_->connect_timeout;
    options.idle_timeout = config_->idle_timeout;
    options.max_connections = std::min<std::uint32_t>(config_->breaker.max_connections, 1u << 20);
    options.max_pending = std::min<std::uint32_t>(config_->breaker.max_pending, 1u << 20);
    options.max_requests_per_connection = config_->max_requests_per_connection;
    options.max_concurrent_streams = config_->max_concurrent_streams;
    options.is_h1_header_case_kept = config_->is_h1_header_case_kept;
    options.h2_ping_interval = config_->h2_ping_interval;
    options.h2_ping_timeout = config_->h2_ping_timeout;
    options.max_connection_duration = config_->max_connection_duration;
    options.preconnect_ratio = config_->preconnect_ratio;
    auto connector = std::make_unique<HostConnector>(loop_, surroundings_, config_, host, key.alpn,
                                                     key.server_name, std::move(passage));
    slot = std::make_unique<Pool>();
    slot->pool = http::make_client_pool(loop_, std::move(connector), options);
  }
  return *slot->pool;
}

void Upstream::connect(event::Scope& scope, const HostRef& host,
                       const std::vector<std::string>& alpn,
                       event::Completion<std::unique_ptr<net::Stream>> done, PassageRef passage) {
  // The connector is needed only until connect() returned: what it starts holds its own references.
  HostConnector connector(loop_, surroundings_, config_, host, alpn, {}, std::move(passage));
  connector.connect(scope, config_->connect_timeout, std::move(done));
}

void Upstream::count_failure(std::atomic<std::uint32_t>& counter, std::uint32_t limit,
                             const HostConfig& host, ClusterStat why) {
  const std::uint32_t count = counter.fetch_add(1, std::memory_order_relaxed) + 1;
  if (limit == 0 || count < limit || host.state->is_ejected.load(std::memory_order_relaxed)) return;
  counter.store(0, std::memory_order_relaxed);
  if (report_) report_(config_->name, host.address.to_string(), why);
}

void Upstream::report_result(const HostConfig& host, int status) {
  HostState& state = *host.state;
  if (status >= 500) state.rq_error.add();
  else state.rq_success.add();
  if (!config_->outlier) return;
  if (status < 500) {
    state.consecutive_5xx.store(0, std::memory_order_relaxed);
    state.consecutive_gateway.store(0, std::memory_order_relaxed);
    return;
  }
  count_failure(state.consecutive_5xx, config_->outlier->consecutive_5xx, host,
                ClusterStat::kEjectionsConsecutive5xx);
  if (status >= 502 && status <= 504)
    count_failure(state.consecutive_gateway, config_->outlier->consecutive_gateway, host,
                  ClusterStat::kEjectionsGateway);
}

void Upstream::report_local_failure(const HostConfig& host) {
  host.state->rq_error.add();
  if (!config_->outlier) return;
  if (config_->outlier->is_local_split) {
    count_failure(host.state->consecutive_local, config_->outlier->consecutive_local, host,
                  ClusterStat::kEjectionsLocal);
    return;
  }
  count_failure(host.state->consecutive_5xx, config_->outlier->consecutive_5xx, host,
                ClusterStat::kEjectionsConsecutive5xx);
  count_failure(host.state->consecutive_gateway, config_->outlier->consecutive_gateway, host,
                ClusterStat::kEjectionsGateway);
}

void Upstream::sweep() {
  std::erase_if(retired_, [](const auto& pool) { return pool->pool->active_count() == 0; });
  using Type = ClusterConfig::Type;
  const bool has_passages = std::any_of(
      pools_.begin(), pools_.end(), [](const auto& entry) { return !entry.first.special.empty(); });
  if (config_->type != Type::kOriginalDst && config_->type != Type::kDynamicForward &&
      !has_passages)
    return;
  std::erase_if(pools_, [](const auto& entry) {
    return entry.second->pool->active_count() == 0 && entry.second->pool->connection_count() == 0;
  });
}

void Upstream::drain() {
  for (auto& [key, pool] : pools_) pool->pool->drain();
}

bool Upstream::has_active() const {
  for (const auto& [key, pool] : pools_)
    if (pool->pool->active_count() > 0) return true;
  for (const auto& pool : retired_)
    if (pool->pool->active_count() > 0) return true;
  return false;
}

}  // namespace lateen::proxy
