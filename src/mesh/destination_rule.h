// networking.istio.io DestinationRule: subsets of a service and how clients treat its endpoints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"

namespace lateen::mesh {

struct ConsistentHash {
  std::string http_header;
  std::string query_parameter;
  bool is_source_ip = false;
  struct Cookie {
    std::string name, path;
    std::optional<nanoseconds> ttl;
    std::vector<std::pair<std::string, std::string>> attributes;  // "SameSite" and its value
  };
  std::optional<Cookie> cookie;
  std::optional<std::uint64_t> minimum_ring_size;  // ringHash
  std::optional<std::uint64_t> maglev_table_size;  // maglev
  bool is_maglev = false;
};

struct LocalityLb {
  struct Distribute {
    std::string from;
    std::map<std::string, std::uint32_t, std::less<>> to;
  };
  struct Failover {
    std::string from, to;
  };
  std::optional<bool> enabled;
  std::vector<Distribute> distribute;
  std::vector<Failover> failover;
  std::vector<std::string> failover_priority;
};

// Balancing that fills the proxy's own zone first; across regions it fails over.
struct ZoneAwareLb {
  std::optional<bool> enabled;
  std::vector<LocalityLb::Failover> failover;  // between regions
  std::vector<std::string> failover_priority;
  std::optional<std::uint32_t> min_cluster_size;
};

// Weights from what endpoints report of their load (ORCA).
struct BackendUtilization {
  std::optional<nanoseconds> stabilization, expiration, update;
  std::optional<std::uint32_t> error_penalty_percent;
  std::vector<std::string> metric_names;
};

struct LoadBalancer {
  enum class Simple : unsigned char {
    kUnspecified,
    kLeastRequest,
    kRandom,
    kRoundRobin,
    kPassthrough,
  };
  Simple simple = Simple::kUnspecified;
  std::optional<ConsistentHash> consistent_hash;
  std::optional<LocalityLb> locality;
  std::optional<ZoneAwareLb> zone_aware;
  std::optional<BackendUtilization> backend_utilization;
  std::optional<nanoseconds> warmup;
  std::optional<double> warmup_minimum_percent, warmup_aggression;
  bool has_full_warmup = false;  // "warmup" rather than the older warmupDurationSecs
};

struct TcpKeepalive {
  std::optional<std::uint32_t> probes;
  std::optional<nanoseconds> time, interval;
};
struct ConnectionPool {
  // tcp
  std::optional<std::int64_t> max_connections;
  std::optional<nanoseconds> connect_timeout, max_connection_duration, tcp_idle_timeout;
  std::optional<TcpKeepalive> keepalive;
  // http
  std::optional<std::int64_t> http1_max_pending, http2_max_requests, max_retries;
  std::optional<std::int64_t> max_requests_per_connection, max_concurrent_streams;
  std::optional<nanoseconds> http_idle_timeout;
  enum class H2Upgrade : unsigned char { kDefault, kDoNotUpgrade, kUpgrade };
  H2Upgrade h2_upgrade = H2Upgrade::kDefault;
  bool uses_client_protocol = false;
  struct Http2KeepAlive {
    std::optional<nanoseconds> interval, timeout;
  };
  std::optional<Http2KeepAlive> http2_keepalive;
};

struct OutlierDetection {
  std::optional<std::int64_t> consecutive_5xx, consecutive_gateway, consecutive_local_origin;
  bool splits_local_origin = false;
  std::optional<nanoseconds> interval, base_ejection_time;
  std::int64_t max_ejection_percent = 0;
  std::int64_t min_health_percent = 0;
  std::vector<std::string> http_error_codes;  // empty: all 5xx
};

struct ClientTls {
  enum class Mode : unsigned char { kDisable, kSimple, kMutual, kIstioMutual };
  Mode mode = Mode::kDisable;
  std::string client_certificate, private_key, ca_certificates, credential_name, sni, ca_crl;
  std::vector<std::string> subject_alt_names;
  std::optional<bool> insecure_skip_verify;
};

struct Tunnel {
  std::string protocol = "CONNECT";
  std::string target_host;
  int target_port = 0;
};
struct RetryBudget {
  std::optional<double> percent;
  std::uint32_t min_retry_concurrency = 0;
  std::optional<nanoseconds> interval;
};
struct PortTrafficPolicy {
  int port = 0;
  std::optional<LoadBalancer> load_balancer;
  std::optional<ConnectionPool> connection_pool;
  std::optional<OutlierDetection> outlier;
  std::optional<ClientTls> tls;
  // Of the whole policy only.
  std::optional<Tunnel> tunnel;
  std::string proxy_protocol;  // "", "V1", "V2"
  std::optional<RetryBudget> retry_budget;
};
struct TrafficPolicy : PortTrafficPolicy {
  std::vector<PortTrafficPolicy> ports;
  // What holds on `port`: a port's own sections replace the general ones; all of them when it has
  // any.
  PortTrafficPolicy for_port(int port) const;
};

struct Subset {
  std::string name;
  Labels labels;
  std::optional<TrafficPolicy> policy;
};

struct DestinationRule {
  std::string host;
  std::optional<TrafficPolicy> policy;
  std::vector<Subset> subsets;
  std::vector<std::string> export_to;
  Labels workload_selector;
  bool has_workload_selector = false;

  const Subset* find_subset(std::string_view name) const;
};

void read_spec(Reader& reader, DestinationRule& spec);
void check_spec(const Meta& meta, const DestinationRule& spec, Issues& issues);

// `inner` laid over `outer`, section by section.
TrafficPolicy merge_policies(const TrafficPolicy* outer, const TrafficPolicy* inner);
void read_load_balancer(Reader& reader, LoadBalancer& out);
void read_connection_pool(Reader& reader, ConnectionPool& out);
void read_client_tls(Reader& reader, ClientTls& out);
void read_locality_lb(Reader& reader, LocalityLb& out);
void read_keepalive(Reader& reader, TcpKeepalive& out);
void read_zone_aware_lb(Reader& reader, ZoneAwareLb& out);
void read_outlier(Reader& reader, OutlierDetection& out);

}  // namespace lateen::mesh
