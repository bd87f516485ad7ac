// The figure is the resident memory of the process, against what was configured or what the cgroup
// allows.

#include "proxy/server/overload.h"

#include <unistd.h>

#include <fstream>

#include "base/log.h"
#include "base/strings.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

std::optional<std::uint64_t> read_number(const char* path) {
  std::ifstream file(path);
  std::string text;
  if (!(file >> text)) return std::nullopt;
  return parse_uint(text);
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::optional<double> number_of(const data::Json& value) {
  if (const auto* text = value.if_string()) return parse_double(std::string_view(*text));
  return data::as_number(value);
}

// Flattens {"a": {"b": 1}} to "a.b" = 1; keys with dots are taken as they are.
void flatten(const data::JsonObject& from, const std::string& prefix,
             std::map<std::string, double>& into) {
  for (const auto& entry : from) {
    const std::string name = prefix + std::string(entry.key());
    if (const auto* object = entry.value().if_object()) flatten(*object, name + ".", into);
    else if (const auto number = number_of(entry.value())) into[name] = *number;
  }
}

constexpr std::string_view kGlobalLimit = "overload.global_downstream_max_connections";
constexpr std::string_view kListenerPrefix = "envoy.resource_limits.listener.";
constexpr std::string_view kListenerSuffix = ".connection_limit";

// A varint field of an encoded message, for monitors whose types are not compiled in.
std::optional<std::uint64_t> varint_field(std::string_view bytes, std::uint64_t wanted) {
  std::size_t at = 0;
  const auto next = [&]() -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes[at++]);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  };
  while (at < bytes.size()) {
    const auto tag = next();
    if (!tag || (*tag & 7) != 0) return std::nullopt;
    const auto value = next();
    if (!value) return std::nullopt;
    if (*tag >> 3 == wanted) return value;
  }
  return std::nullopt;
}

namespace overload = envoy::config::overload::v3;

Result<> read_monitors(const overload::OverloadManager& config, OverloadLimits& made) {
  for (const auto& monitor : config.resource_monitors()) {
    const std::string& type = monitor.typed_config().type_url();
    const auto limit = varint_field(monitor.typed_config().value(), 1);
    if (type.ends_with("fixed_heap.v3.FixedHeapConfig") && limit) {
      made.most_bytes = *limit;
    } else if (type.ends_with("cgroup_memory.v3.CgroupMemoryConfig")) {
      made.most_bytes = limit.value_or(0);
    } else if (type.ends_with("downstream_connections.v3.DownstreamConnectionsConfig") && limit) {
      made.most_connections = static_cast<std::int64_t>(*limit);
    } else {
      return invalid(
          "resource monitor '" + monitor.name() + "' of type " + type + " is not supported",
          Blame::kConfig);
    }
  }
  return {};
}

Result<> read_actions(const overload::OverloadManager& config, OverloadLimits& made) {
  if (config.actions_size() > 0)  // Only what is asked for.
    made.refuse_requests_at = made.refuse_connections_at = made.keep_alive_off_at = 2;
  for (const auto& action : config.actions()) {
    double at = 2;
    for (const auto& trigger : action.triggers()) {
      if (trigger.has_threshold()) at = std::min(at, trigger.threshold().value());
      if (trigger.has_scaled()) at = std::min(at, trigger.scaled().saturation_threshold());
    }
    if (action.name() == "envoy.overload_actions.stop_accepting_requests") {
      made.refuse_requests_at = at;
    } else if (action.name() == "envoy.overload_actions.disable_http_keepalive") {
      made.keep_alive_off_at = at;
    } else if (action.name() == "envoy.overload_actions.stop_accepting_connections" ||
               action.name() == "envoy.overload_actions.reject_incoming_connections") {
      made.refuse_connections_at = std::min(made.refuse_connections_at, at);
    } else if (action.name() != "envoy.overload_actions.shrink_heap") {
      return invalid("overload action '" + action.name() + "' is not supported", Blame::kConfig);
    }
  }
  return {};
}

}  // namespace

Result<OverloadLimits> OverloadLimits::read(
    const envoy::config::bootstrap::v3::Bootstrap& bootstrap) {
  OverloadLimits made;
  std::map<std::string, double> runtime;
  for (const auto& layer : bootstrap.layered_runtime().layers()) {
    const auto values = xds::struct_to_json(layer.static_layer());
    if (const auto* object = values.if_object()) flatten(*object, "", runtime);
  }
  for (const auto& [name, value] : runtime) {
    if (name == kGlobalLimit) {
      made.most_connections = static_cast<std::int64_t>(value);
    } else if (name.starts_with(kListenerPrefix) && name.ends_with(kListenerSuffix)) {
      const auto length = name.size() - kListenerPrefix.size() - kListenerSuffix.size();
      made.listener_connections[name.substr(kListenerPrefix.size(), length)] =
          static_cast<std::uint32_t>(value);
    }
  }
  TRY(read_monitors(bootstrap.overload_manager(), made).at("overload_manager"));
  TRY(read_actions(bootstrap.overload_manager(), made).at("overload_manager"));
  return made;
}

Overload::Overload(Shared& shared, OverloadLimits limits)
    : shared_(shared), limits_(std::move(limits)) {
  shared_.most_connections = limits_.most_connections;
  if (limits_.most_bytes != 0) return;
  if (const auto limit = read_number("/sys/fs/cgroup/memory.max")) limits_.most_bytes = *limit;
}

void Overload::check() {
  if (limits_.most_bytes != 0) apply(resident_bytes());
}

void Overload::apply(std::uint64_t used_bytes) {
  const double share = static_cast<double>(used_bytes) / static_cast<double>(limits_.most_bytes);
  const bool is_refusing = share >= limits_.refuse_requests_at;
  if (is_refusing != shared_.is_refusing_requests.load())
    LOG(kWarn, "overload", "memory at {} % of {} bytes: {}", static_cast<int>(share * 100),
        limits_.most_bytes, is_refusing ? "requests are refused" : "requests are taken again");
  shared_.is_refusing_requests = is_refusing;
  shared_.is_refusing_connections = share >= limits_.refuse_connections_at;
  shared_.is_keep_alive_off = share >= limits_.keep_alive_off_at;
}

}  // namespace lateen::proxy
