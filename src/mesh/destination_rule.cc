#include "mesh/destination_rule.h"

#include <set>

#include "mesh/check.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

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
      policy.ports.empty() && !policy.tunnel && policy.proxy_protocol.empty() &&
      !policy.retry_budget) {
    issues.error(path + ": traffic policy must have at least one field");
  }
  for (const PortTrafficPolicy& port : policy.ports) {
    check_port(path + ".portLevelSettings.port.number", port.port, issues);
    check_policy(path + ".portLevelSettings[" + std::to_string(port.port) + "]", port, issues);
  }
}

}  // namespace

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
  if (inner->retry_budget) merged.retry_budget = inner->retry_budget;
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
