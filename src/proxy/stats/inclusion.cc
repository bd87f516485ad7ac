// A list of string matchers, to include or to exclude. What an operator cannot do without is always
// shown.

#include "proxy/stats/inclusion.h"

#include <memory>
#include <vector>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/metrics/v3/stats.pb.h"
#include "proxy/match/string_matcher.h"

namespace lateen::proxy {

std::function<bool(std::string_view)> compile_inclusion(
    const envoy::config::bootstrap::v3::Bootstrap& bootstrap) {
  using Matcher = envoy::config::metrics::v3::StatsMatcher;
  const Matcher& config = bootstrap.stats_config().stats_matcher();
  if (config.stats_matcher_case() == Matcher::kRejectAll)
    return [all = !config.reject_all()](std::string_view) { return all; };
  const bool is_including = config.has_inclusion_list();
  if (!is_including && !config.has_exclusion_list()) return [](std::string_view) { return true; };
  const auto& list = is_including ? config.inclusion_list() : config.exclusion_list();
  auto matchers = std::make_shared<std::vector<StringMatcher>>();
  for (const auto& one : list.patterns())
    if (auto matcher = StringMatcher::compile(one); matcher.ok())
      matchers->push_back(*std::move(matcher));
  return [matchers, is_including](std::string_view name) {
    if (name.starts_with("istiocustom.") || name.starts_with("server.")) return true;
    for (const auto& matcher : *matchers)
      if (matcher.matches(name)) return is_including;
    return !is_including;
  };
}

}  // namespace lateen::proxy
