// Debug information over xDS, for istioctl: sync status of all proxies, one proxy's config, any
// debug page.
#pragma once

#include <string>
#include <string_view>

#include "discovery/ads.h"

namespace envoy::admin::v3 {
class ConfigDump;
}

namespace lateen::discovery {

inline constexpr std::string_view kDebugType = "istio.io/debug";
inline constexpr std::string_view kSyncType = "istio.io/debug/syncz";
inline constexpr std::string_view kDumpType = "istio.io/debug/config_dump";
inline bool is_debug_type(std::string_view type_url) { return type_url.starts_with(kDebugType); }

// The encoded response to a request for `type_url` with resource `name`.
Result<std::string> make_debug_response(Ads& ads, std::string_view type_url,
                                        const std::string& name, bool is_delta,
                                        const std::string& nonce, const Ads::Debug& debug);
// What this control plane would send the proxy now, as Envoy's admin shows it.
void fill_config_dump(Ads& ads, const Proxy& proxy, bool has_endpoints,
                      envoy::admin::v3::ConfigDump& out);

}  // namespace lateen::discovery
