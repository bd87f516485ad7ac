// Names of the response flags, short and long.

#include "proxy/stream/flags.h"

#include <array>
#include <string_view>

namespace lateen::proxy {
namespace {

struct Names {
  std::string_view brief;
  std::string_view full;
};
constexpr std::array<Names, 25> kNames = {{
    {"LH", "FailedLocalHealthCheck"},
    {"UH", "NoHealthyUpstream"},
    {"UT", "UpstreamRequestTimeout"},
    {"LR", "LocalReset"},
    {"UR", "UpstreamRemoteReset"},
    {"UF", "UpstreamConnectionFailure"},
    {"UC", "UpstreamConnectionTermination"},
    {"UO", "UpstreamOverflow"},
    {"NR", "NoRouteFound"},
    {"DI", "DelayInjected"},
    {"FI", "FaultInjected"},
    {"RL", "RateLimited"},
    {"UAEX", "UnauthorizedExternalService"},
    {"RLSE", "RateLimitServiceError"},
    {"DC", "DownstreamConnectionTermination"},
    {"URX", "UpstreamRetryLimitExceeded"},
    {"SI", "StreamIdleTimeout"},
    {"IH", "InvalidEnvoyRequestHeaders"},
    {"DPE", "DownstreamProtocolError"},
    {"DT", "DurationTimeout"},
    {"UPE", "UpstreamProtocolError"},
    {"NC", "NoClusterFound"},
    {"UMSDR", "UpstreamMaxStreamDurationReached"},
    {"OM", "OverloadManagerTerminated"},
    {"DF", "DnsResolutionFailed"},
}};

std::string join_names(std::uint32_t bits, bool is_brief) {
  std::string text;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if ((bits & (1u << i)) == 0) continue;
    if (!text.empty()) text += ',';
    text += is_brief ? kNames[i].brief : kNames[i].full;
  }
  return text.empty() ? "-" : text;
}

}  // namespace

std::string Flags::to_string() const { return join_names(bits_, true); }
std::string Flags::to_long_string() const { return join_names(bits_, false); }

}  // namespace lateen::proxy
