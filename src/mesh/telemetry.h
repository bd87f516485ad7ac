// telemetry.istio.io Telemetry: what of traffic is traced, logged and counted, and
// networking.istio.io ProxyConfig: settings of the proxies of a namespace or workload.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"
#include "mesh/security.h"

namespace lateen::mesh {

struct Telemetry {
  // Modes: "", CLIENT, SERVER, CLIENT_AND_SERVER.
  struct Tracing {
    std::string mode;
    std::vector<std::string> providers;
    std::optional<double> sampling_percent;
    std::optional<bool> is_reporting_disabled, uses_request_id_for_sampling, has_istio_tags;
    struct Tag {
      enum class Kind : unsigned char { kLiteral, kEnvironment, kHeader, kFormatter };
      Kind kind = Kind::kLiteral;
      std::string value;     // or the name of the variable or header
      std::string fallback;  // of variables and headers
    };
    std::map<std::string, Tag, std::less<>> tags;
  };
  struct AccessLogging {
    std::string mode;
    std::vector<std::string> providers;
    std::optional<bool> is_disabled;
    std::string filter;  // CEL
  };
  struct Override {
    std::string metric, mode;
    std::optional<bool> is_disabled;
    std::map<std::string, std::optional<std::string>, std::less<>> tags;  // nullopt: REMOVE
  };
  struct Metrics {
    std::vector<std::string> providers;
    std::vector<Override> overrides;
    std::optional<nanoseconds> reporting_interval;
  };
  Labels selector;
  std::vector<TargetRef> targets;
  std::vector<Tracing> tracing;
  std::vector<AccessLogging> access_logging;
  std::vector<Metrics> metrics;
};

struct ProxyConfigSpec {
  Labels selector;
  std::optional<std::int64_t> concurrency;
  Labels environment;
  std::string image_type;
};

void read_spec(Reader& reader, Telemetry& spec);
void read_spec(Reader& reader, ProxyConfigSpec& spec);
void check_spec(const Meta& meta, const Telemetry& spec, Issues& issues);
void check_spec(const Meta& meta, const ProxyConfigSpec& spec, Issues& issues);

}  // namespace lateen::mesh
