// Sockets are bound here, one per worker with SO_REUSEPORT, so that a bind error can be the answer
// to the update.

#include "proxy/listener/listener_store.h"

#include <unistd.h>

#include "base/log.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "proxy/filters/registry.h"
#include "xds/any.h"

namespace lateen::proxy {

ListenerStore::ListenerStore(Publisher& publisher, SecretStore& secrets, CompileContext context)
    : publisher_(publisher), secrets_(secrets), context_(std::move(context)) {}

ListenerStore::~ListenerStore() = default;

Result<> ListenerStore::bind(Entry& entry, const ListenerConfig& config) {
  entry.sockets.clear();
  if (!config.is_bound) return {};
  if (entry.active != nullptr && entry.active->is_bound && entry.active->address == config.address)
    return {};
  net::ListenOptions options;
  options.is_reuse_port = !config.address.is_unix();
  options.is_transparent = config.is_transparent;
  net::Address address = config.address;
  for (std::size_t i = 0; i < publisher_.workers().size(); ++i) {
    if (config.address.is_unix() && i > 0) {
      entry.sockets.emplace_back(dup(entry.sockets[0].get()));
      continue;
    }
    auto socket = TRY(net::listen_on(address, options));
    // With port 0 the first bind chooses for all.
    if (address.port() == 0 && !address.is_unix())
      address = TRY(net::local_address_of(socket.get()));
    entry.sockets.push_back(std::move(socket));
  }
  entry.bound = address;
  return {};
}

Result<> ListenerStore::put(const google::protobuf::Any& body, const std::string& version,
                            bool is_via_api) {
  const auto config = TRY(xds::unpack<envoy::config::listener::v3::Listener>(body));
  const auto existing = entries_.find(config.name());
  if (existing != entries_.end()) {
    auto& raw = existing->second->raw_warming != nullptr ? existing->second->raw_warming
                                                         : existing->second->raw;
    if (raw != nullptr && raw->body.value() == body.value()) {
      raw->version = version;
      return {};
    }
  }
  auto compiled = TRY(ListenerConfig::compile(config, context_));
  for (const auto& source : compiled->tls_sources) TRY(secrets_.bind(source));
  auto& slot = entries_[compiled->name];
  if (slot == nullptr) slot = std::make_unique<Entry>();
  Entry& entry = *slot;
  if (auto bound = bind(entry, *compiled); !bound.ok()) {
    if (entry.active == nullptr) entries_.erase(compiled->name);
    return bound;
  }
  entry.is_via_api = is_via_api;
  entry.warming = std::move(compiled);
  entry.raw_warming = std::make_unique<xds::RawResource>();
  entry.raw_warming->body = body;
  entry.raw_warming->version = version;
  entry.raw_warming->updated = publisher_.main().loop().clock().wall();
  if (is_ready(*entry.warming)) publish(entry);
  return {};
}

void ListenerStore::publish(Entry& entry) {
  std::shared_ptr<const ListenerConfig> config = std::move(entry.warming);
  entry.warming.reset();
  entry.active = config;
  entry.raw = std::move(entry.raw_warming);
  const auto& workers = publisher_.workers();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    net::Fd socket = i < entry.sockets.size() ? std::move(entry.sockets[i]) : net::Fd();
    Worker* worker = workers[i];
    worker->loop().post([worker, config, socket = std::move(socket)]() mutable {
      worker->put_listener(config, std::move(socket));
    });
  }
  entry.sockets.clear();
  LOG(kInfo, "lds", "listener {} at {} active", config->name,
      config->is_bound ? entry.bound.to_string() : config->address.to_string());
}

void ListenerStore::remove(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end() || !found->second->is_via_api) return;
  entries_.erase(found);
  publisher_.to_workers([name](Worker& worker) { worker.remove_listener(name); });
}

Result<> ListenerStore::put_route(const google::protobuf::Any& body, const std::string& version) {
  const auto config = TRY(xds::unpack<envoy::config::route::v3::RouteConfiguration>(body));
  RouteEntry& entry = routes_[config.name()];
  if (entry.table != nullptr && entry.raw.body.value() == body.value()) {
    entry.raw.version = version;
    return {};
  }
  const FilterConfigCompiler compile_filter = [&](const std::string& name, const void* any) {
    return compile_route_filter(name, *static_cast<const google::protobuf::Any*>(any), context_);
  };
  auto table = TRY(RouteTable::compile(config, compile_filter));
  entry.table = table;
  entry.raw.body = body;
  entry.raw.version = version;
  entry.raw.updated = publisher_.main().loop().clock().wall();
  publisher_.to_workers([table](Worker& worker) { worker.put_route(table); });
  check_warming();
  return {};
}

void ListenerStore::remove_route(const std::string& name) { routes_.erase(name); }

std::set<std::string> ListenerStore::route_names() const {
  std::set<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (entry->active != nullptr)
      names.insert(entry->active->route_names.begin(), entry->active->route_names.end());
    if (entry->warming != nullptr)
      names.insert(entry->warming->route_names.begin(), entry->warming->route_names.end());
  }
  return names;
}

bool ListenerStore::is_ready(const ListenerConfig& config) const {
  for (const auto& name : config.route_names) {
    const auto found = routes_.find(name);
    if (found == routes_.end() || found->second.table == nullptr) return false;
  }
  for (const auto& source : config.tls_sources)
    if (source->get() == nullptr) return false;
  return true;
}

bool ListenerStore::is_all_ready() const {
  for (const auto& [name, entry] : entries_)
    if (entry->warming != nullptr) return false;
  return true;
}

void ListenerStore::check_warming() {
  for (auto& [name, entry] : entries_)
    if (entry->warming != nullptr && is_ready(*entry->warming)) publish(*entry);
}

}  // namespace lateen::proxy
