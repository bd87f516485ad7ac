// Fields that are honoured with some of their values only: where configuration comes from, who
// resolves names, which extensions the bootstrap asks for. Errors name the field. Pure functions.
#pragma once

#include <string_view>

#include "base/result.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}
namespace envoy::config::core::v3 {
class ConfigSource;
class TypedExtensionConfig;
}  // namespace envoy::config::core::v3

namespace lateen::proxy {

// Routes, endpoints and filters come over the aggregated stream; `what` names the field.
Result<> check_source(const envoy::config::core::v3::ConfigSource& source, std::string_view what);
// Names are resolved as the system says: resolvers of its own are refused.
Result<> check_dns_resolver(const envoy::config::core::v3::TypedExtensionConfig& config);
Result<> check_bootstrap(const envoy::config::bootstrap::v3::Bootstrap& bootstrap);

}  // namespace lateen::proxy
