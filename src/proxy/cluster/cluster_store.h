// All clusters as the main thread knows them: configuration, endpoints, what is still missing
// (warming), DNS, outlier ejections. What is complete is published to the workers. Main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "net/resolver.h"
#include "proxy/cluster/health_checker.h"
#include "proxy/secret/secret_store.h"
#include "proxy/server/publisher.h"

namespace lateen::xds {
struct RawResource;
}

namespace lateen::proxy {

class ClusterStore {
 public:
  // All references outlive us. `on_change` runs after clusters became ready or the set of EDS names
  // changed.
  ClusterStore(Publisher& publisher, SecretStore& secrets, net::Resolver& resolver,
               std::function<void()> on_change);
  ~ClusterStore();

  // Adds or replaces. An unchanged cluster (same bytes) is left alone.
  Result<> put(const google::protobuf::Any& body, const std::string& version, bool is_via_api);
  void remove(const std::string& name);
  // The assignment of every cluster that asks EDS for `name`.
  Result<> put_assignment(const google::protobuf::Any& body, const std::string& version);
  void remove_assignment(const std::string& name);

  std::set<std::string> eds_names() const;
  // No cluster waits for endpoints or secrets.
  bool is_all_ready() const;
  // Secrets changed: publishes clusters that waited for them.
  void check_warming();
  void eject(const std::string& cluster, const std::string& host, ClusterStat why);

  struct Entry;
  const std::map<std::string, std::unique_ptr<Entry>, std::less<>>& entries() const {
    return entries_;
  }
  struct Entry {
    std::shared_ptr<ClusterConfig> config;  // of the newest update
    std::unique_ptr<xds::RawResource> raw;
    std::unique_ptr<xds::RawResource> assignment;
    EndpointsRef endpoints;
    std::map<std::string, std::shared_ptr<HostState>> hosts;
    std::map<std::string, net::Resolved> answers;
    std::unique_ptr<event::Timer> dns_timer;
    std::unique_ptr<event::Timer> outlier_timer;
    std::unique_ptr<HealthChecker> checker;
    std::size_t pending_names = 0;
    bool is_published = false;  // workers have this very config
    bool has_endpoints = false;
    std::unique_ptr<event::Scope> scope;
  };

 private:
  Result<> build_endpoints(Entry& entry);
  void maybe_publish(Entry& entry);
  void resolve(Entry& entry);
  void check_ejections(Entry& entry);      // outlier.cc
  void judge_success_rates(Entry& entry);  // likewise
  bool is_ready(const Entry& entry) const;
  void update_membership(Entry& entry);

  Publisher& publisher_;
  SecretStore& secrets_;
  net::Resolver& resolver_;
  std::function<void()> on_change_;
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> entries_;
  std::map<std::string, xds::RawResource, std::less<>>
      assignments_;  // EDS by name, kept for clusters to come
};

}  // namespace lateen::proxy
