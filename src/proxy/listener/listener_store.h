// All listeners and route tables as the main thread knows them. A listener is published when its
// routes and secrets are there. Main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "proxy/compile_context.h"
#include "proxy/listener/config.h"
#include "proxy/secret/secret_store.h"
#include "proxy/server/publisher.h"
#include "xds/raw_resource.h"

namespace lateen::proxy {

class ListenerStore {
 public:
  ListenerStore(Publisher& publisher, SecretStore& secrets, CompileContext context);
  // Where the listening sockets of an earlier process come from; empty: there are none at the
  // address. Before the first put().
  void inherit_from(std::function<std::vector<Fd>(const net::Address&)> take) {
    inherit_ = std::move(take);
  }
  ~ListenerStore();
  // Most connections of listeners, by name. Before the first put().
  void limit_connections(std::map<std::string, std::uint32_t> limits) {
    connection_limits_ = std::move(limits);
  }

  // The error is the NACK text; the earlier version goes on serving.
  Result<> put(const google::protobuf::Any& body, const std::string& version, bool is_via_api);
  void remove(const std::string& name);
  Result<> put_route(const google::protobuf::Any& body, const std::string& version);
  void remove_route(const std::string& name);
  std::set<std::string> route_names() const;
  // A filter's configuration by the name listeners refer to it by (ECDS). Listeners that use it are
  // compiled again; those that waited for it go on.
  Result<> put_extension(const std::string& name, const google::protobuf::Any& config,
                         const std::string& version);
  void remove_extension(const std::string& name);
  std::set<std::string> extension_names() const;
  const std::map<std::string, xds::RawResource>& extensions() const { return extensions_; }
  bool is_all_ready() const;
  // Secrets or routes changed: publishes what waited for them.
  void check_warming();

  struct Entry {
    std::shared_ptr<const ListenerConfig> active;
    std::shared_ptr<ListenerConfig> warming;
    std::unique_ptr<xds::RawResource> raw;  // of `active`
    std::unique_ptr<xds::RawResource> raw_warming;
    net::Address bound;
    bool is_via_api = false;
    std::vector<Fd> sockets;                   // bound when accepted, handed out when published
    std::set<std::string> extensions;          // names that its configuration asks ECDS for
    std::unique_ptr<xds::RawResource> parked;  // cannot be compiled before they are there
  };
  struct RouteEntry {
    std::shared_ptr<const RouteTable> table;
    xds::RawResource raw;
  };
  const std::map<std::string, std::unique_ptr<Entry>>& entries() const { return entries_; }
  const std::map<std::string, RouteEntry>& routes() const { return routes_; }

 private:
  Result<> put_now(const google::protobuf::Any& body, const std::string& version, bool is_via_api);
  Result<> recompile_users_of(const std::string& extension);
  Result<> bind(Entry& entry, const ListenerConfig& config);
  bool is_ready(const ListenerConfig& config) const;
  void publish(Entry& entry);

  Publisher& publisher_;
  SecretStore& secrets_;
  CompileContext context_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  std::map<std::string, RouteEntry> routes_;
  std::map<std::string, xds::RawResource> extensions_;
  std::function<std::vector<Fd>(const net::Address&)> inherit_;
  std::map<std::string, std::uint32_t> connection_limits_;
  std::set<std::string> asked_extensions_;  // by the compilation under way
};

}  // namespace lateen::proxy
