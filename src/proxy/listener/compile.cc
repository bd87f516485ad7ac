// Listener to ListenerConfig, with the list of network filters.

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>

#include "base/strings.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/compile_context.h"
#include "proxy/listener/config.h"
#include "proxy/network/filters.h"
#include "proxy/network/http_terminal.h"
#include "proxy/network/metadata_exchange.h"
#include "proxy/network/tcp_proxy.h"
#include "tls/x509.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace listener = envoy::config::listener::v3;
using Match = listener::FilterChainMatch;

Result<std::vector<net::Cidr>> compile_ranges(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>& configs) {
  std::vector<net::Cidr> made;
  for (const auto& one : configs) made.push_back(TRY(xds::to_cidr(one)));
  return made;
}

Result<ChainMatch> compile_match(const Match& config) {
  ChainMatch made;
  if (config.has_destination_port())
    made.destination_port = static_cast<std::uint16_t>(config.destination_port().value());
  made.destinations = TRY(compile_ranges(config.prefix_ranges()));
  for (const auto& name : config.server_names()) made.server_names.push_back(to_lower(name));
  made.transport_protocol = config.transport_protocol();
  made.application_protocols.assign(config.application_protocols().begin(),
                                    config.application_protocols().end());
  made.direct_sources = TRY(compile_ranges(config.direct_source_prefix_ranges()));
  if (config.source_type() == Match::SAME_IP_OR_LOOPBACK)
    made.source_type = ChainMatch::Source::kSameIpOrLoopback;
  if (config.source_type() == Match::EXTERNAL) made.source_type = ChainMatch::Source::kExternal;
  made.sources = TRY(compile_ranges(config.source_prefix_ranges()));
  for (const auto port : config.source_ports())
    made.source_ports.push_back(static_cast<std::uint16_t>(port));
  return made;
}

Result<std::shared_ptr<TlsSource>> compile_transport(
    const envoy::config::core::v3::TransportSocket& config) {
  namespace ssl = envoy::extensions::transport_sockets::tls::v3;
  const std::string type = xds::carried_type(config.typed_config());
  if (type.ends_with("raw_buffer.v3.RawBuffer")) return std::shared_ptr<TlsSource>();
  if (!type.ends_with("tls.v3.DownstreamTlsContext"))
    return invalid("transport socket '" + config.name() + "' of type " + type + " is not supported",
                   Blame::kConfig);
  const auto context = TRY(unpack_checked<ssl::DownstreamTlsContext>(config.typed_config()));
  auto spec = TRY(compile_tls(tls::Context::Role::kServer, context.common_tls_context()));
  spec.options.is_peer_required = context.require_client_certificate().value();
  spec.options.has_session_resumption = !context.disable_stateless_session_resumption() &&
                                        !context.disable_stateful_session_resumption();
  return std::make_shared<TlsSource>(std::move(spec));
}

Result<std::shared_ptr<const NetworkFilter>> compile_network_filter(const listener::Filter& config,
                                                                    const CompileContext& context,
                                                                    FilterChain& chain) {
  namespace network = envoy::extensions::filters::network;
  const std::string type = xds::carried_type(config.typed_config());
  if (type.ends_with("http_connection_manager.v3.HttpConnectionManager")) {
    const auto manager =
        TRY(xds::unpack<network::http_connection_manager::v3::HttpConnectionManager>(
            config.typed_config()));
    chain.is_http = true;
    auto http = TRY(HttpConfig::compile(manager, context));
    return std::shared_ptr<const NetworkFilter>(std::make_shared<HttpTerminal>(std::move(http)));
  }
  if (type.ends_with("tcp_proxy.v3.TcpProxy"))
    return TcpProxy::compile(
        TRY(unpack_checked<network::tcp_proxy::v3::TcpProxy>(config.typed_config())), context);
  if (type == "envoy.tcp.metadataexchange.config.MetadataExchange")
    return std::shared_ptr<const NetworkFilter>(std::make_shared<MetadataExchange>());
  return make_network_filter(type, config.typed_config(), context);
}

std::size_t hash_of(const google::protobuf::Any& extension) {
  return std::hash<std::string_view>{}(extension.type_url() + extension.value());
}

std::string fingerprint_of(const listener::FilterChain& config, const CompileContext& context) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    config.SerializeToCodedStream(&coded);
  }
  bytes += context.is_inbound ? 'i' : context.is_outbound ? 'o' : '-';
  return tls::sha256(bytes + context.listener_name);
}

bool has_same_extensions(const FilterChain& chain, const CompileContext& context) {
  return std::all_of(chain.extensions.begin(), chain.extensions.end(), [&](const auto& one) {
    const auto* body = context.find_extension ? context.find_extension(one.first) : nullptr;
    return (body == nullptr ? 0 : hash_of(*body)) == one.second;
  });
}

Result<FilterChainRef> compile_chain(const listener::FilterChain& config,
                                     const CompileContext& outer, const ListenerConfig* previous) {
  const std::string fingerprint = fingerprint_of(config, outer);
  if (previous != nullptr) {
    const auto is_same = [&](const FilterChainRef& one) {
      return one != nullptr && one->fingerprint == fingerprint && has_same_extensions(*one, outer);
    };
    if (is_same(previous->fallback)) return previous->fallback;
    for (const auto& one : previous->chains)
      if (is_same(one)) return one;
  }
  auto made = std::make_shared<FilterChain>();
  made->name = config.name();
  made->fingerprint = fingerprint;
  CompileContext context = outer;
  context.route_names = &made->route_names;
  context.tls_sources = &made->tls_sources;
  context.find_extension = [&](const std::string& name) -> const google::protobuf::Any* {
    const auto* body = outer.find_extension ? outer.find_extension(name) : nullptr;
    made->extensions.emplace_back(name, body == nullptr ? 0 : hash_of(*body));
    return body;
  };
  made->match = TRY(compile_match(config.filter_chain_match()));
  if (config.has_transport_socket()) made->tls = TRY(compile_transport(config.transport_socket()));
  if (made->tls != nullptr && context.tls_sources != nullptr)
    context.tls_sources->push_back(made->tls);
  if (config.has_transport_socket_connect_timeout())
    made->handshake_timeout = xds::to_millis(config.transport_socket_connect_timeout());
  for (const auto& filter : config.filters())
    made->filters.push_back(
        TRY(compile_network_filter(filter, context, *made).at("network filter " + filter.name())));
  return FilterChainRef(std::move(made));
}

PortPredicate compile_predicate(const listener::ListenerFilterChainMatchPredicate& config) {
  using Predicate = listener::ListenerFilterChainMatchPredicate;
  PortPredicate made;
  switch (config.rule_case()) {
    case Predicate::kAnyMatch: made.kind = PortPredicate::Kind::kAlways; break;
    case Predicate::kDestinationPortRange:
      made.kind = PortPredicate::Kind::kRange;
      made.first = static_cast<std::uint16_t>(config.destination_port_range().start());
      made.last = static_cast<std::uint16_t>(config.destination_port_range().end());
      break;
    case Predicate::kNotMatch:
      made.kind = PortPredicate::Kind::kNot;
      made.parts.push_back(compile_predicate(config.not_match()));
      break;
    case Predicate::kOrMatch:
      made.kind = PortPredicate::Kind::kAny;
      for (const auto& rule : config.or_match().rules())
        made.parts.push_back(compile_predicate(rule));
      break;
    case Predicate::kAndMatch:
      made.kind = PortPredicate::Kind::kAll;
      for (const auto& rule : config.and_match().rules())
        made.parts.push_back(compile_predicate(rule));
      break;
    default: break;
  }
  return made;
}

Result<ListenerFilter> compile_listener_filter(const listener::ListenerFilter& config) {
  using Kind = ListenerFilter::Kind;
  const std::string type = xds::carried_type(config.typed_config());
  TRY(check_fields(config.typed_config()).at("listener filter " + config.name()));
  ListenerFilter made{Kind::kOriginalDst, {}, false};
  if (type.ends_with("original_dst.v3.OriginalDst")) made.kind = Kind::kOriginalDst;
  else if (type.ends_with("tls_inspector.v3.TlsInspector")) made.kind = Kind::kTlsInspector;
  else if (type.ends_with("http_inspector.v3.HttpInspector")) made.kind = Kind::kHttpInspector;
  else if (type.ends_with("proxy_protocol.v3.ProxyProtocol")) {
    namespace api = envoy::extensions::filters::listener::proxy_protocol::v3;
    made.kind = Kind::kProxyProtocol;
    made.is_header_optional = TRY(xds::unpack<api::ProxyProtocol>(config.typed_config()))
                                  .allow_requests_without_proxy_protocol();
  } else if (type.ends_with("original_src.v3.OriginalSrc")) made.kind = Kind::kOriginalSrc;
  else
    return invalid("listener filter '" + config.name() + "' of type " + type + " is not supported",
                   Blame::kConfig);
  if (config.has_filter_disabled()) made.disabled = compile_predicate(config.filter_disabled());
  return made;
}

}  // namespace

Result<std::shared_ptr<ListenerConfig>> ListenerConfig::compile(const listener::Listener& config,
                                                                const CompileContext& outer,
                                                                const ListenerConfig* previous) {
  auto made = std::make_shared<ListenerConfig>();
  TRY(check_fields(config));
  made->is_internal = config.has_internal_listener();
  if (made->is_internal && config.name().empty())
    return invalid("an internal listener needs a name", Blame::kConfig);
  if (!made->is_internal) made->address = TRY(xds::to_address(config.address()).at("address"));
  made->name = config.name().empty() ? made->address.to_string() : config.name();
  for (const auto& more : config.additional_addresses())
    made->more_addresses.push_back(TRY(xds::to_address(more.address())));
  made->is_bound = !made->is_internal &&
                   !(config.has_bind_to_port() && !config.bind_to_port().value()) &&
                   !(config.has_deprecated_v1() && config.deprecated_v1().has_bind_to_port() &&
                     !config.deprecated_v1().bind_to_port().value());
  made->is_handing_off = config.use_original_dst().value();
  made->is_transparent = config.transparent().value();
  made->is_limit_ignored = config.ignore_global_conn_limit();
  made->is_overload_bypassed = config.bypass_overload_manager();
  made->is_inbound = config.traffic_direction() == envoy::config::core::v3::INBOUND;
  made->is_outbound = config.traffic_direction() == envoy::config::core::v3::OUTBOUND;
  if (config.has_listener_filters_timeout())
    made->filters_timeout = xds::to_millis(config.listener_filters_timeout());
  made->is_continued_on_timeout = config.continue_on_listener_filters_timeout();
  std::string shown = !config.stat_prefix().empty() ? config.stat_prefix()
                      : made->is_internal           ? made->name
                                                    : made->address.to_string();
  for (char& c : shown)
    if (c == ':') c = '_';
  made->stats = outer.shared->stats.share<ListenerStats>(shown);

  CompileContext context = outer;
  context.is_inbound = made->is_inbound;
  context.is_outbound = made->is_outbound;
  context.is_overload_bypassed = made->is_overload_bypassed;
  context.listener_name = made->name;
  bool has_original_dst = false;
  for (const auto& filter : config.listener_filters()) {
    made->filters.push_back(TRY(compile_listener_filter(filter)));
    has_original_dst =
        has_original_dst || made->filters.back().kind == ListenerFilter::Kind::kOriginalDst;
  }
  // Envoy reads the original destination for use_original_dst whether the filter is listed or not.
  if (made->is_handing_off && !has_original_dst)
    made->filters.insert(made->filters.begin(), {ListenerFilter::Kind::kOriginalDst, {}, false});
  for (int i = 0; i < config.filter_chains_size(); ++i) {
    const auto& one = config.filter_chains(i);
    const std::string where =
        "filter chain " + (one.name().empty() ? "#" + std::to_string(i) : "'" + one.name() + "'");
    made->chains.push_back(TRY(compile_chain(one, context, previous).at(where)));
  }
  if (config.has_default_filter_chain())
    made->fallback = TRY(
        compile_chain(config.default_filter_chain(), context, previous).at("default filter chain"));
  const auto collect = [&](const FilterChain& chain) {
    made->route_names.insert(made->route_names.end(), chain.route_names.begin(),
                             chain.route_names.end());
    made->tls_sources.insert(made->tls_sources.end(), chain.tls_sources.begin(),
                             chain.tls_sources.end());
  };
  for (const auto& chain : made->chains) collect(*chain);
  if (made->fallback != nullptr) collect(*made->fallback);
  if (made->chains.empty() && made->fallback == nullptr)
    return invalid("no filter chains", Blame::kConfig);
  for (const auto& log : config.access_log())
    made->access_logs.push_back(TRY(AccessLog::compile(log, *outer.logs)));
  return made;
}

}  // namespace lateen::proxy
