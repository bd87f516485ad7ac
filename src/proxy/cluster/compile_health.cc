// Health checks and outlier detection of a cluster.

#include "base/strings.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/health_check.pb.h"
#include "proxy/cluster/compile.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace core = envoy::config::core::v3;

Result<std::string> payload_of(const core::HealthCheck::Payload& payload) {
  if (payload.payload_case() == core::HealthCheck::Payload::kBinary) return payload.binary();
  const std::string& text = payload.text();  // hexadecimal
  if (text.size() % 2 != 0) return invalid("'" + text + "' is no hexadecimal text", Blame::kConfig);
  std::string bytes;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0)
      return invalid("'" + text + "' is no hexadecimal text", Blame::kConfig);
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

template <typename Ranges>
std::vector<std::pair<int, int>> ranges_of(const Ranges& ranges) {
  std::vector<std::pair<int, int>> made;
  for (const auto& range : ranges)
    made.emplace_back(static_cast<int>(range.start()), static_cast<int>(range.end()));
  return made;
}

Result<> compile_protocol(const core::HealthCheck& config, HealthCheck& made) {
  switch (config.health_checker_case()) {
    case core::HealthCheck::kHttpHealthCheck: {
      const auto& http = config.http_health_check();
      made.host = http.host();
      made.path = http.path();
      made.is_http2 = http.codec_client_type() == envoy::type::v3::HTTP2;
      if (http.method() != core::METHOD_UNSPECIFIED)
        made.method = core::RequestMethod_Name(http.method());
      if (!http.expected_statuses().empty()) made.expected = ranges_of(http.expected_statuses());
      made.retriable = ranges_of(http.retriable_statuses());
      for (const auto& one : http.request_headers_to_add())
        made.headers.emplace_back(to_lower(one.header().key()), one.header().value());
      return {};
    }
    case core::HealthCheck::kTcpHealthCheck: {
      made.kind = HealthCheck::Kind::kTcp;
      const auto& tcp = config.tcp_health_check();
      if (tcp.has_send()) made.send = TRY(payload_of(tcp.send()));
      for (const auto& one : tcp.receive()) made.receive.push_back(TRY(payload_of(one)));
      return {};
    }
    case core::HealthCheck::kGrpcHealthCheck: {
      made.kind = HealthCheck::Kind::kGrpc;
      const auto& grpc = config.grpc_health_check();
      made.service = grpc.service_name();
      if (made.service.size() > 120)
        return invalid("grpc_health_check: the service name is too long", Blame::kConfig);
      made.host = grpc.authority();
      for (const auto& one : grpc.initial_metadata())
        made.headers.emplace_back(to_lower(one.header().key()), one.header().value());
      return {};
    }
    default:
      return invalid(
          "custom health checks are not supported: '" + config.custom_health_check().name() + "'",
          Blame::kConfig);
  }
}

Result<HealthCheck> compile_check(const core::HealthCheck& config) {
  HealthCheck made;
  const auto read = [](bool has, const google::protobuf::Duration& from, milliseconds& into) {
    if (has) into = std::max(milliseconds(1), xds::to_millis(from));
  };
  read(config.has_timeout(), config.timeout(), made.timeout);
  read(config.has_interval(), config.interval(), made.interval);
  read(config.has_initial_jitter(), config.initial_jitter(), made.initial_jitter);
  read(config.has_interval_jitter(), config.interval_jitter(), made.interval_jitter);
  read(config.has_no_traffic_interval(), config.no_traffic_interval(), made.no_traffic_interval);
  read(config.has_unhealthy_interval(), config.unhealthy_interval(), made.unhealthy_interval);
  read(config.has_unhealthy_edge_interval(), config.unhealthy_edge_interval(),
       made.unhealthy_edge_interval);
  read(config.has_healthy_edge_interval(), config.healthy_edge_interval(),
       made.healthy_edge_interval);
  if (config.has_unhealthy_threshold())
    made.unhealthy_threshold = std::max(1u, config.unhealthy_threshold().value());
  if (config.has_healthy_threshold())
    made.healthy_threshold = std::max(1u, config.healthy_threshold().value());
  made.is_connection_reused = !config.has_reuse_connection() || config.reuse_connection().value();
  TRY(compile_protocol(config, made));
  return made;
}

}  // namespace

Result<> compile_health(const envoy::config::cluster::v3::Cluster& config, ClusterConfig& made) {
  for (int i = 0; i < config.health_checks_size(); ++i)
    made.health_checks.push_back(
        TRY(compile_check(config.health_checks(i)).at("health check #" + std::to_string(i))));
  made.is_health_ignored_on_removal = config.ignore_health_on_host_removal();
  return {};
}

Result<> compile_outlier(const envoy::config::cluster::v3::Cluster& config, ClusterConfig& made) {
  if (!config.has_outlier_detection()) return {};
  const auto& from = config.outlier_detection();
  // Rates of local failures of their own are not kept; to switch them off is all that can be asked.
  if (from.enforcing_local_origin_success_rate().value() > 0 ||
      from.enforcing_failure_percentage_local_origin().value() > 0)
    return invalid(
        "outlier_detection: enforcing_local_origin_success_rate and "
        "enforcing_failure_percentage_local_origin over 0 are not supported",
        Blame::kConfig);
  Outlier outlier;
  const auto enforced = [](bool has, std::uint32_t percent) { return !has || percent > 0; };
  if (from.has_consecutive_5xx()) outlier.consecutive_5xx = from.consecutive_5xx().value();
  if (!enforced(from.has_enforcing_consecutive_5xx(), from.enforcing_consecutive_5xx().value()))
    outlier.consecutive_5xx = 0;
  if (from.enforcing_consecutive_gateway_failure().value() > 0)
    outlier.consecutive_gateway =
        from.has_consecutive_gateway_failure() ? from.consecutive_gateway_failure().value() : 5;
  outlier.is_local_split = from.split_external_local_origin_errors();
  if (outlier.is_local_split && enforced(from.has_enforcing_consecutive_local_origin_failure(),
                                         from.enforcing_consecutive_local_origin_failure().value()))
    outlier.consecutive_local = from.has_consecutive_local_origin_failure()
                                    ? from.consecutive_local_origin_failure().value()
                                    : 5;
  if (from.has_interval()) outlier.interval = xds::to_nanos(from.interval());
  if (from.has_base_ejection_time())
    outlier.base_ejection = xds::to_nanos(from.base_ejection_time());
  if (from.has_max_ejection_time()) outlier.max_ejection = xds::to_nanos(from.max_ejection_time());
  outlier.max_ejection = std::max(outlier.max_ejection, outlier.base_ejection);
  if (from.has_max_ejection_time_jitter())
    outlier.max_jitter = xds::to_nanos(from.max_ejection_time_jitter());
  if (from.has_max_ejection_percent())
    outlier.max_ejection_percent = from.max_ejection_percent().value();
  outlier.is_one_always_ejected = from.always_eject_one_host().value();
  if (from.has_enforcing_success_rate())
    outlier.success_rate_enforced = from.enforcing_success_rate().value();
  if (from.has_success_rate_minimum_hosts())
    outlier.success_rate_hosts = from.success_rate_minimum_hosts().value();
  if (from.has_success_rate_request_volume())
    outlier.success_rate_volume = from.success_rate_request_volume().value();
  if (from.has_success_rate_stdev_factor())
    outlier.success_rate_factor = from.success_rate_stdev_factor().value() / 1000.0;
  outlier.failure_percentage_enforced = from.enforcing_failure_percentage().value();
  if (from.has_failure_percentage_threshold())
    outlier.failure_percentage = from.failure_percentage_threshold().value();
  if (from.has_failure_percentage_minimum_hosts())
    outlier.failure_percentage_hosts = from.failure_percentage_minimum_hosts().value();
  if (from.has_failure_percentage_request_volume())
    outlier.failure_percentage_volume = from.failure_percentage_request_volume().value();
  made.outlier = outlier;
  return {};
}

}  // namespace lateen::proxy
