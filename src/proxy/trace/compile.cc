// HttpConnectionManager.Tracing to TraceConfig.

#include "envoy/config/trace/v3/http_tracer.pb.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/config/trace/v3/zipkin.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/type/tracing/v3/custom_tag.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/trace/config.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
namespace trace = envoy::config::trace::v3;

namespace {

std::uint32_t millionths(bool has, double percent, std::uint32_t fallback) {
  return has ? static_cast<std::uint32_t>(percent * 10'000) : fallback;
}

Result<> compile_provider(const trace::Tracing::Http& provider, TraceConfig& made) {
  const std::string type = xds::carried_type(provider.typed_config());
  if (type == "envoy.config.trace.v3.ZipkinConfig") {
    const auto zipkin = TRY(unpack_checked<trace::ZipkinConfig>(provider.typed_config()));
    if (zipkin.collector_endpoint_version() == trace::ZipkinConfig::HTTP_PROTO)
      return invalid("collector_endpoint_version HTTP_PROTO is not supported", Blame::kConfig);
    made.provider = TraceConfig::Provider::kZipkin;
    made.cluster = zipkin.collector_cluster();
    if (!zipkin.collector_endpoint().empty()) made.endpoint = zipkin.collector_endpoint();
    made.hostname = zipkin.collector_hostname();
    if (zipkin.has_collector_service()) {
      const auto& uri = zipkin.collector_service().http_uri();
      made.cluster = uri.cluster();
      const auto scheme = uri.uri().find("://");
      const std::string rest =
          scheme == std::string::npos ? uri.uri() : uri.uri().substr(scheme + 3);
      const auto slash = rest.find('/');
      made.hostname = rest.substr(0, slash);
      if (slash != std::string::npos) made.endpoint = rest.substr(slash);
    }
    if (made.hostname.empty()) made.hostname = made.cluster;
    made.is_shared_span = !zipkin.has_shared_span_context() || zipkin.shared_span_context().value();
    made.is_128_bit = zipkin.trace_id_128bit();
    made.is_w3c_sent =
        zipkin.trace_context_option() == trace::ZipkinConfig::USE_B3_WITH_W3C_PROPAGATION;
    return {};
  }
  if (type == "envoy.config.trace.v3.OpenTelemetryConfig") {
    const auto otel = TRY(unpack_checked<trace::OpenTelemetryConfig>(provider.typed_config()));
    made.provider = TraceConfig::Provider::kOpenTelemetry;
    made.service_name = otel.service_name();
    made.is_128_bit = true;
    made.is_w3c_sent = true;
    made.is_shared_span = false;
    if (otel.has_http_service()) {
      const auto& uri = otel.http_service().http_uri();
      made.cluster = uri.cluster();
      const auto scheme = uri.uri().find("://");
      const std::string rest =
          scheme == std::string::npos ? uri.uri() : uri.uri().substr(scheme + 3);
      const auto slash = rest.find('/');
      made.hostname = rest.substr(0, slash);
      made.endpoint = slash == std::string::npos ? "/v1/traces" : rest.substr(slash);
    } else {
      made.cluster = otel.grpc_service().envoy_grpc().cluster_name();
      made.hostname = otel.grpc_service().envoy_grpc().authority();
      if (made.hostname.empty()) made.hostname = made.cluster;
      made.grpc_service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    }
    return {};
  }
  return invalid("tracing provider '" + provider.name() + "' of type " + type + " is not supported",
                 Blame::kConfig);
}

Result<> compile_tags(const hcm::HttpConnectionManager_Tracing& config, TraceConfig& made) {
  using Tag = envoy::type::tracing::v3::CustomTag;
  for (const auto& from : config.custom_tags()) {
    CustomTag tag;
    tag.name = from.tag();
    switch (from.type_case()) {
      case Tag::kLiteral: tag.value = from.literal().value(); break;
      case Tag::kEnvironment: {
        const char* value = std::getenv(from.environment().name().c_str());
        tag.value = value == nullptr ? from.environment().default_value() : value;
        break;
      }
      case Tag::kRequestHeader:
        tag.kind = CustomTag::Kind::kHeader;
        tag.value = from.request_header().name();
        tag.fallback = from.request_header().default_value();
        break;
      case Tag::kMetadata: {
        tag.kind = CustomTag::Kind::kFormatter;
        const auto& key = from.metadata().metadata_key();
        std::string path = key.key();
        for (const auto& segment : key.path()) path += ":" + segment.key();
        std::string command = "DYNAMIC_METADATA";
        if (from.metadata().kind().has_cluster()) command = "CLUSTER_METADATA";
        if (from.metadata().kind().has_host()) command = "UPSTREAM_METADATA";
        if (from.metadata().kind().has_route()) {
          command = "METADATA";
          path = "ROUTE:" + path;
        }
        tag.format = TRY(Formatter::compile("%" + command + "(" + path + ")%", true));
        tag.fallback = from.metadata().default_value();
        break;
      }
      default:
        if (from.value().empty())
          return invalid("custom tag '" + from.tag() + "' of a kind that is not known here",
                         Blame::kConfig);
        tag.kind = CustomTag::Kind::kFormatter;
        tag.format = TRY(Formatter::compile(from.value(), true));
    }
    made.tags.push_back(std::move(tag));
  }
  return {};
}

}  // namespace

Result<TraceConfig> TraceConfig::compile(const hcm::HttpConnectionManager_Tracing& config,
                                         const trace::Tracing::Http* fallback) {
  TraceConfig made;
  if (config.has_provider()) TRY(compile_provider(config.provider(), made));
  else if (fallback != nullptr) TRY(compile_provider(*fallback, made));
  made.client_millionths =
      millionths(config.has_client_sampling(), config.client_sampling().value(), 1'000'000);
  made.random_millionths =
      millionths(config.has_random_sampling(), config.random_sampling().value(), 1'000'000);
  made.overall_millionths =
      millionths(config.has_overall_sampling(), config.overall_sampling().value(), 1'000'000);
  if (config.has_max_path_tag_length()) made.max_path_length = config.max_path_tag_length().value();
  made.is_verbose = config.verbose();
  made.spawns_upstream_span = config.spawn_upstream_span().value();
  TRY(compile_tags(config, made));
  return made;
}

}  // namespace lateen::proxy
