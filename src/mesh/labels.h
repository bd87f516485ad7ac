// Labels and the plain map selectors of Istio's kinds (workloadSelector, matchLabels).
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace lateen::mesh {

using Labels = std::map<std::string, std::string, std::less<>>;

// Every pair of `selector` is in `labels`. An empty selector selects everything.
inline bool selects(const Labels& selector, const Labels& labels) {
  for (const auto& [key, value] : selector) {
    const auto found = labels.find(key);
    if (found == labels.end() || found->second != value) return false;
  }
  return true;
}

inline std::string_view label_of(const Labels& labels, std::string_view key,
                                 std::string_view fallback = {}) {
  const auto found = labels.find(key);
  return found == labels.end() ? fallback : std::string_view(found->second);
}

}  // namespace lateen::mesh
