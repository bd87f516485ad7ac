// Entries of envoy.data.accesslog.v3, as the access log service takes them.

#include "base/strings.h"
#include "envoy/data/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/access_loggers/grpc/v3/als.pb.h"
#include "envoy/service/accesslog/v3/als.pb.h"
#include "proxy/cluster/cluster.h"
#include "proxy/log/service_log.h"
#include "proxy/route/route.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace data_api = envoy::data::accesslog::v3;
namespace als = envoy::service::accesslog::v3;
namespace api = envoy::extensions::access_loggers::grpc::v3;

void write_address(const net::Address& from, envoy::config::core::v3::Address& out) {
  if (from.is_unix()) {
    out.mutable_pipe()->set_path(from.path());
    return;
  }
  out.mutable_socket_address()->set_address(from.ip().to_string());
  out.mutable_socket_address()->set_port_value(from.port());
}

void write_flags(const Flags& from, data_api::ResponseFlags& out) {
  const auto has = [&](Flag flag) { return from.has(flag); };
  out.set_failed_local_healthcheck(has(Flag::kFailedLocalHealthCheck));
  out.set_no_healthy_upstream(has(Flag::kNoHealthyUpstream));
  out.set_upstream_request_timeout(has(Flag::kUpstreamTimeout));
  out.set_local_reset(has(Flag::kLocalReset));
  out.set_upstream_remote_reset(has(Flag::kUpstreamReset));
  out.set_upstream_connection_failure(has(Flag::kUpstreamConnectFailure));
  out.set_upstream_connection_termination(has(Flag::kUpstreamConnectionEnded));
  out.set_upstream_overflow(has(Flag::kUpstreamOverflow));
  out.set_no_route_found(has(Flag::kNoRoute));
  out.set_delay_injected(has(Flag::kDelayInjected));
  out.set_fault_injected(has(Flag::kFaultInjected));
  out.set_rate_limited(has(Flag::kRateLimited));
  if (has(Flag::kUnauthorizedExternal))
    out.mutable_unauthorized_details()->set_reason(
        data_api::ResponseFlags::Unauthorized::EXTERNAL_SERVICE);
  out.set_rate_limit_service_error(has(Flag::kRateLimitError));
  out.set_downstream_connection_termination(has(Flag::kDownstreamEnded));
  out.set_upstream_retry_limit_exceeded(has(Flag::kRetryLimit));
  out.set_stream_idle_timeout(has(Flag::kStreamIdle));
  out.set_invalid_envoy_request_headers(has(Flag::kInvalidHeader));
  out.set_downstream_protocol_error(has(Flag::kDownstreamProtocolError));
  out.set_upstream_max_stream_duration_reached(has(Flag::kUpstreamMaxDuration));
  out.set_duration_timeout(has(Flag::kMaxDuration));
  out.set_upstream_protocol_error(has(Flag::kUpstreamProtocolError));
  out.set_no_cluster_found(has(Flag::kNoCluster));
  out.set_overload_manager(has(Flag::kOverload));
  out.set_dns_resolution_failure(has(Flag::kDnsFailure));
}

void write_tls(const net::TlsInfo& from, const std::string& sni, data_api::TLSProperties& out) {
  using Tls = data_api::TLSProperties;
  out.set_tls_version(from.version == "TLSv1.3"   ? Tls::TLSv1_3
                      : from.version == "TLSv1.2" ? Tls::TLSv1_2
                      : from.version == "TLSv1.1" ? Tls::TLSv1_1
                      : from.version == "TLSv1"   ? Tls::TLSv1
                                                  : Tls::VERSION_UNSPECIFIED);
  out.set_tls_sni_hostname(sni);
  auto& peer = *out.mutable_peer_certificate_properties();
  peer.set_subject(from.peer_subject);
  for (const auto& uri : from.peer_uri_sans) peer.add_subject_alt_name()->set_uri(uri);
  for (const auto& dns : from.peer_dns_sans) peer.add_subject_alt_name()->set_dns(dns);
  for (const auto& uri : from.local_uri_sans)
    out.mutable_local_certificate_properties()->add_subject_alt_name()->set_uri(uri);
}

class AlsCodec final : public LogCodec {
 public:
  bool is_tcp = false;
  std::string log_name;
  std::vector<std::string> request_headers, response_headers, response_trailers, state_keys;

  bool is_streamed() const override { return true; }
  std::string_view method() const override {
    return "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
  }
  std::string entry(const StreamInfo& info) const override {
    if (is_tcp || !info.is_http) {
      data_api::TCPAccessLogEntry made;
      write_common(info, *made.mutable_common_properties());
      made.mutable_connection_properties()->set_received_bytes(info.bytes_received);
      made.mutable_connection_properties()->set_sent_bytes(info.bytes_sent);
      return made.SerializeAsString();
    }
    data_api::HTTPAccessLogEntry made;
    write_common(info, *made.mutable_common_properties());
    write_request(info, made);
    write_response(info, *made.mutable_response());
    return made.SerializeAsString();
  }
  std::string batch(const std::vector<std::string>& entries, bool is_first,
                    Worker& worker) const override {
    als::StreamAccessLogsMessage made;
    if (is_first) {
      auto& who = *made.mutable_identifier();
      who.set_log_name(log_name);
      who.mutable_node()->set_id(worker.shared().identity.node_id);
      who.mutable_node()->set_cluster(worker.shared().node_cluster);
    }
    for (const auto& one : entries) {
      if (is_tcp) made.mutable_tcp_logs()->add_log_entry()->ParseFromString(one);
      else made.mutable_http_logs()->add_log_entry()->ParseFromString(one);
    }
    return made.SerializeAsString();
  }

 private:
  void write_common(const StreamInfo& info, data_api::AccessLogCommon& out) const;
  void write_request(const StreamInfo& info, data_api::HTTPAccessLogEntry& out) const;
  void write_response(const StreamInfo& info, data_api::HTTPResponseProperties& out) const;
};

void AlsCodec::write_common(const StreamInfo& info, data_api::AccessLogCommon& out) const {
  write_address(info.remote ? *info.remote : info.connection.remote,
                *out.mutable_downstream_remote_address());
  write_address(info.connection.local, *out.mutable_downstream_local_address());
  write_address(info.connection.direct_remote, *out.mutable_downstream_direct_remote_address());
  if (info.connection.tls != nullptr)
    write_tls(*info.connection.tls, info.connection.sni, *out.mutable_tls_properties());
  const auto since = std::chrono::duration_cast<nanoseconds>(info.started_wall.time_since_epoch());
  out.mutable_start_time()->set_seconds(since.count() / 1'000'000'000);
  out.mutable_start_time()->set_nanos(static_cast<std::int32_t>(since.count() % 1'000'000'000));
  const auto span = [&](const std::optional<SteadyTime>& to, google::protobuf::Duration* into) {
    *into = xds::to_duration(*to - info.started);
  };
  if (info.request_complete) span(info.request_complete, out.mutable_time_to_last_rx_byte());
  if (info.upstream_first_byte_sent)
    span(info.upstream_first_byte_sent, out.mutable_time_to_first_upstream_tx_byte());
  if (info.response_started) {
    span(info.response_started, out.mutable_time_to_first_upstream_rx_byte());
    span(info.response_started, out.mutable_time_to_first_downstream_tx_byte());
  }
  if (info.finished) {
    span(info.finished, out.mutable_time_to_last_downstream_tx_byte());
    span(info.finished, out.mutable_duration());
  }
  if (info.upstream.host != nullptr)
    write_address(info.upstream.address, *out.mutable_upstream_remote_address());
  if (info.upstream.local)
    write_address(*info.upstream.local, *out.mutable_upstream_local_address());
  out.set_upstream_cluster(info.upstream.cluster_name);
  out.set_upstream_transport_failure_reason(info.upstream.transport_failure);
  out.set_upstream_request_attempt_count(info.upstream.attempts);
  write_flags(info.flags, *out.mutable_response_flags());
  for (const auto& [name, value] : info.metadata)
    if (const auto* object = value.if_object())
      (*out.mutable_metadata()->mutable_filter_metadata())[std::string(name)] =
          xds::json_to_struct(*object);
  for (const auto& key : state_keys)
    if (const auto found = info.state.find(key); found != info.state.end()) {
      google::protobuf::Value value;
      value.set_string_value(found->second);
      (*out.mutable_filter_state_objects())[key] = xds::pack(value);
    }
  if (info.route != nullptr) out.set_route_name(info.route->name);
  out.set_connection_termination_details(info.connection.termination_details);
  out.set_stream_id(std::string(info.request_id));
  out.set_downstream_wire_bytes_received(info.bytes_received);
  out.set_downstream_wire_bytes_sent(info.bytes_sent + info.response_header_bytes);
  out.set_access_log_type(info.is_http ? data_api::DownstreamEnd : data_api::TcpConnectionEnd);
}

void AlsCodec::write_request(const StreamInfo& info, data_api::HTTPAccessLogEntry& entry) const {
  if (!info.request) return;
  const http::Request& from = *info.request;
  using Entry = data_api::HTTPAccessLogEntry;
  entry.set_protocol_version(from.version == http::Version::kHttp10   ? Entry::HTTP10
                             : from.version == http::Version::kHttp11 ? Entry::HTTP11
                                                                      : Entry::HTTP2);
  auto& out = *entry.mutable_request();
  envoy::config::core::v3::RequestMethod method;
  if (envoy::config::core::v3::RequestMethod_Parse(std::string(from.method), &method))
    out.set_request_method(method);
  const auto field = [&](std::string_view name) {
    return std::string(from.headers.get(name).value_or(""));
  };
  out.set_scheme(std::string(from.scheme));
  out.set_authority(std::string(from.authority));
  out.set_path(std::string(info.original_path.empty() ? from.path : info.original_path));
  out.set_user_agent(field("user-agent"));
  out.set_referer(field("referer"));
  out.set_forwarded_for(field("x-forwarded-for"));
  out.set_request_id(field("x-request-id"));
  out.set_original_path(std::string(info.original_path));
  out.set_request_body_bytes(info.bytes_received);
  for (const auto& name : request_headers)
    if (from.headers.has(name))
      (*out.mutable_request_headers())[name] = std::string(from.headers.joined(name));
}

void AlsCodec::write_response(const StreamInfo& info, data_api::HTTPResponseProperties& out) const {
  if (info.status > 0)
    out.mutable_response_code()->set_value(static_cast<std::uint32_t>(info.status));
  out.set_response_headers_bytes(info.response_header_bytes);
  out.set_response_body_bytes(info.bytes_sent);
  out.set_response_code_details(info.details);
  if (info.response_headers)
    for (const auto& name : response_headers)
      if (info.response_headers->has(name))
        (*out.mutable_response_headers())[name] = std::string(info.response_headers->joined(name));
  for (const auto& name : response_trailers)
    for (const auto& [key, value] : info.response_trailers)
      if (iequals(key, name)) (*out.mutable_response_trailers())[name] = value;
}

template <typename List>
std::vector<std::string> lower_all(const List& names) {
  std::vector<std::string> made;
  for (const auto& name : names) made.push_back(to_lower(name));
  return made;
}

}  // namespace

Result<std::shared_ptr<const LogCodec>> make_als_codec(const google::protobuf::Any& config,
                                                       bool is_tcp) {
  auto made = std::make_shared<AlsCodec>();
  made->is_tcp = is_tcp;
  api::CommonGrpcAccessLogConfig common;
  if (is_tcp) {
    common = TRY(xds::unpack<api::TcpGrpcAccessLogConfig>(config)).common_config();
  } else {
    const auto from = TRY(xds::unpack<api::HttpGrpcAccessLogConfig>(config));
    common = from.common_config();
    made->request_headers = lower_all(from.additional_request_headers_to_log());
    made->response_headers = lower_all(from.additional_response_headers_to_log());
    made->response_trailers = lower_all(from.additional_response_trailers_to_log());
  }
  if (common.custom_tags_size() > 0)
    return invalid("access log: custom_tags are not supported", Blame::kConfig);
  made->log_name = common.log_name();
  made->state_keys.assign(common.filter_state_objects_to_log().begin(),
                          common.filter_state_objects_to_log().end());
  return std::shared_ptr<const LogCodec>(std::move(made));
}

}  // namespace lateen::proxy
