// Files built into the program: charts/, samples/, web/dist (see cmake/embed.cmake), by their path
// from the project's root.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace lateen {

// The bytes of e.g. "charts/base/Chart.yaml"; nullopt when there is no such file. Lives forever.
std::optional<std::string_view> embedded_file(std::string_view path);
// Paths that start with `prefix`, sorted.
std::vector<std::string_view> embedded_files(std::string_view prefix);

}  // namespace lateen
