// Overload: looks at memory and connection counts now and then, and tells the workers what to
// refuse. With no limits configured, a cgroup's memory limit is one. Main thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "proxy/worker/shared.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace lateen::proxy {

struct OverloadLimits {
  // Shares of `most_bytes` at which an action starts; over 1: never.
  double refuse_requests_at = 0.95;
  double refuse_connections_at = 0.98;
  double keep_alive_off_at = 0.90;
  std::uint64_t most_bytes = 0;  // 0: the cgroup's limit, when there is one
  std::int64_t most_connections = INT64_MAX;
  // Of single listeners, by name (envoy.resource_limits.listener.NAME.connection_limit).
  std::map<std::string, std::uint32_t> listener_connections;

  // From the runtime's static layers and the overload manager. What it asks for and is not known
  // here is an error that names it.
  static Result<OverloadLimits> read(const envoy::config::bootstrap::v3::Bootstrap& bootstrap);
};

class Overload {
 public:
  // `shared` outlives us.
  Overload(Shared& shared, OverloadLimits limits);
  // Reads the process' memory and sets the flags.
  void check();
  void apply(std::uint64_t used_bytes);  // the same, for a figure that was read elsewhere
  const OverloadLimits& limits() const { return limits_; }

 private:
  Shared& shared_;
  OverloadLimits limits_;
};

}  // namespace lateen::proxy
