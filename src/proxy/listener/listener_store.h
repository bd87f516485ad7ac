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
  ~ListenerStore();

  // The error is the NACK text; the earlier version goes on serving.
  Result<> put(const google::protobuf::Any& body, const std::string& version, bool is_via_api);
  void remove(const std::string& name);
  Result<> put_route(const google::protobuf::Any& body, const std::string& version);
  void remove_route(const std::string& name);
  std::set<std::string> route_names() const;
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
    std::vector<net::Fd> sockets;  // bound when accepted, handed out when published
  };
  struct RouteEntry {
    std::shared_ptr<const RouteTable> table;
    xds::RawResource raw;
  };
  const std::map<std::string, std::unique_ptr<Entry>>& entries() const { return entries_; }
  const std::map<std::string, RouteEntry>& routes() const { return routes_; }

 private:
  Result<> bind(Entry& entry, const ListenerConfig& config);
  bool is_ready(const ListenerConfig& config) const;
  void publish(Entry& entry);

  Publisher& publisher_;
  SecretStore& secrets_;
  CompileContext context_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  std::map<std::string, RouteEntry> routes_;
};

}  // namespace lateen::proxy
