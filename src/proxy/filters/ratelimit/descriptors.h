// Rate limit actions of routes: from a request to the descriptors that a limit is kept for. Used by
// the global and the local rate limit. Immutable, thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/message.h"
#include "proxy/stream/stream_info.h"

namespace envoy::config::route::v3 {
class RateLimit;
}

namespace lateen::proxy {

struct RateDescriptor {
  std::vector<std::pair<std::string, std::string>> entries;
  struct Override {
    std::uint32_t requests_per_unit = 0;
    int unit = 0;  // envoy.type.v3.RateLimitUnit
  };
  std::optional<Override> limit;
  std::optional<std::uint64_t> hits;
};

// One entry of `rate_limits`.
class RateLimitRule {
 public:
  using Ref = std::shared_ptr<const RateLimitRule>;
  static Result<Ref> compile(const envoy::config::route::v3::RateLimit& config);

  std::uint32_t stage() const { return stage_; }
  // nullopt: an action found nothing to say, so this limit does not count the request.
  std::optional<RateDescriptor> describe(const StreamInfo& info,
                                         const http::Request& request) const;

  // One action: adds to the descriptor; false: none is sent.
  using Action = std::function<bool(const StreamInfo&, const http::Request&, RateDescriptor&)>;

 private:
  std::uint32_t stage_ = 0;
  std::vector<Action> actions_;
  std::function<std::optional<RateDescriptor::Override>(const StreamInfo&)> override_;
  std::function<std::optional<std::uint64_t>(const StreamInfo&)> hits_;
};
using RateLimitRules = std::vector<RateLimitRule::Ref>;

enum class HostRules : unsigned char { kOverride, kInclude, kIgnore };  // vh_rate_limits
// The descriptors for a request: of `own` rules when there are any, else of its route and virtual
// host.
std::vector<RateDescriptor> describe_request(const StreamInfo& info, const http::Request& request,
                                             const RateLimitRules& own, std::uint32_t stage,
                                             HostRules host_rules);

}  // namespace lateen::proxy
