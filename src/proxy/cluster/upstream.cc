// Pools are made on first use, one per host and protocol. A pool whose host left the endpoints
// drains and goes when idle.

#include "proxy/cluster/upstream.h"

#include "base/log.h"
#include "proxy/cluster/counted_stream.h"

namespace lateen::proxy {

namespace {
constexpr std::size_t kMaxAddressHosts = 4096;
}

struct Upstream::Pool {
  std::unique_ptr<http::ClientPool> pool;
};

Upstream::Upstream(event::Loop& loop, ClusterRef config, EndpointsRef endpoints,
                   const OutlierReport& report)
    : loop_(loop), config_(std::move(config)), report_(report) {
  if (endpoints != nullptr) set_endpoints(std::move(endpoints));
}

Upstream::~Upstream() = default;

void Upstream::set_endpoints(EndpointsRef endpoints) {
  endpoints_ = std::move(endpoints);
  balancer_ = std::make_unique<LoadBalancer>(config_, endpoints_, loop_.random());
  std::map<net::Address, bool> present;
  for (const auto& priority : endpoints_->priorities)
    for (const auto& group : priority)
      for (const auto& host : group.hosts) present[host->address] = true;
  for (auto it = pools_.begin(); it != pools_.end();) {
    if (present.contains(it->first.address)) {
      ++it;
      continue;
    }
    it->second->pool->drain();
    retired_.push_back(std::move(it->second));
    it = pools_.erase(it);
  }
}

HostRef Upstream::pick(const PickContext& context) {
  return balancer_ == nullptr ? nullptr : balancer_->pick(context);
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

http::ClientPool& Upstream::pool(const HostRef& host, const PoolKey& key) {
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
    auto connector =
        std::make_unique<HostConnector>(loop_, config_, host, key.alpn, key.server_name);
    slot = std::make_unique<Pool>();
    slot->pool = http::make_client_pool(loop_, std::move(connector), options);
  }
  return *slot->pool;
}

void Upstream::connect(event::Scope& scope, const HostRef& host,
                       const std::vector<std::string>& alpn,
                       event::Completion<std::unique_ptr<net::Stream>> done) {
  // The connector is needed only until connect() returned: what it starts holds its own references.
  HostConnector connector(loop_, config_, host, alpn);
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
                  ClusterStat::kEjectionsTotal);
}

void Upstream::report_local_failure(const HostConfig& host) {
  host.state->rq_error.add();
  if (!config_->outlier) return;
  if (config_->outlier->is_local_split) {
    count_failure(host.state->consecutive_local, config_->outlier->consecutive_local, host,
                  ClusterStat::kEjectionsTotal);
    return;
  }
  count_failure(host.state->consecutive_5xx, config_->outlier->consecutive_5xx, host,
                ClusterStat::kEjectionsConsecutive5xx);
  count_failure(host.state->consecutive_gateway, config_->outlier->consecutive_gateway, host,
                ClusterStat::kEjectionsTotal);
}

void Upstream::sweep() {
  std::erase_if(retired_, [](const auto& pool) { return pool->pool->active_count() == 0; });
  if (config_->type != ClusterConfig::Type::kOriginalDst) return;
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

HostConnector::HostConnector(event::Loop& loop, ClusterRef cluster, HostRef host,
                             std::vector<std::string> alpn, std::string server_name)
    : loop_(loop),
      cluster_(std::move(cluster)),
      host_(std::move(host)),
      alpn_(std::move(alpn)),
      server_name_(std::move(server_name)) {}

void HostConnector::connect(event::Scope& scope, milliseconds limit,
                            event::Completion<std::unique_ptr<net::Stream>> done) {
  auto& stats = *cluster_->state->stats;
  stats.add(ClusterStat::kCxTotal);
  host_->state->cx_total.add();
  const TransportSocket& socket = cluster_->transport_sockets[host_->transport_socket];
  if (socket.is_internal) {
    loop_.defer([done = std::move(done)]() mutable {
      done(unavailable("the endpoint is behind an HBONE tunnel, which this cluster cannot open",
                       Blame::kConfig));
    });
    return;
  }
  auto finish = [cluster = cluster_, host = host_,
                 done = std::move(done)](Result<std::unique_ptr<net::Stream>> stream) mutable {
    auto& stats = *cluster->state->stats;
    if (!stream.ok()) {
      stats.add(ClusterStat::kCxConnectFail);
      if (stream.error().code() == Code::kDeadlineExceeded)
        stats.add(ClusterStat::kCxConnectTimeout);
      host->state->cx_connect_fail.add();
      return done(std::move(stream));
    }
    done(count_upstream(std::move(*stream), cluster, host));
  };
  net::DialOptions options;
  if (cluster_->bind_source) options.source = net::Address(*cluster_->bind_source, 0);
  if (socket.tls == nullptr)
    return net::dial(scope, loop_, host_->address, limit, std::move(finish), options);
  auto context = socket.tls->get();
  if (context == nullptr) {
    loop_.defer([finish = std::move(finish)]() mutable {
      finish(unavailable("TLS_error: Secret is not supplied by SDS", Blame::kConfig));
    });
    return;
  }
  net::dial(
      scope, loop_, host_->address, limit,
      [&scope, &loop = loop_, context = std::move(context),
       name = server_name_.empty() ? socket.sni : server_name_, alpn = alpn_, limit,
       finish = std::move(finish)](Result<std::unique_ptr<net::Stream>> raw) mutable {
        if (!raw.ok()) return finish(std::move(raw));
        tls::connect(scope, loop, std::move(context), std::move(*raw), name, alpn, limit,
                     std::move(finish));
      },
      options);
}

}  // namespace lateen::proxy
