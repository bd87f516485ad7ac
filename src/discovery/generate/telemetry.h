// Access logs, tracing and metrics of listeners: MeshConfig's settings with Telemetry configs laid
// over them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "discovery/scope.h"

namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}
namespace envoy::config::accesslog::v3 {
class AccessLog;
}
namespace stats {
class PluginConfig;
}

namespace lateen::discovery {

enum class Side : unsigned char { kOutbound, kInbound, kGateway };
using HttpConnectionManager =
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using AccessLog = envoy::config::accesslog::v3::AccessLog;

enum class Wire : unsigned char { kHttp, kTcp };
std::vector<AccessLog> make_access_logs(const View& view, Side side, Wire wire);
// Logs of connections that no filter chain took (flag NR).
std::vector<AccessLog> make_listener_logs(const View& view, Side side);
void set_tracing(const View& view, Side side, HttpConnectionManager& out);
bool uses_request_id_for_sampling(const View& view, Side side);
// In telemetry.cc; the others in access_logs.cc and tracing.cc. False when metrics are off for this
// proxy and side.
bool make_stats_config(const View& view, Side side, stats::PluginConfig& out);

inline constexpr std::string_view kTextLogFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER% "
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

}  // namespace lateen::discovery
