#include "discovery/generate/tcp_filters.h"

#include "discovery/generate/authorization.h"
#include "discovery/generate/durations.h"
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
  if (options.hash != nullptr && options.hash->is_source_ip) {
    proxy.add_hash_policy()->mutable_source_ip();
  }
  for (const AccessLog& log : make_access_logs(view, options.side)) *proxy.add_access_log() = log;
  add_filter("envoy.filters.network.tcp_proxy", proxy, chain);
}

}  // namespace lateen::discovery
