// Semantic versions and Masterminds' constraint language, which charts use to ask for a Kubernetes
// version.
#include <algorithm>

#include "base/strings.h"
#include "chart/functions.h"

namespace lateen::chart {
namespace {

int compare_prerelease(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  if (a.empty()) return 1;  // a release is above its pre-releases
  if (b.empty()) return -1;
  const auto x = split(a, '.'), y = split(b, '.');
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (x[i] == y[i]) continue;
    const auto m = parse_uint(x[i]), n = parse_uint(y[i]);
    if (m && n) return *m < *n ? -1 : 1;
    if (m.has_value() != n.has_value()) return m ? -1 : 1;
    return x[i] < y[i] ? -1 : 1;
  }
  return x.size() < y.size() ? -1 : 1;
}

// A version with the parts that were written; "1.x" has one.
struct Pattern {
  Version version;
  int parts = 0;  // 0: "*"
};

Result<Pattern> parse_pattern(std::string_view text) {
  const std::string original(text);
  if (text.starts_with('v') || text.starts_with('V')) text.remove_prefix(1);
  Pattern made;
  if (const auto plus = text.find('+'); plus != std::string_view::npos) {
    made.version.metadata = text.substr(plus + 1);
    text = text.substr(0, plus);
  }
  if (const auto dash = text.find('-'); dash != std::string_view::npos) {
    made.version.prerelease = text.substr(dash + 1);
    text = text.substr(0, dash);
  }
  std::int64_t* const parts[] = {&made.version.major, &made.version.minor, &made.version.patch};
  const auto words = split(text, '.');
  if (words.size() > 3) return invalid("improper version or constraint: \"" + original + "\"");
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "x" || words[i] == "X" || words[i] == "*") break;
    const auto number = parse_int(words[i]);
    if (!number || *number < 0)
      return invalid("improper version or constraint: \"" + original + "\"");
    *parts[i] = *number;
    ++made.parts;
  }
  return made;
}

Version bumped(const Version& version, int part) {
  if (part == 1) return {version.major + 1, 0, 0, "", ""};
  if (part == 2) return {version.major, version.minor + 1, 0, "", ""};
  return {version.major, version.minor, version.patch + 1, "", ""};
}

bool is_below(const Version& a, const Version& b) { return compare_versions(a, b) < 0; }

bool matches_one(std::string_view sign, const Pattern& want, const Version& version) {
  // A pre-release only fits a constraint that names one.
  if (!version.prerelease.empty() && want.version.prerelease.empty()) return false;
  if (want.parts == 0) return sign != "!=";
  const Version& low = want.version;
  const bool is_partial = want.parts < 3;
  const bool is_same = is_partial
                           ? !is_below(version, low) && is_below(version, bumped(low, want.parts))
                           : compare_versions(version, low) == 0;
  if (sign.empty() || sign == "=") return is_same;
  if (sign == "!=") return !is_same;
  if (sign == ">")
    return is_partial ? !is_below(version, bumped(low, want.parts)) : is_below(low, version);
  if (sign == ">=" || sign == "=>") return !is_below(version, low);
  if (sign == "<") return is_below(version, low);
  if (sign == "<=" || sign == "=<")
    return is_partial ? is_below(version, bumped(low, want.parts)) : !is_below(low, version);
  if (is_below(version, low)) return false;
  if (sign == "~" || sign == "~>") return is_below(version, bumped(low, std::min(want.parts, 2)));
  // ^ keeps the left-most part that is not zero.
  const int part = low.major > 0 || want.parts == 1 ? 1 : low.minor > 0 || want.parts == 2 ? 2 : 3;
  return is_below(version, bumped(low, part));
}

// "a - b", or comparisons joined by commas or spaces.
Result<bool> matches_all(std::string_view group, const Version& version) {
  if (const auto range = split_once(group, " - ")) {
    const Pattern low = TRY(parse_pattern(trim(range->first))),
                  high = TRY(parse_pattern(trim(range->second)));
    return matches_one(">=", low, version) && matches_one("<=", high, version);
  }
  bool is_match = true;
  bool has_term = false;
  while (!group.empty()) {
    const std::size_t begin = group.find_first_not_of(" ,\t");
    if (begin == std::string_view::npos) break;
    group.remove_prefix(begin);
    const std::size_t sign_end = std::min(group.find_first_not_of("=!<>~^"), group.size());
    const std::string_view sign = group.substr(0, sign_end);
    group = trim(group.substr(sign_end));
    const std::size_t end = std::min(group.find_first_of(" ,\t"), group.size());
    const Pattern want = TRY(parse_pattern(group.substr(0, end)));
    is_match = matches_one(sign, want, version) && is_match;
    has_term = true;
    group.remove_prefix(end);
  }
  if (!has_term) return invalid("improper constraint: it is empty");
  return is_match;
}

}  // namespace

int compare_versions(const Version& a, const Version& b) {
  for (const auto& [x, y] : {std::pair(a.major, b.major), {a.minor, b.minor}, {a.patch, b.patch}}) {
    if (x != y) return x < y ? -1 : 1;
  }
  return compare_prerelease(a.prerelease, b.prerelease);
}

Result<Version> parse_version(std::string_view text) {
  Pattern made = TRY(parse_pattern(trim(text)));
  if (made.parts == 0) return invalid("invalid semantic version: \"" + std::string(text) + "\"");
  return std::move(made.version);
}

Result<bool> semver_matches(std::string_view constraint, std::string_view text) {
  const Version version = TRY(parse_version(text));
  bool is_match = false;
  while (true) {
    const auto cut = split_once(constraint, "||");
    is_match = TRY(matches_all(trim(cut ? cut->first : constraint), version)) || is_match;
    if (!cut) return is_match;
    constraint = cut->second;
  }
}

}  // namespace lateen::chart
