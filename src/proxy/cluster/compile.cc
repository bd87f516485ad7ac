// Cluster to ClusterConfig. Errors name what is wrong; the caller adds which cluster.

#include "proxy/cluster/compile.h"

#include "base/strings.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/clusters/aggregate/v3/cluster.pb.h"
#include "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.pb.h"
#include "envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream.pb.h"
#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/api/value_check.h"
#include "proxy/cluster/cluster.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace cluster = envoy::config::cluster::v3;
namespace core = envoy::config::core::v3;

Result<TransportSocket> compile_socket(const core::TransportSocket& config) {
  namespace ssl = envoy::extensions::transport_sockets::tls::v3;
  TransportSocket made;
  made.name = config.name();
  const std::string type = xds::carried_type(config.typed_config());
  if (type.ends_with("raw_buffer.v3.RawBuffer")) return made;
  if (type.ends_with("tls.v3.UpstreamTlsContext")) {
    const auto context = TRY(unpack_checked<ssl::UpstreamTlsContext>(config.typed_config()));
    made.tls = std::make_shared<TlsSource>(
        TRY(compile_tls(tls::Context::Role::kClient, context.common_tls_context())));
    made.sni = context.sni();
    made.is_sni_from_host = context.auto_host_sni();
    made.is_san_from_sni = context.auto_sni_san_validation();
    return made;
  }
  if (type.ends_with("internal_upstream.v3.InternalUpstreamTransport")) {
    const auto wrapper =
        TRY(unpack_checked<
            envoy::extensions::transport_sockets::internal_upstream::v3::InternalUpstreamTransport>(
            config.typed_config()));
    return compile_socket(wrapper.transport_socket());
  }
  if (type.ends_with("proxy_protocol.v3.ProxyProtocolUpstreamTransport")) {
    const auto wrapper =
        TRY(unpack_checked<envoy::extensions::transport_sockets::proxy_protocol::v3::
                               ProxyProtocolUpstreamTransport>(config.typed_config()));
    made = TRY(compile_socket(wrapper.transport_socket()));
    made.proxy_protocol = wrapper.config().version() == core::ProxyProtocolConfig::V2 ? 2 : 1;
    return made;
  }
  return invalid("transport socket '" + config.name() + "' of type " + type + " is not supported",
                 Blame::kConfig);
}

Result<> compile_sockets(const cluster::Cluster& config, ClusterConfig& made) {
  for (const auto& match : config.transport_socket_matches()) {
    auto socket =
        TRY(compile_socket(match.transport_socket()).at("transport socket match " + match.name()));
    socket.name = match.name();
    const auto fields = xds::struct_to_json(match.match());
    if (const auto* object = fields.if_object()) socket.match = *object;
    made.transport_sockets.push_back(std::move(socket));
  }
  if (config.has_transport_socket())
    made.transport_sockets.push_back(TRY(compile_socket(config.transport_socket())));
  else made.transport_sockets.emplace_back();
  return {};
}

void compile_breakers(const cluster::Cluster& config, ClusterConfig& made) {
  for (const auto& threshold : config.circuit_breakers().thresholds()) {
    CircuitBreaker& breaker = threshold.priority() == core::HIGH ? made.high_breaker : made.breaker;
    if (threshold.has_max_connections())
      breaker.max_connections = threshold.max_connections().value();
    if (threshold.has_max_pending_requests())
      breaker.max_pending = threshold.max_pending_requests().value();
    if (threshold.has_max_requests()) breaker.max_requests = threshold.max_requests().value();
    if (threshold.has_max_retries()) breaker.max_retries = threshold.max_retries().value();
    if (!threshold.has_retry_budget()) continue;
    const auto& budget = threshold.retry_budget();
    breaker.retry_budget_percent.emplace(
        budget.has_budget_percent() ? budget.budget_percent().value() : 20.0);
    if (budget.has_min_retry_concurrency())
      breaker.min_retries = budget.min_retry_concurrency().value();
  }
}

void compile_http2(const core::Http2ProtocolOptions& options, ClusterConfig& made) {
  if (options.has_max_concurrent_streams())
    made.max_concurrent_streams = options.max_concurrent_streams().value();
  if (options.has_connection_keepalive()) {
    made.h2_ping_interval = xds::to_millis(options.connection_keepalive().interval());
    made.h2_ping_timeout = xds::to_millis(options.connection_keepalive().timeout());
  }
}

void compile_names(const core::UpstreamHttpProtocolOptions& options, ClusterConfig& made) {
  made.sni_header = to_lower(options.override_auto_sni_header());
  made.is_sni_from_request = options.auto_sni() || !made.sni_header.empty();
  made.is_san_from_request = options.auto_san_validation();
}

void compile_http1(const core::Http1ProtocolOptions& options, ClusterConfig& made) {
  made.is_h1_header_case_kept = options.header_key_format().has_stateful_formatter();
}

Result<> compile_http(const cluster::Cluster& config, ClusterConfig& made) {
  compile_http1(config.http_protocol_options(), made);
  if (config.has_http2_protocol_options()) {
    made.http = ClusterConfig::Http::kHttp2;
    compile_http2(config.http2_protocol_options(), made);
  }
  if (config.protocol_selection() == cluster::Cluster::USE_DOWNSTREAM_PROTOCOL)
    made.http = ClusterConfig::Http::kDownstream;
  compile_names(config.upstream_http_protocol_options(), made);
  const auto found = config.typed_extension_protocol_options().find(
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
  if (found == config.typed_extension_protocol_options().end()) return {};
  using Options = envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
  const auto options = TRY(unpack_checked<Options>(found->second));
  compile_names(options.upstream_http_protocol_options(), made);
  const auto& common = options.common_http_protocol_options();
  if (common.has_idle_timeout()) made.idle_timeout = xds::to_millis(common.idle_timeout());
  if (common.has_max_stream_duration())
    made.max_stream_duration = xds::to_millis(common.max_stream_duration());
  if (common.has_max_connection_duration())
    made.max_connection_duration = xds::to_millis(common.max_connection_duration());
  if (common.has_max_requests_per_connection())
    made.max_requests_per_connection = common.max_requests_per_connection().value();
  switch (options.upstream_protocol_options_case()) {
    case Options::kExplicitHttpConfig:
      made.http = options.explicit_http_config().has_http2_protocol_options()
                      ? ClusterConfig::Http::kHttp2
                      : ClusterConfig::Http::kHttp1;
      compile_http1(options.explicit_http_config().http_protocol_options(), made);
      compile_http2(options.explicit_http_config().http2_protocol_options(), made);
      break;
    case Options::kUseDownstreamProtocolConfig:
      made.http = ClusterConfig::Http::kDownstream;
      compile_http1(options.use_downstream_protocol_config().http_protocol_options(), made);
      compile_http2(options.use_downstream_protocol_config().http2_protocol_options(), made);
      break;
    case Options::kAutoConfig:
      made.http = ClusterConfig::Http::kAuto;
      compile_http1(options.auto_config().http_protocol_options(), made);
      compile_http2(options.auto_config().http2_protocol_options(), made);
      break;
    default: break;
  }
  return {};
}

void compile_metadata(const cluster::Cluster& config, ClusterConfig& made) {
  for (const auto& [name, value] : config.metadata().filter_metadata())
    made.metadata[name] = xds::struct_to_json(value);
  const data::Json all(made.metadata);
  const auto& services = data::get_array(all, {"istio", "services"});
  if (services.empty()) return;
  made.service_host = data::get_string(services[0], {"host"});
  made.service_name = data::get_string(services[0], {"name"});
  made.service_namespace = data::get_string(services[0], {"namespace"});
}

Result<> compile_type(const cluster::Cluster& config, ClusterConfig& made) {
  using Type = ClusterConfig::Type;
  if (config.has_cluster_type()) {
    const std::string type = xds::carried_type(config.cluster_type().typed_config());
    if (type.ends_with("dns.v3.DnsCluster")) return compile_dns_cluster(config, made);
    if (type.ends_with("dynamic_forward_proxy.v3.ClusterConfig")) {
      made.type = Type::kDynamicForward;
      TRY(check_fields(config.cluster_type().typed_config()));
      return {};
    }
    if (type.ends_with("aggregate.v3.ClusterConfig")) {
      made.type = Type::kAggregate;
      const auto aggregate =
          TRY(unpack_checked<envoy::extensions::clusters::aggregate::v3::ClusterConfig>(
              config.cluster_type().typed_config()));
      made.aggregated.assign(aggregate.clusters().begin(), aggregate.clusters().end());
      return {};
    }
    return invalid("cluster type '" + config.cluster_type().name() + "' is not supported",
                   Blame::kConfig);
  }
  switch (config.type()) {
    case cluster::Cluster::STATIC: made.type = Type::kStatic; break;
    case cluster::Cluster::STRICT_DNS: made.type = Type::kStrictDns; break;
    case cluster::Cluster::LOGICAL_DNS: made.type = Type::kLogicalDns; break;
    case cluster::Cluster::EDS: made.type = Type::kEds; break;
    case cluster::Cluster::ORIGINAL_DST: made.type = Type::kOriginalDst; break;
    default: return invalid("unknown discovery type", Blame::kConfig);
  }
  if (config.has_dns_refresh_rate())
    made.dns_refresh =
        std::max(seconds(1), std::chrono::ceil<seconds>(xds::to_nanos(config.dns_refresh_rate())));
  made.is_dns_ttl_respected = config.respect_dns_ttl();
  switch (config.dns_lookup_family()) {
    case cluster::Cluster::V4_ONLY: made.dns_family = net::Family::kV4Only; break;
    case cluster::Cluster::V6_ONLY: made.dns_family = net::Family::kV6Only; break;
    case cluster::Cluster::V4_PREFERRED: made.dns_family = net::Family::kV4Preferred; break;
    case cluster::Cluster::ALL: made.dns_family = net::Family::kAll; break;
    default: made.dns_family = net::Family::kAuto;
  }
  const auto& original = config.original_dst_lb_config();
  if (original.use_http_header())
    made.original_dst_header = original.http_header_name().empty()
                                   ? "x-envoy-original-dst-host"
                                   : to_lower(original.http_header_name());
  if (config.original_dst_lb_config().has_upstream_port_override())
    made.original_dst_port = static_cast<std::uint16_t>(
        config.original_dst_lb_config().upstream_port_override().value());
  made.eds_service_name = config.eds_cluster_config().service_name();
  if (made.eds_service_name.empty()) made.eds_service_name = config.name();
  return {};
}

}  // namespace

Result<std::shared_ptr<ClusterConfig>> ClusterConfig::compile(const cluster::Cluster& config) {
  auto made = std::make_shared<ClusterConfig>();
  made->name = config.name();
  if (made->name.empty()) return invalid("a cluster without name", Blame::kConfig);
  made->alt_stat_name = config.alt_stat_name();
  TRY(check_fields(config));
  TRY(check_source(config.eds_cluster_config().eds_config(), "eds_config"));
  if (config.has_typed_dns_resolver_config())
    TRY(check_dns_resolver(config.typed_dns_resolver_config()));
  TRY(compile_type(config, *made));
  TRY(compile_policy(config, *made));
  if (config.has_connect_timeout())
    made->connect_timeout = xds::to_millis(config.connect_timeout());
  if (config.has_preconnect_policy()) {
    const auto& preconnect = config.preconnect_policy();
    if (preconnect.has_per_upstream_preconnect_ratio())
      made->preconnect_ratio = preconnect.per_upstream_preconnect_ratio().value();
  }
  compile_breakers(config, *made);
  TRY(compile_outlier(config, *made));
  TRY(compile_health(config, *made));
  TRY(compile_sockets(config, *made));
  TRY(compile_http(config, *made));
  compile_metadata(config, *made);
  if (config.upstream_connection_options().has_tcp_keepalive()) {
    const auto& from = config.upstream_connection_options().tcp_keepalive();
    made->keep_alive = KeepAlive{from.keepalive_probes().value(), from.keepalive_time().value(),
                                 from.keepalive_interval().value()};
  }
  if (config.upstream_bind_config().has_source_address())
    made->bind_source =
        TRY(net::Ip::parse(config.upstream_bind_config().source_address().address()));
  for (const auto& filter : config.filters()) {
    const std::string type = xds::carried_type(filter.typed_config());
    if (type == "envoy.tcp.metadataexchange.config.MetadataExchange")
      made->has_metadata_exchange = true;
    else if (type != "envoy.extensions.network_filters.peer_metadata.UpstreamConfig")
      return invalid(
          "upstream network filter '" + filter.name() + "' of type " + type + " is not supported",
          Blame::kConfig);
  }
  for (const auto& group : config.load_assignment().endpoints())
    for (const auto& endpoint : group.lb_endpoints())
      if (auto name = xds::to_host_name(endpoint.endpoint().address()))
        made->dns_names.emplace_back(name->name, name->port);
  std::string shown = made->alt_stat_name.empty() ? made->name : made->alt_stat_name;
  made->state = std::make_shared<ClusterState>(shown, shown);
  return made;
}

std::size_t ClusterConfig::socket_for(const data::JsonObject& host_metadata) const {
  const auto* labels = host_metadata.if_contains("envoy.transport_socket_match");
  const auto* object = labels == nullptr ? nullptr : labels->if_object();
  for (std::size_t i = 0; i + 1 < transport_sockets.size(); ++i) {
    bool is_match = true;
    for (const auto& [name, value] : transport_sockets[i].match) {
      const auto* label = object == nullptr ? nullptr : object->if_contains(name);
      if (label == nullptr || !data::equal(*label, value)) is_match = false;
    }
    if (is_match) return i;
  }
  return transport_sockets.size() - 1;
}

}  // namespace lateen::proxy
