// Sockets are bound here, one per worker with SO_REUSEPORT, so that a bind error can be the answer
// to the update.

#include "proxy/listener/listener_store.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "net/network.h"
#include "proxy/filters/registry.h"
#include "xds/any.h"

namespace lateen::proxy {

ListenerStore::ListenerStore(Publisher& publisher, SecretStore& secrets, CompileContext context)
    : publisher_(publisher), secrets_(secrets), context_(std::move(context)) {
  context_.find_extension = [this](const std::string& name) -> const google::protobuf::Any* {
    asked_extensions_.insert(name);
    const auto found = extensions_.find(name);
    return found == extensions_.end() ? nullptr : &found->second.body;
  };
}

ListenerStore::~ListenerStore() = default;

Result<> ListenerStore::bind(Entry& entry, const ListenerConfig& config) {
  entry.sockets.clear();
  if (!config.is_bound) return {};
  if (dynamic_cast<net::Network*>(&publisher_.main().loop()) != nullptr) {
    entry.bound = config.address;  // Nothing to bind: the network finds the listener by itself.
    return {};
  }
  if (entry.active != nullptr && entry.active->is_bound && entry.active->address == config.address)
    return {};
  net::ListenOptions options;
  options.is_reuse_port = !config.address.is_unix();
  options.is_transparent = config.is_transparent;
  net::Address address = config.address;
  if (inherit_ && (address.is_unix() || address.port() != 0)) {
    entry.sockets = inherit_(address);
    if (!entry.sockets.empty()) {
      entry.bound = address;
      return {};
    }
  }
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
    auto& held = *existing->second;
    auto& raw = held.parked != nullptr        ? held.parked
                : held.raw_warming != nullptr ? held.raw_warming
                                              : held.raw;
    if (raw != nullptr && raw->body.value() == body.value()) {
      raw->version = version;
      return {};
    }
  }
  return put_now(body, version, is_via_api);
}

Result<> ListenerStore::put_now(const google::protobuf::Any& body, const std::string& version,
                                bool is_via_api) {
  const auto config = TRY(xds::unpack<envoy::config::listener::v3::Listener>(body));
  const auto existing = entries_.find(config.name());
  const ListenerConfig* previous =
      existing != entries_.end() ? existing->second->active.get() : nullptr;
  asked_extensions_.clear();
  auto compiled_or = ListenerConfig::compile(config, context_, previous);
  const bool is_waiting =
      std::any_of(asked_extensions_.begin(), asked_extensions_.end(),
                  [&](const std::string& name) { return !extensions_.contains(name); });
  if (!compiled_or.ok() && compiled_or.error().code() == Code::kUnavailable && is_waiting &&
      is_via_api && !config.name().empty()) {
    auto& parked = entries_[config.name()];
    if (parked == nullptr) parked = std::make_unique<Entry>();
    parked->is_via_api = true;
    parked->extensions = std::move(asked_extensions_);
    parked->parked = std::make_unique<xds::RawResource>();
    parked->parked->body = body;
    parked->parked->version = version;
    return {};
  }
  auto compiled = TRY(std::move(compiled_or));
  for (const auto& source : compiled->tls_sources) {
    const bool is_bound =
        previous != nullptr && std::find(previous->tls_sources.begin(), previous->tls_sources.end(),
                                         source) != previous->tls_sources.end();
    if (!is_bound) TRY(secrets_.bind(source));
  }
  if (const auto limit = connection_limits_.find(compiled->name); limit != connection_limits_.end())
    compiled->most_connections = limit->second;
  auto& slot = entries_[compiled->name];
  if (slot == nullptr) slot = std::make_unique<Entry>();
  Entry& entry = *slot;
  if (auto bound = bind(entry, *compiled); !bound.ok()) {
    if (entry.active == nullptr) entries_.erase(compiled->name);
    return bound;
  }
  entry.is_via_api = is_via_api;
  entry.parked.reset();
  entry.extensions = std::move(asked_extensions_);
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
    // Inherited sockets may be more than workers: each must be accepted on.
    std::vector<Fd> sockets;
    for (std::size_t at = i; at < entry.sockets.size(); at += workers.size())
      sockets.push_back(std::move(entry.sockets[at]));
    Worker* worker = workers[i];
    worker->loop().post([worker, config, sockets = std::move(sockets)]() mutable {
      worker->put_listener(config, std::move(sockets));
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

Result<> ListenerStore::put_extension(const std::string& name, const google::protobuf::Any& config,
                                      const std::string& version) {
  xds::RawResource& held = extensions_[name];
  held.version = version;
  if (held.body.type_url() == config.type_url() && held.body.value() == config.value()) return {};
  const google::protobuf::Any before = held.body;
  held.body = config;
  held.updated = publisher_.main().loop().clock().wall();
  auto done = recompile_users_of(name);
  if (done.ok()) return {};
  // What worked before goes on working.
  if (before.type_url().empty()) extensions_.erase(name);
  else extensions_[name].body = before;
  return done;
}

void ListenerStore::remove_extension(const std::string& name) { extensions_.erase(name); }

Result<> ListenerStore::recompile_users_of(const std::string& extension) {
  std::vector<xds::RawResource> users;
  for (const auto& [name, entry] : entries_) {
    if (!entry->extensions.contains(extension)) continue;
    const auto& raw = entry->parked != nullptr        ? entry->parked
                      : entry->raw_warming != nullptr ? entry->raw_warming
                                                      : entry->raw;
    if (raw != nullptr) users.push_back(*raw);
  }
  for (const auto& user : users) TRY(put_now(user.body, user.version, true));
  return {};
}

std::set<std::string> ListenerStore::extension_names() const {
  std::set<std::string> names;
  for (const auto& [name, entry] : entries_)
    names.insert(entry->extensions.begin(), entry->extensions.end());
  return names;
}

bool ListenerStore::is_all_ready() const {
  for (const auto& [name, entry] : entries_)
    if (entry->warming != nullptr || entry->parked != nullptr) return false;
  return true;
}

void ListenerStore::check_warming() {
  for (auto& [name, entry] : entries_)
    if (entry->warming != nullptr && is_ready(*entry->warming)) publish(*entry);
}

}  // namespace lateen::proxy
