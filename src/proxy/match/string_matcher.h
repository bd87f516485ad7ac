// Text matching as the configuration spells it: exact, prefix, suffix, contains, RE2. Immutable,
// thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace re2 {
class RE2;
}
namespace envoy::type::matcher::v3 {
class StringMatcher;
class RegexMatcher;
class ListStringMatcher;
}  // namespace envoy::type::matcher::v3

namespace lateen::proxy {

// A compiled RE2 pattern; copies share it.
class Regex {
 public:
  static Result<Regex> compile(const std::string& pattern);
  static Result<Regex> compile(const envoy::type::matcher::v3::RegexMatcher& config);
  bool matches_all(std::string_view text) const;
  // Replaces every match; the substitution may use \1 … \9.
  std::string replace_all(std::string_view text, const std::string& substitution) const;
  // The text of a capture group of a full match; empty when there is none.
  std::string capture(std::string_view text, int group) const;

 private:
  explicit Regex(std::shared_ptr<const re2::RE2> pattern) : pattern_(std::move(pattern)) {}
  std::shared_ptr<const re2::RE2> pattern_;
};

class StringMatcher {
 public:
  enum class Kind : unsigned char { kExact, kPrefix, kSuffix, kContains, kRegex };
  static Result<StringMatcher> compile(const envoy::type::matcher::v3::StringMatcher& config);
  static StringMatcher of(Kind kind, std::string value, bool is_case_ignored = false);
  static Result<StringMatcher> of_regex(const std::string& pattern);
  bool matches(std::string_view text) const;

 private:
  Kind kind_ = Kind::kExact;
  bool is_case_ignored_ = false;
  std::string value_;  // lower case when case is ignored
  std::optional<Regex> regex_;
};

Result<std::vector<StringMatcher>> compile_list(
    const envoy::type::matcher::v3::ListStringMatcher& config);

}  // namespace lateen::proxy
