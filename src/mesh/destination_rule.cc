#include "mesh/destination_rule.h"

#include <set>

#include "mesh/check.h"
#include "mesh/hostname.h"

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
    cookie.raw("attributes");
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
  reader.raw("outlierDetectionHttpErrorCodes");
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
  reader.raw("retryBudget");
}

void check_policy(const std::string& path, const PortTrafficPolicy& policy, Issues& issues) {
  if (policy.outlier) {
    check_percent(path + ".outlierDetection.maxEjectionPercent",
                  static_cast<double>(policy.outlier->max_ejection_percent), issues);
    check_percent(path + ".outlierDetection.minHealthPercent",
                  static_cast<double>(policy.outlier->min_health_percent), issues);
    check_duration(path + ".outlierDetection.interval", policy.outlier->interval, issues);
    check_duration(path + ".outlierDetection.baseEjectionTime", policy.outlier->base_ejection_time,
                   issues);
  }
  if (policy.connection_pool) {
    const ConnectionPool& pool = *policy.connection_pool;
    const auto positive = [&](std::string_view name, const std::optional<std::int64_t>& value) {
      if (value && *value < 0) {
        issues.error(path + ".connectionPool." + std::string(name) + ": must be non-negative");
      }
    };
    positive("tcp.maxConnections", pool.max_connections);
    positive("http.http1MaxPendingRequests", pool.http1_max_pending);
    positive("http.http2MaxRequests", pool.http2_max_requests);
    positive("http.maxRequestsPerConnection", pool.max_requests_per_connection);
    positive("http.maxRetries", pool.max_retries);
    check_duration(path + ".connectionPool.tcp.connectTimeout", pool.connect_timeout, issues);
    check_duration(path + ".connectionPool.http.idleTimeout", pool.http_idle_timeout, issues);
  }
  if (policy.load_balancer && policy.load_balancer->consistent_hash) {
    const ConsistentHash& hash = *policy.load_balancer->consistent_hash;
    const int kinds = int(!hash.http_header.empty()) + int(!hash.query_parameter.empty()) +
                      int(hash.is_source_ip) + int(hash.cookie.has_value());
    if (kinds != 1) {
      issues.error(path +
                   ".loadBalancer.consistentHash: must have exactly one of httpHeaderName, "
                   "httpCookie, useSourceIp, httpQueryParameterName");
    }
    if (hash.cookie && hash.cookie->name.empty()) {
      issues.error(path + ".loadBalancer.consistentHash.httpCookie.name: is required");
    }
  }
  if (!policy.tls) return;
  const ClientTls& tls = *policy.tls;
  if (tls.mode == ClientTls::Mode::kMutual && tls.credential_name.empty()) {
    if (tls.client_certificate.empty()) {
      issues.error(path + ".tls.clientCertificate: is required for mutual TLS");
    }
    if (tls.private_key.empty()) {
      issues.error(path + ".tls.privateKey: is required for mutual TLS");
    }
  }
  if (!tls.credential_name.empty() &&
      (!tls.client_certificate.empty() || !tls.private_key.empty())) {
    issues.error(path + ".tls: credentialName excludes clientCertificate and privateKey");
  }
}

void check_whole_policy(const std::string& path, const TrafficPolicy& policy, Issues& issues) {
  check_policy(path, policy, issues);
  if (!policy.load_balancer && !policy.connection_pool && !policy.outlier && !policy.tls &&
      policy.ports.empty() && !policy.tunnel && policy.proxy_protocol.empty()) {
    issues.error(path + ": traffic policy must have at least one field");
  }
  for (const PortTrafficPolicy& port : policy.ports) {
    check_port(path + ".portLevelSettings.port.number", port.port, issues);
    check_policy(path + ".portLevelSettings[" + std::to_string(port.port) + "]", port, issues);
  }
}

}  // namespace

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
  reader.object("warmup", [&](Reader& r) {
    out.warmup = r.duration("duration");
    r.raw("minimumPercent");
    r.raw("aggression");
  });
  reader.raw("backendUtilization");
  reader.raw("zoneAwareLbSetting");
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
    http.raw("http2KeepAlive");
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

PortTrafficPolicy TrafficPolicy::for_port(int wanted) const {
  for (const PortTrafficPolicy& port : ports) {
    if (port.port == wanted) return port;
  }
  PortTrafficPolicy general = *this;
  general.port = wanted;
  return general;
}

TrafficPolicy merge_policies(const TrafficPolicy* outer, const TrafficPolicy* inner) {
  if (outer == nullptr) return inner == nullptr ? TrafficPolicy{} : *inner;
  TrafficPolicy merged = *outer;
  if (inner == nullptr) return merged;
  if (inner->load_balancer) merged.load_balancer = inner->load_balancer;
  if (inner->connection_pool) merged.connection_pool = inner->connection_pool;
  if (inner->outlier) merged.outlier = inner->outlier;
  if (inner->tls) merged.tls = inner->tls;
  if (inner->tunnel) merged.tunnel = inner->tunnel;
  if (!inner->proxy_protocol.empty()) merged.proxy_protocol = inner->proxy_protocol;
  for (const PortTrafficPolicy& port : inner->ports) {
    std::erase_if(merged.ports, [&](const auto& old) { return old.port == port.port; });
    merged.ports.push_back(port);
  }
  return merged;
}

const Subset* DestinationRule::find_subset(std::string_view name) const {
  for (const Subset& subset : subsets) {
    if (subset.name == name) return &subset;
  }
  return nullptr;
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

void check_spec(const Meta&, const DestinationRule& spec, Issues& issues) {
  if (const std::string wrong = check_host(spec.host); !wrong.empty() && !is_ip(spec.host)) {
    issues.error("spec.host: " + wrong);
  }
  if (spec.policy) check_whole_policy("spec.trafficPolicy", *spec.policy, issues);
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < spec.subsets.size(); ++i) {
    const Subset& subset = spec.subsets[i];
    const std::string path = "spec.subsets[" + std::to_string(i) + "]";
    if (!is_dns_label(subset.name)) {
      issues.error(path + ".name: subset name \"" + subset.name + "\" is not a DNS label");
    }
    if (!seen.insert(subset.name).second) {
      issues.error(path + ".name: duplicate subset \"" + subset.name + "\"");
    }
    check_labels(path + ".labels", subset.labels, issues);
    if (subset.policy) check_whole_policy(path + ".trafficPolicy", *subset.policy, issues);
  }
  check_export_to(spec.export_to, issues);
}

}  // namespace lateen::mesh
