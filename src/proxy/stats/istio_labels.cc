// Values: what is not known is "unknown"; a canonical revision that is not told is "latest".

#include "proxy/stats/istio_labels.h"

#include <algorithm>

#include "base/strings.h"
#include "istio/stats.pb.h"
#include "proxy/cluster/cluster.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {
namespace {

constexpr std::string_view kUnknown = "unknown";

std::string or_unknown(std::string_view text) {
  return std::string(text.empty() ? kUnknown : text);
}

// Namespace out of a SPIFFE id.
std::string namespace_of(std::string_view principal) {
  const auto at = principal.find("/ns/");
  if (at == std::string_view::npos) return {};
  const std::string_view rest = principal.substr(at + 4);
  return std::string(rest.substr(0, rest.find('/')));
}

struct Destination {
  std::string host, name, namespace_name;
};

Destination destination_of(const IstioLabelRules& rules, const StreamInfo& info,
                           const LocalIdentity& self) {
  Destination made;
  const std::string& cluster = info.upstream.cluster_name;
  if (info.upstream.cluster != nullptr) {
    made.host = info.upstream.cluster->service_host;
    made.name = info.upstream.cluster->service_name;
    made.namespace_name = info.upstream.cluster->service_namespace;
  }
  if (made.host.empty() && info.request && !rules.is_host_fallback_disabled)
    made.host = std::string(info.request->authority);
  if (cluster == "BlackHoleCluster" || cluster == "PassthroughCluster" ||
      cluster == "InboundPassthroughCluster" || cluster == "InboundPassthroughClusterIpv4" ||
      cluster == "InboundPassthroughClusterIpv6") {
    made.name = cluster;
  }
  if (made.name.empty()) {
    // "reviews.default.svc.cluster.local" names its service; other hosts name themselves.
    const auto dot = made.host.find(".svc.");
    made.name = dot == std::string::npos ? made.host : made.host.substr(0, made.host.find('.'));
    if (const auto colon = made.name.rfind(':'); colon != std::string::npos)
      made.name.resize(colon);
  }
  if (made.namespace_name.empty()) {
    if (rules.is_server) made.namespace_name = self.peer.namespace_name;
    else if (info.upstream.peer != nullptr)
      made.namespace_name = info.upstream.peer->namespace_name;
  }
  return made;
}

std::string protocol_of(const StreamInfo& info, bool is_tcp) {
  if (is_tcp) return "tcp";
  return info.is_grpc ? "grpc" : "http";
}

std::string first(const std::vector<std::string>& list) {
  return list.empty() ? std::string() : list.front();
}

// The small part of CEL that telemetry configurations use: a quoted text, an attribute, a header.
std::optional<std::string> format_of_expression(std::string expression) {
  expression = std::string(trim(expression));
  if (expression.size() >= 2 && (expression.front() == '\'' || expression.front() == '"') &&
      expression.back() == expression.front())
    return replace_all(expression.substr(1, expression.size() - 2), "%", "%%");
  static constexpr std::pair<std::string_view, std::string_view> kAttributes[] = {
      {"request.host", "%REQ(:AUTHORITY)%"},
      {"request.method", "%REQ(:METHOD)%"},
      {"request.path", "%REQ(:PATH)%"},
      {"request.url_path", "%REQ_WITHOUT_QUERY(:PATH)%"},
      {"request.useragent", "%REQ(USER-AGENT)%"},
      {"request.id", "%REQ(X-REQUEST-ID)%"},
      {"request.protocol", "%PROTOCOL%"},
      {"response.code", "%RESPONSE_CODE%"},
      {"response.flags", "%RESPONSE_FLAGS%"},
      {"destination.port", "%DOWNSTREAM_LOCAL_PORT%"},
      {"source.address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
      {"destination.address", "%DOWNSTREAM_LOCAL_ADDRESS%"},
      {"upstream.address", "%UPSTREAM_HOST%"},
      {"connection.requested_server_name", "%REQUESTED_SERVER_NAME%"},
      {"xds.cluster_name", "%UPSTREAM_CLUSTER_RAW%"},
      {"xds.route_name", "%ROUTE_NAME%"}};
  for (const auto& [name, format] : kAttributes)
    if (expression == name) return std::string(format);
  for (const auto& [prefix, command] :
       {std::pair("request.headers['", "REQ"), {"response.headers['", "RESP"}})
    if (expression.starts_with(prefix) && expression.ends_with("']")) {
      const std::size_t size = std::string_view(prefix).size();
      return std::string("%") + command + "(" +
             expression.substr(size, expression.size() - size - 2) + ")%";
    }
  return std::nullopt;
}

}  // namespace

Result<IstioLabelRules> compile_istio_rules(const ::stats::PluginConfig& config, bool is_inbound) {
  IstioLabelRules made;
  made.is_waypoint = config.reporter() == ::stats::SERVER_GATEWAY;
  made.is_server = is_inbound || made.is_waypoint;
  made.is_host_fallback_disabled = config.disable_host_header_fallback();
  for (const auto& metric : config.metrics()) {
    // Series share their labels between the metrics of one request: rules of one metric hold for
    // all.
    for (const auto& tag : metric.tags_to_remove()) made.removed.push_back(tag);
    std::vector<std::string> names;
    for (const auto& [name, expression] : metric.dimensions()) names.push_back(name);
    std::sort(names.begin(), names.end());
    for (const auto& name : names) {
      const auto format = format_of_expression(metric.dimensions().at(name));
      made.added.emplace_back(
          name, TRY(Formatter::compile(format.value_or(std::string(kUnknown)), true)));
    }
  }
  return made;
}

std::vector<std::string> dropped_metrics(const ::stats::PluginConfig& config) {
  std::vector<std::string> names;
  for (const auto& metric : config.metrics()) {
    if (!metric.drop()) continue;
    static constexpr std::string_view kAll[] = {"requests_total",
                                                "request_duration_milliseconds",
                                                "request_bytes",
                                                "response_bytes",
                                                "request_messages_total",
                                                "response_messages_total",
                                                "tcp_connections_opened_total",
                                                "tcp_connections_closed_total",
                                                "tcp_sent_bytes_total",
                                                "tcp_received_bytes_total"};
    for (const auto name : kAll)
      if (metric.name().empty() || metric.name() == name)
        names.push_back("istio_" + std::string(name));
  }
  return names;
}

Tags istio_labels(const IstioLabelRules& rules, const StreamInfo& info, const LocalIdentity& self,
                  bool is_tcp) {
  static const Peer kNobody;
  const Peer* source = &kNobody;
  const Peer* target = &kNobody;
  const PeerRef downstream =
      info.downstream_peer != nullptr ? info.downstream_peer : info.connection.peer;
  if (rules.is_server) {
    if (downstream != nullptr) source = downstream.get();
    target = &self.peer;
  } else {
    source = &self.peer;
    if (info.upstream.peer != nullptr) target = info.upstream.peer.get();
  }
  const net::TlsInfo* tls = info.connection.tls;
  const std::string source_principal =
      rules.is_server ? (tls == nullptr ? "" : first(tls->peer_uri_sans)) : std::string();
  const std::string target_principal = rules.is_server
                                           ? (tls == nullptr ? "" : first(tls->local_uri_sans))
                                           : first(info.upstream.peer_uri_sans);
  const bool is_mutual = tls != nullptr && tls->has_peer_certificate;
  const Destination destination = destination_of(rules, info, self);
  const auto revision = [](const Peer& peer) {
    return peer.canonical_revision.empty() ? std::string("latest") : peer.canonical_revision;
  };
  std::string source_namespace = source->namespace_name;
  if (source_namespace.empty()) source_namespace = namespace_of(source_principal);
  std::string target_namespace = target->namespace_name;
  if (target_namespace.empty()) target_namespace = namespace_of(target_principal);

  Tags tags;
  const auto add = [&](std::string_view name, std::string value) {
    tags.emplace_back(name, std::move(value));
  };
  add("reporter", rules.is_waypoint ? "waypoint" : rules.is_server ? "destination" : "source");
  add("source_workload", or_unknown(source->workload));
  add("source_canonical_service", or_unknown(source->canonical_name));
  add("source_canonical_revision", revision(*source));
  add("source_workload_namespace", or_unknown(source_namespace));
  add("source_principal", or_unknown(source_principal));
  add("source_app", or_unknown(source->app));
  add("source_version", or_unknown(source->version));
  add("source_cluster", or_unknown(source->cluster));
  add("destination_workload", or_unknown(target->workload));
  add("destination_workload_namespace", or_unknown(target_namespace));
  add("destination_principal", or_unknown(target_principal));
  add("destination_app", or_unknown(target->app));
  add("destination_version", or_unknown(target->version));
  add("destination_service", or_unknown(destination.host));
  add("destination_canonical_service", or_unknown(target->canonical_name));
  add("destination_canonical_revision", revision(*target));
  add("destination_service_name", or_unknown(destination.name));
  add("destination_service_namespace", or_unknown(destination.namespace_name));
  add("destination_cluster", or_unknown(target->cluster));
  add("request_protocol", protocol_of(info, is_tcp));
  if (!is_tcp) {
    add("response_code", std::to_string(info.status));
    add("grpc_response_status", info.is_grpc ? info.grpc_status.value_or("") : "");
  }
  add("response_flags", info.flags.to_string());
  add("connection_security_policy", !rules.is_server ? std::string(kUnknown)
                                    : is_mutual      ? "mutual_tls"
                                                     : "none");
  for (const auto& added : rules.added) {
    const auto& name = added.first;
    std::string value = added.second.format(info);
    const auto found =
        std::find_if(tags.begin(), tags.end(), [&](const auto& tag) { return tag.first == name; });
    if (found != tags.end()) found->second = or_unknown(value);
    else add(name, or_unknown(value));
  }
  for (const auto& name : rules.removed)
    std::erase_if(tags, [&](const auto& tag) { return tag.first == name; });
  return tags;
}

std::string istio_key(const IstioLabelRules& rules, const StreamInfo& info, bool is_tcp) {
  std::string key;
  key.reserve(192);
  const auto add = [&](std::string_view part) {
    key += part;
    key += '\x1f';
  };
  const auto peer = [&](const PeerRef& one) {
    if (one != nullptr) {
      add(one->workload);
      add(one->namespace_name);
      add(one->canonical_name);
      add(one->canonical_revision);
      add(one->version);
      add(one->app);
      add(one->cluster);
    }
    key += '\x1e';
  };
  key += rules.is_waypoint ? 'w' : rules.is_server ? 's' : 'c';
  peer(info.downstream_peer != nullptr ? info.downstream_peer : info.connection.peer);
  if (!rules.is_server) peer(info.upstream.peer);
  add(info.upstream.cluster_name);
  if (info.upstream.cluster == nullptr || info.upstream.cluster->service_host.empty())
    if (info.request && !rules.is_host_fallback_disabled) add(info.request->authority);
  if (const auto* tls = info.connection.tls) {
    add(first(tls->peer_uri_sans));
    add(first(tls->local_uri_sans));
    key += tls->has_peer_certificate ? 'm' : 't';
  }
  if (!rules.is_server) add(first(info.upstream.peer_uri_sans));
  key += info.is_grpc ? 'g' : 'h';
  key += std::to_string(info.flags.bits());
  if (!is_tcp) {
    add(std::to_string(info.status));
    if (info.is_grpc) add(info.grpc_status.value_or(""));
  }
  for (const auto& [name, format] : rules.added) add(format.format(info));
  return key;
}

}  // namespace lateen::proxy
