// Applying what the main thread publishes. What is replaced is kept until nothing uses it.

#include "proxy/worker/worker.h"

#include "data/json.h"
#include "net/pipe.h"
#include "proxy/listener/worker_listener.h"

namespace lateen::proxy {

namespace {
constexpr seconds kSweepInterval{2};
constexpr std::size_t kInternalPipeBytes = 64 * 1024;
}  // namespace

Worker::Worker(event::Loop& loop, Shared& shared, unsigned index)
    : loop_(loop), shared_(shared), index_(index), sweep_timer_(loop, [this] { sweep(); }) {
  sweep_timer_.arm(kSweepInterval);
}

Worker::~Worker() {
  // Connections before the clusters they use.
  listeners_.clear();
  retired_listeners_.clear();
}

void Worker::sweep() {
  std::erase_if(retired_clusters_,
                [](const UpstreamRef& one) { return one.use_count() == 1 && !one->has_active(); });
  std::erase_if(retired_listeners_, [](const auto& one) { return one->connection_count() == 0; });
  for (auto& [name, upstream] : clusters_) upstream->sweep();
  sweep_timer_.arm(kSweepInterval);
}

UpstreamRef Worker::find_cluster(std::string_view name) const {
  const auto found = clusters_.find(name);
  if (found == clusters_.end()) return nullptr;
  if (found->second->config().type != ClusterConfig::Type::kAggregate) return found->second;
  return find_member(found->second->config(), 0);
}

// Of an aggregate the first cluster with a host that may be used; when none has one, the first that
// is there.
UpstreamRef Worker::find_member(const ClusterConfig& aggregate, int depth) const {
  constexpr int kMostDepth = 8;
  UpstreamRef first;
  for (const auto& name : aggregate.aggregated) {
    const auto found = clusters_.find(name);
    if (found == clusters_.end()) continue;
    UpstreamRef one = found->second;
    if (one->config().type == ClusterConfig::Type::kAggregate)
      one = depth < kMostDepth ? find_member(one->config(), depth + 1) : nullptr;
    if (one == nullptr) continue;
    if (one->count_hosts().usable > 0) return one;
    if (first == nullptr) first = std::move(one);
  }
  return first;
}

RouteSlot& Worker::route_slot(const std::string& name) {
  auto& slot = routes_[name];
  if (slot == nullptr) slot = std::make_unique<RouteSlot>();
  return *slot;
}

void Worker::put_cluster(ClusterRef config, EndpointsRef endpoints) {
  auto& slot = clusters_[config->name];
  if (slot != nullptr) {
    slot->drain();
    retired_clusters_.push_back(std::move(slot));
  }
  slot = std::make_shared<Upstream>(loop_, std::move(config), std::move(endpoints),
                                    shared_.report_outlier, *this);
}

void Worker::put_endpoints(const std::string& name, EndpointsRef endpoints) {
  if (const auto found = clusters_.find(name); found != clusters_.end())
    found->second->set_endpoints(std::move(endpoints));
}

void Worker::remove_cluster(const std::string& name) {
  const auto found = clusters_.find(name);
  if (found == clusters_.end()) return;
  found->second->drain();
  retired_clusters_.push_back(std::move(found->second));
  clusters_.erase(found);
}

void Worker::put_route(std::shared_ptr<const RouteTable> table) {
  RouteSlot& slot = route_slot(table->name);
  slot.table = std::move(table);
}

std::vector<Fd> Worker::copy_sockets(const net::Address& address) const {
  std::vector<Fd> copies;
  for (const auto& [name, listener] : listeners_)
    if (listener->config()->is_bound && listener->config()->address == address)
      listener->copy_sockets(copies);
  return copies;
}

void Worker::put_listener(std::shared_ptr<const ListenerConfig> config, std::vector<Fd> sockets) {
  auto& slot = listeners_[config->name];
  if (slot != nullptr && sockets.empty()) return slot->set_config(std::move(config));
  if (slot != nullptr) {
    slot->stop_accepting();
    slot->drain(true);
    retired_listeners_.push_back(std::move(slot));
  }
  slot = std::make_unique<WorkerListener>(*this, std::move(config), std::move(sockets));
}

void Worker::remove_listener(const std::string& name) {
  const auto found = listeners_.find(name);
  if (found == listeners_.end()) return;
  found->second->stop_accepting();
  found->second->drain(true);
  retired_listeners_.push_back(std::move(found->second));
  listeners_.erase(found);
}

Result<net::Resolver*> Worker::resolver() {
  if (resolver_ == nullptr) resolver_ = TRY(net::make_resolver(loop_));
  return resolver_.get();
}

std::unique_ptr<net::Stream> Worker::connect_internal(const HostConfig& host,
                                                      const PassageRef& passage) {
  const auto found = listeners_.find(host.internal_name);
  if (found == listeners_.end() || !found->second->config()->is_internal) return nullptr;
  InternalFacts facts;
  if (passage != nullptr) {
    facts.remote = passage->source;
    facts.state = passage->state;
    facts.destination = passage->destination;
  }
  const auto* told = host.metadata.if_contains("envoy.filters.listener.original_dst");
  const std::string_view local = told == nullptr ? "" : data::get_string(*told, {"local"});
  if (const auto address = net::Address::parse(local); !local.empty() && address.ok())
    facts.original = *address;
  const auto from_state = [&](std::string_view name) -> std::optional<net::Address> {
    const auto value = facts.state.find(name);
    if (value == facts.state.end()) return std::nullopt;
    auto address = net::Address::parse(value->second);
    return address.ok() ? std::optional(*address) : std::nullopt;
  };
  if (const auto address = from_state("envoy.filters.listener.original_dst.local_ip"))
    facts.original = address;
  if (const auto address = from_state("envoy.filters.listener.original_dst.remote_ip"))
    facts.remote = *address;
  auto [ours, theirs] = net::make_pipe(loop_, kInternalPipeBytes, facts.remote, facts.destination);
  found->second->accept_internal(std::move(theirs), std::move(facts));
  return std::move(ours);
}

WorkerListener* Worker::listener_for(const net::Address& destination) {
  WorkerListener* any = nullptr;
  for (auto& held : listeners_) {
    WorkerListener* const listener = held.second.get();
    const ListenerConfig& config = *listener->config();
    if (config.is_internal || (config.is_handing_off && config.is_bound)) continue;
    const auto matches = [&](const net::Address& address) {
      if (address.is_unix() || address.port() != destination.port()) return false;
      if (address.ip() == destination.ip()) return true;
      if (address.ip().is_unspecified()) any = listener;
      return false;
    };
    if (matches(config.address)) return listener;
    for (const auto& more : config.more_addresses)
      if (matches(more)) return listener;
  }
  return any;
}

WorkerListener* Worker::find_listener(std::string_view name) const {
  const auto found = listeners_.find(name);
  return found == listeners_.end() ? nullptr : found->second.get();
}

void Worker::stop_listeners(bool is_inbound_only) {
  for (auto& [name, listener] : listeners_)
    if (!is_inbound_only || listener->config()->is_inbound) listener->stop_accepting();
}

void Worker::drain_connections(bool is_inbound_only, bool is_gentle) {
  for (auto& [name, listener] : listeners_)
    if (!is_inbound_only || listener->config()->is_inbound) listener->drain(is_gentle);
}

std::size_t Worker::connection_count() const {
  std::size_t count = 0;
  for (const auto& [name, listener] : listeners_) count += listener->connection_count();
  for (const auto& listener : retired_listeners_) count += listener->connection_count();
  return count;
}

}  // namespace lateen::proxy
