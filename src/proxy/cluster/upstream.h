// One cluster on one worker: its balancer, its connection pools, its circuit breaker. Lives on the
// worker's loop; calls under way keep it alive through UpstreamRef.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "event/scope.h"
#include "http/client.h"
#include "proxy/cluster/load_balancer.h"

namespace lateen::proxy {

// Which connections of a host may be shared: those of one protocol and ALPN offer.
struct PoolKey {
  net::Address address;
  std::size_t transport_socket = 0;
  http::ClientOptions::Protocol protocol = http::ClientOptions::Protocol::kHttp1;
  std::vector<std::string> alpn;
  std::string server_name;  // SNI, when not the configured one
  auto operator<=>(const PoolKey&) const = default;
};

// Told when an outlier threshold is reached; runs on the worker, posts to the main thread.
using OutlierReport =
    Function<void(const std::string& cluster, const std::string& host, ClusterStat why)>;

class Upstream {
 public:
  // All referenced objects outlive us. `endpoints` may be null: no hosts yet.
  Upstream(event::Loop& loop, ClusterRef config, EndpointsRef endpoints,
           const OutlierReport& report);
  ~Upstream();

  const ClusterConfig& config() const { return *config_; }
  const ClusterRef& config_ref() const { return config_; }
  ClusterState& state() const { return *config_->state; }
  ClusterStats& stats() const { return *config_->state->stats; }

  void set_endpoints(EndpointsRef endpoints);
  HostRef pick(const PickContext& context);
  // A host for an address that no endpoint names (ORIGINAL_DST).
  HostRef host_for_address(const net::Address& address);

  http::ClientPool& pool(const HostRef& host, const PoolKey& key);
  // A raw or TLS stream of its own, for TCP proxying and upgrades of tunnels.
  void connect(event::Scope& scope, const HostRef& host, const std::vector<std::string>& alpn,
               event::Completion<std::unique_ptr<net::Stream>> done);

  // Feeds outlier detection.
  void report_result(const HostConfig& host, int status);
  void report_local_failure(const HostConfig& host);
  // Destroys idle pools of hosts that are gone. Called now and then.
  void sweep();
  void drain();
  bool has_active() const;

 private:
  struct Pool;
  void count_failure(std::atomic<std::uint32_t>& counter, std::uint32_t limit,
                     const HostConfig& host, ClusterStat why);

  event::Loop& loop_;
  ClusterRef config_;
  EndpointsRef endpoints_;
  const OutlierReport& report_;
  std::unique_ptr<LoadBalancer> balancer_;
  std::map<PoolKey, std::unique_ptr<Pool>> pools_;
  std::vector<std::unique_ptr<Pool>> retired_;
  std::map<net::Address, HostRef> address_hosts_;
};
using UpstreamRef = std::shared_ptr<Upstream>;

// Connects to one host as its cluster says: bind address, TLS with the current secrets, SNI, ALPN.
// Counts.
class HostConnector final : public http::Connector {
 public:
  HostConnector(event::Loop& loop, ClusterRef cluster, HostRef host, std::vector<std::string> alpn,
                std::string server_name = {});
  void connect(event::Scope& scope, milliseconds limit,
               event::Completion<std::unique_ptr<net::Stream>> done) override;

 private:
  event::Loop& loop_;
  ClusterRef cluster_;
  HostRef host_;
  std::vector<std::string> alpn_;
  std::string server_name_;
};

}  // namespace lateen::proxy
