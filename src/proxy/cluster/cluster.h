// Upstream clusters as compiled values. ClusterConfig and EndpointSet are immutable and shared by
// all workers; what changes with traffic (counts, health) lives beside them in ClusterState and
// HostState, in atomics.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/json.h"
#include "net/resolver.h"
#include "proxy/secret/tls_source.h"
#include "proxy/stats/names.h"
#include "proxy/stream/peer.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}
namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
}

namespace lateen::proxy {

// Of one address in one cluster; survives updates of the endpoints.
struct HostState {
  Counter cx_total, cx_connect_fail, rq_total, rq_success, rq_error, rq_timeout;
  Gauge cx_active, rq_active;
  std::atomic<std::uint32_t> consecutive_5xx{0};
  std::atomic<std::uint32_t> consecutive_gateway{0};
  std::atomic<std::uint32_t> consecutive_local{0};
  std::atomic<bool> is_ejected{false};
  std::atomic<bool> is_check_failed{false};   // active health checks say no
  std::atomic<std::int64_t> available_at{0};  // nanoseconds of the steady clock
  SteadyTime available_since() const {
    return SteadyTime(nanoseconds(available_at.load(std::memory_order_relaxed)));
  }
  // Main thread only:
  std::uint32_t ejections = 0;
  SteadyTime ejected_until{};
  std::uint64_t judged_success = 0, judged_error = 0;  // counts at the last interval's end
};

struct Locality {
  std::string region, zone, sub_zone;
  auto operator<=>(const Locality&) const = default;
};

struct HostConfig {
  net::Address address;
  std::string hostname;
  std::uint32_t weight = 1;
  std::uint32_t priority = 0;
  Locality locality;
  data::JsonObject metadata;         // filter_metadata
  std::size_t transport_socket = 0;  // index into ClusterConfig::transport_sockets
  PeerRef peer;                      // of metadata istio.workload
  enum class Health : unsigned char { kHealthy, kDegraded, kUnhealthy } health = Health::kHealthy;
  std::string health_text = "HEALTHY";
  std::shared_ptr<HostState> state;
  std::string internal_name;  // server_listener_name: a listener of this process
  std::string dns_name;       // resolved when a connection is made; `address` has the port
  std::vector<net::Address> more_addresses;  // tried when `address` fails (dual stack)
  std::string endpoint_id;  // tells apart the endpoints behind one internal listener
  bool is_available() const {
    return health != Health::kUnhealthy && !state->is_ejected.load(std::memory_order_relaxed) &&
           !state->is_check_failed.load(std::memory_order_relaxed);
  }
  bool is_degraded() const { return health == Health::kDegraded; }
  std::string hash_key() const;     // for consistent hashing
  std::string special_key() const;  // what tells it apart beyond its address; mostly empty
};
using HostRef = std::shared_ptr<const HostConfig>;

struct LocalityGroup {
  Locality locality;
  std::uint32_t weight = 1;
  std::vector<HostRef> hosts;
};

struct EndpointSet {
  std::vector<std::vector<LocalityGroup>> priorities;
  std::uint32_t overprovisioning_percent = 140;
  std::size_t host_count() const;
};
using EndpointsRef = std::shared_ptr<const EndpointSet>;

struct TransportSocket {
  std::string name;
  data::JsonObject match;  // on the endpoint's envoy.transport_socket_match; empty matches all
  std::shared_ptr<TlsSource> tls;  // null: plain text
  std::string sni;
  bool is_sni_from_host = false;      // auto_host_sni
  bool is_san_from_sni = false;       // auto_sni_san_validation: the peer has to have that name
  std::optional<int> proxy_protocol;  // version to write first
};

// SO_KEEPALIVE with its figures; 0: the system's.
struct KeepAlive {
  std::uint32_t probes = 0, idle_seconds = 0, interval_seconds = 0;
};

struct CircuitBreaker {
  std::uint32_t max_connections = 1024;
  std::uint32_t max_pending = 1024;
  std::uint32_t max_requests = 1024;
  std::uint32_t max_retries = 3;
  std::optional<double> retry_budget_percent;  // instead of max_retries: of requests under way
  std::uint32_t min_retries = 3;               // whatever the budget says
};

// Which hosts a request's labels pick (lb_subset_config).
struct SubsetSelector {
  enum class Fallback : unsigned char { kNotSaid, kNone, kAny, kDefaultSubset, kKeys };
  std::vector<std::string> keys;
  Fallback fallback = Fallback::kNotSaid;
  std::vector<std::string> fallback_keys;
};
struct Subsets {
  std::vector<SubsetSelector> selectors;
  SubsetSelector::Fallback fallback = SubsetSelector::Fallback::kNone;
  data::JsonObject default_subset;
};

struct SlowStart {
  milliseconds window{0};  // 0: off
  double aggression = 1;
  double min_weight_percent = 10;
};

struct Outlier {
  std::uint32_t consecutive_5xx = 5;  // 0: off
  std::uint32_t consecutive_gateway = 0;
  std::uint32_t consecutive_local = 0;
  bool is_local_split = false;
  nanoseconds interval = seconds(10);
  nanoseconds base_ejection = seconds(30);
  nanoseconds max_ejection = seconds(300);
  nanoseconds max_jitter{0};
  std::uint32_t max_ejection_percent = 10;
  bool is_one_always_ejected = false;
  // In percent: how often the verdict counts. 0: off.
  std::uint32_t success_rate_enforced = 100, failure_percentage_enforced = 0;
  std::uint32_t success_rate_hosts = 5, success_rate_volume = 100;
  double success_rate_factor = 1.9;  // standard deviations below the mean
  std::uint32_t failure_percentage = 85, failure_percentage_hosts = 5,
                failure_percentage_volume = 50;
};

// One active health check (core.v3.HealthCheck).
struct HealthCheck {
  enum class Kind : unsigned char { kHttp, kTcp, kGrpc } kind = Kind::kHttp;
  milliseconds timeout{1000};
  milliseconds interval{5000};
  milliseconds initial_jitter{0}, interval_jitter{0};
  milliseconds no_traffic_interval{60'000};
  milliseconds unhealthy_interval{0}, unhealthy_edge_interval{0}, healthy_edge_interval{0};
  std::uint32_t unhealthy_threshold = 2, healthy_threshold = 1;
  bool is_connection_reused = true;
  // HTTP and gRPC.
  bool is_http2 = false;
  std::string host, path, method = "GET", service;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::pair<int, int>> expected = {{200, 201}};  // half open
  std::vector<std::pair<int, int>> retriable;                // count like a lost answer
  // TCP.
  std::string send;
  std::vector<std::string> receive;
};

// Counts of one cluster over all workers.
struct ClusterState {
  ClusterState(const std::string& name, const std::string& shown)
      : stats(std::make_shared<ClusterStats>(name, shown)) {}
  std::shared_ptr<ClusterStats> stats;
  std::atomic<std::uint32_t> connections{0}, pending{0}, requests{0}, retries{0};
  std::atomic<std::uint32_t> health_epoch{1};  // moves when a host is ejected or comes back
};

struct ClusterConfig {
  enum class Type : unsigned char {
    kStatic,
    kStrictDns,
    kLogicalDns,
    kEds,
    kOriginalDst,
    kDynamicForward,
    kAggregate
  };
  enum class Policy : unsigned char {
    kRoundRobin,
    kLeastRequest,
    kRandom,
    kRingHash,
    kMaglev,
    kPickFirst
  };
  enum class Http : unsigned char { kHttp1, kHttp2, kAuto, kDownstream };

  std::string name;
  std::string alt_stat_name;
  std::string eds_service_name;  // what to ask EDS for
  Type type = Type::kStatic;
  Policy policy = Policy::kRoundRobin;
  std::uint32_t choice_count = 2;
  std::uint64_t min_ring_size = 1024, max_ring_size = 8'388'608, table_size = 65'537;
  bool is_locality_weighted = false;
  double panic_percent = 50;
  bool is_traffic_failed_on_panic = false;
  SlowStart slow_start;
  std::optional<Subsets> subsets;
  double preconnect_ratio = 1;
  milliseconds max_stream_duration{0};
  milliseconds max_connection_duration{0};
  milliseconds connect_timeout{5000};
  CircuitBreaker breaker, high_breaker;
  std::optional<Outlier> outlier;
  std::vector<HealthCheck> health_checks;
  bool is_health_ignored_on_removal = false;
  std::vector<TransportSocket> transport_sockets;  // matches in order, the default last
  Http http = Http::kHttp1;
  milliseconds idle_timeout{3'600'000};
  std::uint32_t max_requests_per_connection = 0;
  std::uint32_t max_concurrent_streams = 1024;
  milliseconds h2_ping_interval{0}, h2_ping_timeout{0};
  std::optional<net::Ip> bind_source;
  data::JsonObject metadata;
  std::string service_host, service_name, service_namespace;  // of metadata istio.services[0]
  bool has_metadata_exchange = false;  // TCP metadata exchange towards this cluster
  bool is_h1_header_case_kept = false;
  bool is_sni_from_request = false;                // auto_sni
  bool is_san_from_request = false;                // auto_san_validation, of that name
  std::string sni_header;                          // override_auto_sni_header
  std::optional<KeepAlive> keep_alive;             // of TCP
  std::string original_dst_header;                 // names the address, when set
  std::optional<std::uint16_t> original_dst_port;  // upstream_port_override
  net::Family dns_family = net::Family::kAuto;
  seconds dns_refresh{5};
  bool is_dns_ttl_respected = false;
  std::vector<std::string> aggregated;                           // clusters to try in this order
  std::vector<std::pair<std::string, std::uint16_t>> dns_names;  // of the static load assignment
  bool is_added_via_api = false;
  std::shared_ptr<ClusterState> state;

  // Sockets' TLS sources are not bound to secrets yet; `state` of an earlier version is kept by the
  // caller.
  static Result<std::shared_ptr<ClusterConfig>> compile(
      const envoy::config::cluster::v3::Cluster& config);
  std::size_t socket_for(const data::JsonObject& host_metadata) const;
};
using ClusterRef = std::shared_ptr<const ClusterConfig>;

// Finds the state of a host that exists already, or makes one.
using HostStates = std::function<std::shared_ptr<HostState>(const std::string& key)>;
// Resolves a host name of the assignment into addresses; only DNS clusters have any.
using DnsAnswers = std::function<std::vector<net::Ip>(const std::string& name)>;
Result<EndpointsRef> compile_endpoints(
    const ClusterConfig& cluster,
    const envoy::config::endpoint::v3::ClusterLoadAssignment& assignment, const HostStates& states,
    const DnsAnswers& dns);

}  // namespace lateen::proxy
