// HttpConnectionManager to HttpConfig.

#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/request_id/uuid/v3/uuid.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/api/value_check.h"
#include "proxy/compile_context.h"
#include "proxy/filters/registry.h"
#include "proxy/http/config.h"
#include "proxy/http/local_replies.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
using Manager = hcm::HttpConnectionManager;

void compile_server(const Manager& config, HttpConfig& made) {
  http::ServerOptions& options = made.server;
  switch (config.codec_type()) {
    case Manager::HTTP1: options.codec = http::Codec::kHttp1; break;
    case Manager::HTTP2: options.codec = http::Codec::kHttp2; break;
    default: options.codec = http::Codec::kAuto;
  }
  if (config.has_max_request_headers_kb())
    options.max_header_bytes = config.max_request_headers_kb().value() * 1024u;
  const auto& common = config.common_http_protocol_options();
  if (common.has_max_headers_count()) options.max_header_count = common.max_headers_count().value();
  if (common.has_idle_timeout()) options.idle_timeout = xds::to_millis(common.idle_timeout());
  if (common.has_max_connection_duration())
    options.max_connection_duration = xds::to_millis(common.max_connection_duration());
  if (common.has_max_requests_per_connection())
    options.max_requests_per_connection = common.max_requests_per_connection().value();
  const auto& h2 = config.http2_protocol_options();
  if (h2.has_max_concurrent_streams())
    options.max_concurrent_streams = h2.max_concurrent_streams().value();
  else options.max_concurrent_streams = 1024;
  if (h2.has_initial_stream_window_size())
    options.stream_window_bytes = h2.initial_stream_window_size().value();
  if (h2.has_initial_connection_window_size())
    options.connection_window_bytes = h2.initial_connection_window_size().value();
  options.is_extended_connect_allowed = h2.allow_connect();
  options.header_timeout = xds::to_millis(config.request_headers_timeout());
  if (config.has_stream_idle_timeout())
    made.stream_idle_timeout = xds::to_millis(config.stream_idle_timeout());
  if (common.has_max_stream_duration())
    made.max_stream_duration = xds::to_millis(common.max_stream_duration());
  made.request_timeout = xds::to_millis(config.request_timeout());
  options.is_http10_accepted = config.http_protocol_options().accept_http_10();
  made.are_h1_trailers_passed = config.http_protocol_options().enable_trailers();
  using Underscore = HttpConfig::Underscore;
  switch (common.headers_with_underscores_action()) {
    case envoy::config::core::v3::HttpProtocolOptions::REJECT_REQUEST:
      made.underscore = Underscore::kReject;
      break;
    case envoy::config::core::v3::HttpProtocolOptions::DROP_HEADER:
      made.underscore = Underscore::kDrop;
      break;
    default: break;
  }
  options.is_h1_header_case_kept =
      config.http_protocol_options().header_key_format().has_stateful_formatter();
  options.server_name.clear();  // The connection manager sets the header itself.
}

Result<> compile_identity(const Manager& config, HttpConfig& made) {
  for (const auto& range : config.internal_address_config().cidr_ranges())
    made.internal_ranges.push_back(TRY(xds::to_cidr(range).at("internal_address_config")));
  using Cert = HttpConfig::ClientCert;
  made.is_remote_address_used = config.use_remote_address().value();
  made.trusted_hops = config.xff_num_trusted_hops();
  made.is_forwarded_for_kept = config.skip_xff_append();
  switch (config.forward_client_cert_details()) {
    case Manager::FORWARD_ONLY: made.client_cert = Cert::kForwardOnly; break;
    case Manager::APPEND_FORWARD: made.client_cert = Cert::kAppendForward; break;
    case Manager::SANITIZE_SET: made.client_cert = Cert::kSanitizeSet; break;
    case Manager::ALWAYS_FORWARD_ONLY: made.client_cert = Cert::kAlwaysForward; break;
    default: made.client_cert = Cert::kSanitize;
  }
  const auto& details = config.set_current_client_cert_details();
  made.is_cert_uri_set = details.uri();
  made.is_cert_subject_set = details.subject().value();
  made.is_cert_dns_set = details.dns();
  made.is_cert_set = details.cert();
  made.is_request_id_generated =
      !config.has_generate_request_id() || config.generate_request_id().value();
  made.is_external_request_id_kept = config.preserve_external_request_id();
  made.is_request_id_returned = config.always_set_request_id_in_response();
  made.is_forwarded_port_added = config.append_x_forwarded_port();
  return {};
}

void compile_path(const Manager& config, HttpConfig& made) {
  using Escaped = HttpConfig::EscapedSlash;
  made.is_path_normalized = config.normalize_path().value();
  made.is_slash_merged = config.merge_slashes();
  switch (config.path_with_escaped_slashes_action()) {
    case Manager::REJECT_REQUEST: made.escaped_slash = Escaped::kReject; break;
    case Manager::UNESCAPE_AND_REDIRECT: made.escaped_slash = Escaped::kRedirect; break;
    case Manager::UNESCAPE_AND_FORWARD: made.escaped_slash = Escaped::kForward; break;
    default: break;
  }
  made.is_any_port_stripped = config.strip_any_host_port();
  made.is_own_port_stripped = config.strip_matching_host_port();
  made.is_trailing_dot_stripped = config.strip_trailing_host_dot();
}

Result<> compile_filters(const Manager& config, const CompileContext& context, HttpConfig& made) {
  for (const auto& one : config.http_filters()) {
    const google::protobuf::Any* any = &one.typed_config();
    if (one.has_config_discovery()) {
      any = context.find_extension ? context.find_extension(one.name()) : nullptr;
      if (any == nullptr && one.config_discovery().has_default_config())
        any = &one.config_discovery().default_config();
      if (any == nullptr)
        return unavailable(
            "filter '" + one.name() + "': its configuration was not delivered (ECDS)",
            Blame::kConfig);
    }
    const std::string type = xds::carried_type(*any);
    const HttpFilterFactory* factory = find_http_filter(type);
    if (factory == nullptr) {
      if (one.is_optional()) continue;
      return invalid("HTTP filter '" + one.name() + "' of type " + type + " is not supported",
                     Blame::kConfig);
    }
    CompileContext own = context;
    own.stat_prefix = made.stat_prefix;
    own.filter_name = one.name();
    auto filter = TRY(make_http_filter(*factory, *any, own).at("HTTP filter " + one.name()));
    made.filters.push_back({one.name(), std::move(filter), one.disabled()});
    if (type == "envoy.extensions.filters.http.router.v3.Router") {
      const auto router = xds::unpack<envoy::extensions::filters::http::router::v3::Router>(*any);
      if (router.ok()) made.is_envoy_header_suppressed = router->suppress_envoy_headers();
    }
  }
  bool is_answer_seen = false;
  for (auto it = made.filters.rbegin(); it != made.filters.rend(); ++it) {
    it->has_later_answerer = is_answer_seen;
    is_answer_seen = is_answer_seen || it->filter->sees_answers();
  }
  if (made.filters.empty())
    return invalid("no HTTP filters: at least a router is needed", Blame::kConfig);
  return {};
}

}  // namespace

Result<std::shared_ptr<const HttpConfig>> HttpConfig::compile(const Manager& config,
                                                              const CompileContext& context) {
  auto made = std::make_shared<HttpConfig>();
  TRY(check_fields(config));
  made->stat_prefix = config.stat_prefix();
  made->is_overload_bypassed = context.is_overload_bypassed;
  if (config.http2_protocol_options().has_connection_keepalive())
    return invalid("http2_protocol_options.connection_keepalive is not supported on this side",
                   Blame::kConfig);
  if (config.has_request_id_extension()) {
    const std::string type = xds::carried_type(config.request_id_extension().typed_config());
    if (!type.ends_with("uuid.v3.UuidRequestIdConfig"))
      return invalid("request_id_extension of type " + type + " is not supported", Blame::kConfig);
  }
  made->stats = context.shared->stats.share<HttpStats>(made->stat_prefix);
  compile_server(config, *made);
  TRY(compile_identity(config, *made));
  compile_path(config, *made);
  switch (config.server_header_transformation()) {
    case Manager::APPEND_IF_ABSENT: made->server_header = Server::kAppendIfAbsent; break;
    case Manager::PASS_THROUGH: made->server_header = Server::kPassThrough; break;
    default: made->server_header = Server::kOverwrite;
  }
  if (!config.server_name().empty()) made->server_name = config.server_name();
  made->via = config.via();
  for (const auto& upgrade : config.upgrade_configs())
    if (!upgrade.has_enabled() || upgrade.enabled().value())
      made->upgrades.push_back(to_lower(upgrade.upgrade_type()));
  switch (config.route_specifier_case()) {
    case Manager::kRouteConfig: {
      const FilterConfigCompiler compile_filter = [&](const std::string& name, const void* any) {
        return compile_route_filter(name, *static_cast<const google::protobuf::Any*>(any), context);
      };
      made->routes = TRY(RouteTable::compile(config.route_config(), compile_filter)
                             .at("route " + config.route_config().name()));
      break;
    }
    case Manager::kRds:
      TRY(check_source(config.rds().config_source(), "rds"));
      made->route_name = config.rds().route_config_name();
      if (context.route_names != nullptr) context.route_names->push_back(made->route_name);
      break;
    default: return invalid("scoped routes are not supported", Blame::kConfig);
  }
  TRY(compile_filters(config, context, *made));
  if (config.has_local_reply_config())
    made->local_replies =
        TRY(LocalReplies::compile(config.local_reply_config()).at("local_reply_config"));
  for (const auto& log : config.access_log())
    made->access_logs.push_back(TRY(AccessLog::compile(log, *context.logs)));
  if (config.has_tracing()) {
    auto tracing = TRY(TraceConfig::compile(config.tracing(), context.tracer).at("tracing"));
    tracing.is_egress = context.is_outbound;
    made->tracing = std::move(tracing);
  }
  return std::shared_ptr<const HttpConfig>(std::move(made));
}

}  // namespace lateen::proxy
