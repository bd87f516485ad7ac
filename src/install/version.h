// The release that the charts install and the programs report. One place, so that they cannot
// differ.
#pragma once

#include <string_view>

namespace lateen::install {

inline constexpr std::string_view kVersion = "1.24.0";
inline constexpr std::string_view kHub = "docker.io/istio";

}  // namespace lateen::install
