// Reads a DestinationRule. What its fields mean together is checked in destination_rule.cc.
#include "mesh/destination_rule.h"

namespace lateen::mesh {
namespace {

void read_consistent_hash(Reader& reader, ConsistentHash& out) {
  out.http_header = reader.text("httpHeaderName");
  out.query_parameter = reader.text("httpQueryParameterName");
  out.is_source_ip = reader.flag("useSourceIp");
  reader.object("httpCookie", [&](Reader& cookie) {
    out.cookie.emplace();
    out.cookie->name = cookie.text("name");
    out.cookie->path = cookie.text("path");
    out.cookie->ttl = cookie.duration("ttl");
    cookie.each("attributes", [&](Reader& item) {
      out.cookie->attributes.emplace_back(item.text("name"), item.text("value"));
    });
  });
  if (const auto size = reader.maybe_integer("minimumRingSize")) {
    out.minimum_ring_size = static_cast<std::uint64_t>(*size);
  }
  reader.object("ringHash", [&](Reader& ring) {
    if (const auto size = ring.maybe_integer("minimumRingSize")) {
      out.minimum_ring_size = static_cast<std::uint64_t>(*size);
    }
  });
  out.is_maglev = reader.object("maglev", [&](Reader& maglev) {
    if (const auto size = maglev.maybe_integer("tableSize")) {
      out.maglev_table_size = static_cast<std::uint64_t>(*size);
    }
  });
}

// A list of status codes, as texts.
std::vector<std::string> read_codes(Reader& reader, std::string_view key) {
  std::vector<std::string> out;
  const data::Json* value = reader.raw(key);
  if (value == nullptr) return out;
  if (!value->is_array()) return reader.error(key, "must be a list of status codes"), out;
  for (const data::Json& item : *value->if_array()) {
    const std::int64_t code = data::as_int(item).value_or(0);
    if (code < 100 || code > 599) reader.error(key, "must be HTTP status codes, 100 to 599");
    out.push_back(std::to_string(code));
  }
  return out;
}

void read_port_policy(Reader& reader, PortTrafficPolicy& out) {
  reader.object("loadBalancer",
                [&](Reader& r) { read_load_balancer(r, out.load_balancer.emplace()); });
  reader.object("connectionPool",
                [&](Reader& r) { read_connection_pool(r, out.connection_pool.emplace()); });
  reader.object("outlierDetection", [&](Reader& r) { read_outlier(r, out.outlier.emplace()); });
  reader.object("tls", [&](Reader& r) { read_client_tls(r, out.tls.emplace()); });
}

void read_policy(Reader& reader, TrafficPolicy& out) {
  read_port_policy(reader, out);
  reader.each("portLevelSettings", [&](Reader& item) {
    PortTrafficPolicy& port = out.ports.emplace_back();
    item.object("port", [&](Reader& r) { port.port = static_cast<int>(r.integer("number")); });
    read_port_policy(item, port);
  });
  reader.object("tunnel", [&](Reader& r) {
    out.tunnel.emplace();
    out.tunnel->protocol = r.text("protocol", "CONNECT");
    out.tunnel->target_host = r.text("targetHost");
    out.tunnel->target_port = static_cast<int>(r.integer("targetPort"));
  });
  reader.object("proxyProtocol", [&](Reader& r) { out.proxy_protocol = r.text("version", "V1"); });
  reader.object("retryBudget", [&](Reader& r) {
    RetryBudget& budget = out.retry_budget.emplace();
    budget.percent = r.maybe_number("percent");
    budget.min_retry_concurrency = static_cast<std::uint32_t>(r.integer("minRetryConcurrency"));
    r.unused("budgetInterval", "retries are counted as they are under way");
  });
}

}  // namespace

void read_outlier(Reader& reader, OutlierDetection& out) {
  out.consecutive_5xx = reader.maybe_integer("consecutive5xxErrors");
  if (const auto old = reader.maybe_integer("consecutiveErrors")) out.consecutive_gateway = old;
  if (const auto count = reader.maybe_integer("consecutiveGatewayErrors")) {
    out.consecutive_gateway = count;
  }
  out.consecutive_local_origin = reader.maybe_integer("consecutiveLocalOriginFailures");
  out.splits_local_origin = reader.flag("splitExternalLocalOriginErrors");
  out.interval = reader.duration("interval");
  out.base_ejection_time = reader.duration("baseEjectionTime");
  out.max_ejection_percent = reader.integer("maxEjectionPercent");
  out.min_health_percent = reader.integer("minHealthPercent");
  out.http_error_codes = read_codes(reader, "outlierDetectionHttpErrorCodes");
}

void read_load_balancer(Reader& reader, LoadBalancer& out) {
  using Simple = LoadBalancer::Simple;
  out.simple = reader.choice<Simple>("simple",
                                     {{"UNSPECIFIED", Simple::kUnspecified},
                                      {"LEAST_REQUEST", Simple::kLeastRequest},
                                      {"LEAST_CONN", Simple::kLeastRequest},
                                      {"RANDOM", Simple::kRandom},
                                      {"ROUND_ROBIN", Simple::kRoundRobin},
                                      {"PASSTHROUGH", Simple::kPassthrough}},
                                     Simple::kUnspecified);
  reader.object("consistentHash",
                [&](Reader& r) { read_consistent_hash(r, out.consistent_hash.emplace()); });
  reader.object("localityLbSetting",
                [&](Reader& r) { read_locality_lb(r, out.locality.emplace()); });
  out.warmup = reader.duration("warmupDurationSecs");
  out.has_full_warmup = reader.object("warmup", [&](Reader& r) {
    out.warmup = r.duration("duration");
    out.warmup_minimum_percent = r.maybe_number("minimumPercent");
    out.warmup_aggression = r.maybe_number("aggression");
  });
  reader.object("backendUtilization", [&](Reader& r) {
    BackendUtilization& load = out.backend_utilization.emplace();
    load.stabilization = r.duration("weightStabilizationPeriod");
    load.expiration = r.duration("weightExpirationPeriod");
    load.update = r.duration("weightUpdatePeriod");
    if (const auto percent = r.maybe_integer("errorUtilizationPenaltyPercent")) {
      load.error_penalty_percent = static_cast<std::uint32_t>(*percent);
    }
    load.metric_names = r.texts("metricNamesForComputingUtilization");
  });
  reader.object("zoneAwareLbSetting",
                [&](Reader& r) { read_zone_aware_lb(r, out.zone_aware.emplace()); });
}

void read_locality_lb(Reader& reader, LocalityLb& out) {
  out.enabled = reader.maybe_flag("enabled");
  reader.each("distribute", [&](Reader& item) {
    LocalityLb::Distribute& distribute = out.distribute.emplace_back();
    distribute.from = item.text("from");
    item.object("to", [&](Reader& to) {
      to.accept_all();
      const data::Json* whole = item.raw("to");
      for (const auto& entry : *whole->if_object()) {
        distribute.to[std::string(entry.key())] =
            static_cast<std::uint32_t>(data::as_int(entry.value()).value_or(0));
      }
    });
  });
  reader.each("failover", [&](Reader& item) {
    out.failover.push_back({item.text("from"), item.text("to")});
  });
  out.failover_priority = reader.texts("failoverPriority");
}

void read_zone_aware_lb(Reader& reader, ZoneAwareLb& out) {
  out.enabled = reader.maybe_flag("enabled");
  reader.each("failover", [&](Reader& item) {
    out.failover.push_back({item.text("from"), item.text("to")});
  });
  out.failover_priority = reader.texts("failoverPriority");
  if (const auto size = reader.maybe_integer("minClusterSize")) {
    out.min_cluster_size = static_cast<std::uint32_t>(*size);
  }
}

void read_keepalive(Reader& reader, TcpKeepalive& out) {
  if (const auto probes = reader.maybe_integer("probes")) {
    out.probes = static_cast<std::uint32_t>(*probes);
  }
  out.time = reader.duration("time");
  out.interval = reader.duration("interval");
}

void read_connection_pool(Reader& reader, ConnectionPool& out) {
  reader.object("tcp", [&](Reader& tcp) {
    out.max_connections = tcp.maybe_integer("maxConnections");
    out.connect_timeout = tcp.duration("connectTimeout");
    out.max_connection_duration = tcp.duration("maxConnectionDuration");
    out.tcp_idle_timeout = tcp.duration("idleTimeout");
    tcp.object("tcpKeepalive", [&](Reader& r) { read_keepalive(r, out.keepalive.emplace()); });
  });
  reader.object("http", [&](Reader& http) {
    out.http1_max_pending = http.maybe_integer("http1MaxPendingRequests");
    out.http2_max_requests = http.maybe_integer("http2MaxRequests");
    out.max_requests_per_connection = http.maybe_integer("maxRequestsPerConnection");
    out.max_retries = http.maybe_integer("maxRetries");
    out.max_concurrent_streams = http.maybe_integer("maxConcurrentStreams");
    out.http_idle_timeout = http.duration("idleTimeout");
    using H2 = ConnectionPool::H2Upgrade;
    out.h2_upgrade = http.choice<H2>("h2UpgradePolicy",
                                     {{"DEFAULT", H2::kDefault},
                                      {"DO_NOT_UPGRADE", H2::kDoNotUpgrade},
                                      {"UPGRADE", H2::kUpgrade}},
                                     H2::kDefault);
    out.uses_client_protocol = http.flag("useClientProtocol");
    http.object("http2KeepAlive", [&](Reader& r) {
      out.http2_keepalive =
          ConnectionPool::Http2KeepAlive{r.duration("interval"), r.duration("timeout")};
    });
  });
}

void read_client_tls(Reader& reader, ClientTls& out) {
  using Mode = ClientTls::Mode;
  out.mode = reader.choice<Mode>("mode",
                                 {{"DISABLE", Mode::kDisable},
                                  {"SIMPLE", Mode::kSimple},
                                  {"MUTUAL", Mode::kMutual},
                                  {"ISTIO_MUTUAL", Mode::kIstioMutual}},
                                 Mode::kDisable);
  out.client_certificate = reader.text("clientCertificate");
  out.private_key = reader.text("privateKey");
  out.ca_certificates = reader.text("caCertificates");
  out.credential_name = reader.text("credentialName");
  out.subject_alt_names = reader.texts("subjectAltNames");
  out.sni = reader.text("sni");
  out.ca_crl = reader.text("caCrl");
  out.insecure_skip_verify = reader.maybe_flag("insecureSkipVerify");
}

void read_spec(Reader& reader, DestinationRule& spec) {
  spec.host = reader.text("host");
  reader.object("trafficPolicy", [&](Reader& r) { read_policy(r, spec.policy.emplace()); });
  reader.each("subsets", [&](Reader& item) {
    Subset& subset = spec.subsets.emplace_back();
    subset.name = item.text("name");
    subset.labels = item.map("labels");
    item.object("trafficPolicy", [&](Reader& r) { read_policy(r, subset.policy.emplace()); });
  });
  spec.export_to = reader.texts("exportTo");
  spec.has_workload_selector = reader.object(
      "workloadSelector", [&](Reader& r) { spec.workload_selector = r.map("matchLabels"); });
}

}  // namespace lateen::mesh
