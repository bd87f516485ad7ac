// What a connection manager traces and how it tells. Immutable.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/stream/formatter.h"

namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager_Tracing;
}

namespace envoy::config::trace::v3 {
class Tracing_Http;
}

namespace lateen::proxy {

struct CustomTag {
  std::string name;
  enum class Kind : unsigned char {
    kLiteral,
    kEnvironment,
    kHeader,
    kMetadata,
    kFormatter
  } kind = Kind::kLiteral;
  std::string value;  // literal, or the header's name
  std::string fallback;
  std::optional<Formatter> format;
};

struct TraceConfig {
  enum class Provider : unsigned char { kNone, kZipkin, kOpenTelemetry } provider = Provider::kNone;
  std::string cluster;  // of the collector
  std::string endpoint = "/api/v2/spans";
  std::string hostname;
  std::string grpc_service;  // OpenTelemetry over gRPC
  bool is_shared_span = true;
  bool is_128_bit = false;
  bool is_w3c_sent = false;  // zipkin with USE_B3_WITH_W3C_PROPAGATION
  std::string service_name;  // OpenTelemetry; zipkin uses the node's cluster
  std::uint32_t client_millionths = 1'000'000;
  std::uint32_t random_millionths = 1'000'000;
  std::uint32_t overall_millionths = 1'000'000;
  std::uint32_t max_path_length = 256;
  bool is_egress = false;
  bool spawns_upstream_span = false;
  bool is_verbose = false;
  std::vector<CustomTag> tags;

  // `fallback`: the bootstrap's tracer, for a connection manager that names none; may be null.
  static Result<TraceConfig> compile(
      const envoy::extensions::filters::network::http_connection_manager::v3::
          HttpConnectionManager_Tracing& config,
      const envoy::config::trace::v3::Tracing_Http* fallback);
};

}  // namespace lateen::proxy
