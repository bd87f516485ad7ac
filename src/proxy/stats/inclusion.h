// Which statistics are shown, by the bootstrap's stats_matcher.
#pragma once

#include <functional>
#include <string_view>

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace lateen::proxy {

std::function<bool(std::string_view name)> compile_inclusion(
    const envoy::config::bootstrap::v3::Bootstrap& bootstrap);

}  // namespace lateen::proxy
