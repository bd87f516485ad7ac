#include "discovery/generate/tcp_filters.h"

#include "discovery/generate/authorization.h"
#include "discovery/generate/durations.h"
#include "discovery/generate/names.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/extensions/filters/network/mongo_proxy/v3/mongo_proxy.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "istio/metadata_exchange.pb.h"
#include "istio/stats.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

void add_filter(const char* name, const google::protobuf::Message& config, FilterChain& chain) {
  auto& filter = *chain.add_filters();
  filter.set_name(name);
  *filter.mutable_typed_config() = xds::pack(config);
}

}  // namespace

void apply_rule(const View& view, const mesh::Service& service, const mesh::ServicePort& port,
                TcpChain& chain) {
  // Of what is dialled; where it goes may be another host, with a rule of its own.
  const auto target = parse_outbound_name(chain.clusters.front().first);
  const mesh::Service* to = target ? view.scope.find(target->host) : nullptr;
  const mesh::Service& subject = to != nullptr ? *to : service;
  const auto rule = view.mesh.find_rule(subject.host, view.proxy.ns, subject.ns, view.proxy.labels);
  if (rule == nullptr) return;
  const mesh::Subset* subset = target ? rule->spec.find_subset(target->subset) : nullptr;
  const mesh::TrafficPolicy* general = rule->spec.policy ? &*rule->spec.policy : nullptr;
  const mesh::TrafficPolicy* own = subset != nullptr && subset->policy ? &*subset->policy : nullptr;
  const mesh::TrafficPolicy merged = merge_policies(general, own);
  const mesh::PortTrafficPolicy policy =
      merged.for_port(target && to != nullptr ? target->port : port.number);
  if (policy.connection_pool) {
    chain.idle_timeout = policy.connection_pool->tcp_idle_timeout;
    chain.max_duration = policy.connection_pool->max_connection_duration;
  }
  chain.tunnel = merged.tunnel;
  if (policy.load_balancer && policy.load_balancer->consistent_hash) {
    chain.hashes_source_ip = policy.load_balancer->consistent_hash->is_source_ip;
  }
}

void add_tcp(const View& view, const TcpChain& options, FilterChain& chain) {
  const bool has_istio = view.proxy.has_istio_filters;
  if (options.side == Side::kInbound) {
    if (has_istio) {
      envoy::tcp::metadataexchange::config::MetadataExchange exchange;
      exchange.set_protocol("istio-peer-exchange");
      add_filter("istio.metadata_exchange", exchange, chain);
    }
    add_tcp_authorization(view, chain);
  }
  stats::PluginConfig stats_config;
  if (has_istio && make_stats_config(view, options.side, stats_config)) {
    add_filter("istio.stats", stats_config, chain);
  }
  if (options.protocol == mesh::Protocol::kMongo && !view.proxy.is_lateen) {
    envoy::extensions::filters::network::mongo_proxy::v3::MongoProxy mongo;
    mongo.set_stat_prefix(options.stat_prefix);
    add_filter("envoy.filters.network.mongo_proxy", mongo, chain);
  }
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy proxy;
  proxy.set_stat_prefix(options.stat_prefix);
  if (options.clusters.size() == 1) {
    proxy.set_cluster(options.clusters.front().first);
  } else {
    for (const auto& [name, weight] : options.clusters) {
      auto& cluster = *proxy.mutable_weighted_clusters()->add_clusters();
      cluster.set_name(name);
      cluster.set_weight(weight);
    }
  }
  if (options.idle_timeout) set_duration(*options.idle_timeout, *proxy.mutable_idle_timeout());
  if (options.max_duration) {
    set_duration(*options.max_duration, *proxy.mutable_max_downstream_connection_duration());
  }
  if (options.tunnel) {
    const mesh::Tunnel& tunnel = *options.tunnel;
    const bool is_ipv6 = tunnel.target_host.find(':') != std::string::npos;
    proxy.mutable_tunneling_config()->set_hostname(
        (is_ipv6 ? "[" + tunnel.target_host + "]" : tunnel.target_host) + ":" +
        std::to_string(tunnel.target_port));
    proxy.mutable_tunneling_config()->set_use_post(tunnel.protocol == "POST");
  }
  if (options.hashes_source_ip) {
    proxy.add_hash_policy()->mutable_source_ip();
  }
  for (const AccessLog& log : make_access_logs(view, options.side, Wire::kTcp))
    *proxy.add_access_log() = log;
  add_filter("envoy.filters.network.tcp_proxy", proxy, chain);
}

}  // namespace lateen::discovery
