// What a request's own x-envoy-* headers ask of the router, and gRPC's deadline.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"
#include "proxy/route/route.h"

namespace lateen::proxy {

struct RequestOverrides {
  std::optional<milliseconds> timeout;
  std::optional<milliseconds> per_try_timeout;
  std::optional<milliseconds> stream_duration;
  std::optional<std::uint32_t> most_retries;
  std::uint32_t retry_on = 0;  // RetryPolicy::On
  std::vector<int> status_codes;
  std::vector<std::string> header_names;
  std::optional<bool> is_hedged;
  bool has_retry() const { return retry_on != 0; }
};

// Reads the headers and takes them off: the upstream does not see them. Headers of clients that are
// not trusted were removed before. Null when there is none.
std::unique_ptr<RequestOverrides> take_overrides(http::Request& request);

// "grpc-timeout": digits and a unit; nullopt when absent or malformed.
std::optional<milliseconds> grpc_timeout_of(const http::Headers& headers);
// "400m": the same header's value, of at most eight digits.
std::string grpc_timeout_text(milliseconds timeout);

}  // namespace lateen::proxy
