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
#include "proxy/cluster/passage.h"

namespace lateen::proxy {

// Which connections of a host may be shared: those of one protocol and ALPN offer.
struct PoolKey {
  net::Address address;
  std::size_t transport_socket = 0;
  http::ClientOptions::Protocol protocol = http::ClientOptions::Protocol::kHttp1;
  std::vector<std::string> alpn;
  std::string server_name;  // SNI, when not the configured one
  std::string special;      // a name to resolve, an internal listener, a passage; mostly empty
  auto operator<=>(const PoolKey&) const = default;
};

// Told when an outlier threshold is reached; runs on the worker, posts to the main thread.
using OutlierReport =
    Function<void(const std::string& cluster, const std::string& host, ClusterStat why)>;

// What connectors need of the worker they are on.
class Surroundings {
 public:
  // Resolves names on the worker's loop; the error: it cannot be made.
  virtual Result<net::Resolver*> resolver() = 0;
  // A connection to the internal listener of that name, or null when there is none.
  virtual std::unique_ptr<net::Stream> connect_internal(const HostConfig& host,
                                                        const PassageRef& passage) = 0;

 protected:
  ~Surroundings() = default;
};

class Upstream {
 public:
  // All referenced objects outlive us. `endpoints` may be null: no hosts yet.
  Upstream(event::Loop& loop, ClusterRef config, EndpointsRef endpoints,
           const OutlierReport& report, Surroundings& surroundings);
  ~Upstream();

  const ClusterConfig& config() const { return *config_; }
  const ClusterRef& config_ref() const { return config_; }
  ClusterState& state() const { return *config_->state; }
  ClusterStats& stats() const { return *config_->state->stats; }

  void set_endpoints(EndpointsRef endpoints);
  HostRef pick(const PickContext& context);
  struct HostCounts {
    std::size_t all = 0, usable = 0, ejected = 0, failed_check = 0, unhealthy = 0;
  };
  HostCounts count_hosts() const;
  // The host with that address when it may be used; null: none.
  HostRef usable_host(const net::Address& address) const;
  // A host for an address that no endpoint names (ORIGINAL_DST).
  HostRef host_for_address(const net::Address& address);
  // A host for a name that a request brought (dynamic forward proxy): "name" or "name:port". Null
  // when it is none.
  HostRef host_for_name(std::string_view authority, std::uint16_t default_port);

  // The parts of a pool's key that are the host's own.
  PoolKey key_of(const HostConfig& host) const;
  // Whether connections of this cluster carry a passage.
  bool needs_passage(const HostConfig& host) const;
  http::ClientPool& pool(const HostRef& host, const PoolKey& key, PassageRef passage = nullptr);
  // A raw or TLS stream of its own, for TCP proxying and upgrades of tunnels.
  void connect(event::Scope& scope, const HostRef& host, const std::vector<std::string>& alpn,
               event::Completion<std::unique_ptr<net::Stream>> done, PassageRef passage = nullptr);

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
  Surroundings& surroundings_;
  std::unique_ptr<LoadBalancer> balancer_;
  std::map<PoolKey, std::unique_ptr<Pool>> pools_;
  std::vector<std::unique_ptr<Pool>> retired_;
  std::map<net::Address, HostRef> address_hosts_;
  std::map<std::string, HostRef, std::less<>> name_hosts_;
};
using UpstreamRef = std::shared_ptr<Upstream>;

}  // namespace lateen::proxy
