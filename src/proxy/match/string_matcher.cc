// Kinds of text matches. RE2 runs in linear time, so a hostile path cannot make a pattern explode.

#include "proxy/match/string_matcher.h"

#include <re2/re2.h>

#include "base/strings.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"

namespace lateen::proxy {

namespace matcher = envoy::type::matcher::v3;

Result<Regex> Regex::compile(const std::string& pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto made = std::make_shared<const re2::RE2>(pattern, options);
  if (!made->ok()) return invalid("regex '" + pattern + "': " + made->error(), Blame::kConfig);
  return Regex(std::move(made));
}

Result<Regex> Regex::compile(const matcher::RegexMatcher& config) {
  return compile(config.regex());
}

bool Regex::matches_all(std::string_view text) const {
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *pattern_);
}

std::string Regex::replace_all(std::string_view text, const std::string& substitution) const {
  std::string result(text);
  re2::RE2::GlobalReplace(&result, *pattern_, substitution);
  return result;
}

std::string Regex::capture(std::string_view text, int group) const {
  if (group < 0 || group > pattern_->NumberOfCapturingGroups()) return {};
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(group) + 1);
  const re2::StringPiece piece(text.data(), text.size());
  if (!pattern_->Match(piece, 0, text.size(), re2::RE2::ANCHOR_BOTH, groups.data(), group + 1))
    return {};
  return groups[static_cast<std::size_t>(group)].ToString();
}

Result<StringMatcher> StringMatcher::compile(const matcher::StringMatcher& config) {
  const bool ignore = config.ignore_case();
  switch (config.match_pattern_case()) {
    case matcher::StringMatcher::kExact: return of(Kind::kExact, config.exact(), ignore);
    case matcher::StringMatcher::kPrefix: return of(Kind::kPrefix, config.prefix(), ignore);
    case matcher::StringMatcher::kSuffix: return of(Kind::kSuffix, config.suffix(), ignore);
    case matcher::StringMatcher::kContains: return of(Kind::kContains, config.contains(), ignore);
    case matcher::StringMatcher::kSafeRegex: return of_regex(config.safe_regex().regex());
    default:
      return invalid("a string matcher without a pattern that is known here", Blame::kConfig);
  }
}

StringMatcher StringMatcher::of(Kind kind, std::string value, bool is_case_ignored) {
  StringMatcher made;
  made.kind_ = kind;
  made.is_case_ignored_ = is_case_ignored;
  made.value_ = is_case_ignored ? to_lower(value) : std::move(value);
  return made;
}

Result<StringMatcher> StringMatcher::of_regex(const std::string& pattern) {
  StringMatcher made;
  made.kind_ = Kind::kRegex;
  made.regex_ = TRY(Regex::compile(pattern));
  return made;
}

bool StringMatcher::matches(std::string_view text) const {
  std::string lowered;
  if (is_case_ignored_) {
    lowered = to_lower(text);
    text = lowered;
  }
  switch (kind_) {
    case Kind::kExact: return text == value_;
    case Kind::kPrefix: return text.starts_with(value_);
    case Kind::kSuffix: return text.ends_with(value_);
    case Kind::kContains: return text.find(value_) != std::string_view::npos;
    case Kind::kRegex: return regex_->matches_all(text);
  }
  return false;
}

Result<std::vector<StringMatcher>> compile_list(const matcher::ListStringMatcher& config) {
  std::vector<StringMatcher> made;
  for (const auto& one : config.patterns()) made.push_back(TRY(StringMatcher::compile(one)));
  return made;
}

}  // namespace lateen::proxy
