#include "discovery/generate/http_filters.h"

#include "discovery/generate/authentication.h"
#include "discovery/generate/authorization.h"
#include "discovery/generate/tls.h"
#include "discovery/generate/wasm.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/request_id/uuid/v3/uuid.pb.h"
#include "istio/alpn.pb.h"
#include "istio/peer_metadata.pb.h"
#include "istio/stats.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

namespace alpn = istio::envoy::config::filter::http::alpn::v2alpha1;
namespace hcm_v3 = ::envoy::extensions::filters::network::http_connection_manager::v3;
namespace http = ::envoy::extensions::filters::http;

void add_filter(const char* name, const google::protobuf::Message& config,
                HttpConnectionManager& out) {
  hcm_v3::HttpFilter& filter = *out.add_http_filters();
  filter.set_name(name);
  *filter.mutable_typed_config() = xds::pack(config);
}

void add_metadata_exchange(Side side, HttpConnectionManager& out) {
  io::istio::http::peer_metadata::Config config;
  if (side == Side::kInbound) {
    config.add_downstream_discovery()->mutable_istio_headers();
    config.add_downstream_discovery()->mutable_workload_discovery();
    config.add_downstream_propagation()->mutable_istio_headers();
  } else {
    config.add_upstream_discovery()->mutable_istio_headers();
    config.add_upstream_discovery()->mutable_workload_discovery();
    config.add_upstream_propagation()->mutable_istio_headers()->set_skip_external_clusters(
        side == Side::kGateway);
  }
  add_filter("istio.metadata_exchange", config, out);
}

void add_alpn(HttpConnectionManager& out) {
  alpn::FilterConfig config;
  const auto add = [&](alpn::FilterConfig::Protocol protocol,
                       std::initializer_list<const char*> names) {
    auto& entry = *config.add_alpn_override();
    entry.set_upstream_protocol(protocol);
    for (const char* name : names) entry.add_alpn_override(name);
  };
  add(alpn::FilterConfig::HTTP10, {"istio-http/1.0", "istio", "http/1.0"});
  add(alpn::FilterConfig::HTTP11, {"istio-http/1.1", "istio", "http/1.1"});
  add(alpn::FilterConfig::HTTP2, {"istio-h2", "istio", "h2"});
  add_filter("istio.alpn", config, out);
}

void add_filters(const View& view, Side side, int port, HttpConnectionManager& out) {
  const bool has_istio = view.proxy.has_istio_filters;
  if (has_istio) add_metadata_exchange(side, out);
  if (side != Side::kOutbound) {
    add_external_authorization(view, out);
  }
  add_wasm(view, side, port, WasmPhase::kAuthn, out);
  if (side != Side::kOutbound) add_jwt_authentication(view, out);
  add_wasm(view, side, port, WasmPhase::kAuthz, out);
  if (side != Side::kOutbound) add_http_authorization(view, out);
  add_wasm(view, side, port, WasmPhase::kStats, out);
  add_wasm(view, side, port, WasmPhase::kUnspecified, out);
  http::grpc_stats::v3::FilterConfig grpc_stats;
  grpc_stats.set_emit_filter_state(true);
  grpc_stats.mutable_stats_for_all_methods()->set_value(false);
  add_filter("envoy.filters.http.grpc_stats", grpc_stats, out);
  if (has_istio && side != Side::kInbound) add_alpn(out);
  add_filter("envoy.filters.http.fault", http::fault::v3::HTTPFault(), out);
  add_filter("envoy.filters.http.cors", http::cors::v3::Cors(), out);
  stats::PluginConfig stats_config;
  if (has_istio && make_stats_config(view, side, stats_config)) {
    add_filter("istio.stats", stats_config, out);
  }
  add_filter("envoy.filters.http.router", http::router::v3::Router(), out);
}

void set_identity_forwarding(const View& view, const HttpChain& options,
                             HttpConnectionManager& out) {
  if (options.side == Side::kOutbound) {
    out.mutable_use_remote_address()->set_value(false);
    return;
  }
  auto& details = *out.mutable_set_current_client_cert_details();
  details.mutable_subject()->set_value(true);
  details.set_dns(true);
  details.set_uri(true);
  if (options.side == Side::kInbound) {
    out.mutable_use_remote_address()->set_value(false);
    out.set_forward_client_cert_details(HttpConnectionManager::APPEND_FORWARD);
    return;
  }
  details.set_cert(true);
  out.mutable_use_remote_address()->set_value(true);
  out.set_forward_client_cert_details(HttpConnectionManager::SANITIZE_SET);
  const mesh::MeshConfig::Proxy& topology = view.mesh.mesh().proxy;
  if (topology.trusted_proxies > 0) {
    out.set_xff_num_trusted_hops(static_cast<std::uint32_t>(topology.trusted_proxies));
  }
  if (topology.forward_client_cert == "APPEND_FORWARD") {
    out.set_forward_client_cert_details(HttpConnectionManager::APPEND_FORWARD);
  } else if (topology.forward_client_cert == "FORWARD_ONLY") {
    out.set_forward_client_cert_details(HttpConnectionManager::FORWARD_ONLY);
  } else if (topology.forward_client_cert == "ALWAYS_FORWARD_ONLY") {
    out.set_forward_client_cert_details(HttpConnectionManager::ALWAYS_FORWARD_ONLY);
  }
}

void set_path_handling(const View& view, HttpConnectionManager& out) {
  const std::string& mode = view.mesh.mesh().path_normalization;
  out.mutable_normalize_path()->set_value(mode != "NONE");
  out.set_merge_slashes(mode == "MERGE_SLASHES" || mode == "DECODE_AND_MERGE_SLASHES");
  out.set_path_with_escaped_slashes_action(mode == "DECODE_AND_MERGE_SLASHES"
                                               ? HttpConnectionManager::UNESCAPE_AND_FORWARD
                                               : HttpConnectionManager::KEEP_UNCHANGED);
}

}  // namespace

void add_http(const View& view, const HttpChain& options, FilterChain& chain) {
  HttpConnectionManager manager;
  manager.set_codec_type(HttpConnectionManager::AUTO);
  manager.set_stat_prefix(options.stat_prefix);
  if (options.routes != nullptr) {
    *manager.mutable_route_config() = *options.routes;
  } else {
    manager.mutable_rds()->set_route_config_name(options.route_name);
    set_ads(*manager.mutable_rds()->mutable_config_source());
  }
  add_filters(view, options.side, options.port, manager);
  set_tracing(view, options.side, manager);
  for (const AccessLog& log : make_access_logs(view, options.side, Wire::kHttp)) {
    *manager.add_access_log() = log;
  }
  set_identity_forwarding(view, options, manager);
  set_path_handling(view, manager);
  if (options.side != Side::kOutbound) manager.set_server_name("istio-envoy");
  manager.set_proxy_100_continue(true);
  manager.mutable_http_protocol_options()->set_accept_http_10(view.proxy.is_http10_accepted);
  manager.mutable_stream_idle_timeout()->set_seconds(0);
  manager.add_upgrade_configs()->set_upgrade_type("websocket");
  ::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig request_id;
  request_id.mutable_use_request_id_for_trace_sampling()->set_value(
      uses_request_id_for_sampling(view, options.side));
  *manager.mutable_request_id_extension()->mutable_typed_config() = xds::pack(request_id);
  ::envoy::config::listener::v3::Filter& filter = *chain.add_filters();
  filter.set_name("envoy.filters.network.http_connection_manager");
  *filter.mutable_typed_config() = xds::pack(manager);
}

}  // namespace lateen::discovery
