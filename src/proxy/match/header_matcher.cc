// Header and query matchers. Several values of one header match as Envoy does it: joined with ",".

#include "proxy/match/header_matcher.h"

#include "base/strings.h"
#include "envoy/config/route/v3/route_components.pb.h"

namespace lateen::proxy {

namespace route = envoy::config::route::v3;

std::optional<std::string_view> header_of(const http::Request& request, std::string_view name) {
  if (name.empty()) return std::nullopt;
  if (name[0] == ':') {
    const auto present = [](std::string_view value) {
      return value.empty() ? std::nullopt : std::optional(value);
    };
    if (name == ":path") return present(request.path);
    if (name == ":method") return present(request.method);
    if (name == ":authority") return present(request.authority);
    if (name == ":scheme") return present(request.scheme);
    if (name == ":protocol") return present(request.upgrade);
    return std::nullopt;
  }
  if (iequals(name, "host"))
    return request.authority.empty() ? std::nullopt : std::optional(request.authority);
  if (!request.upgrade.empty() && iequals(name, "upgrade")) return request.upgrade;
  return request.headers.get(name);
}

Result<HeaderMatcher> HeaderMatcher::compile(const route::HeaderMatcher& config) {
  using Kind = StringMatcher::Kind;
  HeaderMatcher made;
  made.name_ = to_lower(config.name());
  made.is_inverted_ = config.invert_match();
  made.is_missing_empty_ = config.treat_missing_header_as_empty();
  switch (config.header_match_specifier_case()) {
    case route::HeaderMatcher::kExactMatch:
      made.text_ = StringMatcher::of(Kind::kExact, config.exact_match());
      break;
    case route::HeaderMatcher::kPrefixMatch:
      made.text_ = StringMatcher::of(Kind::kPrefix, config.prefix_match());
      break;
    case route::HeaderMatcher::kSuffixMatch:
      made.text_ = StringMatcher::of(Kind::kSuffix, config.suffix_match());
      break;
    case route::HeaderMatcher::kContainsMatch:
      made.text_ = StringMatcher::of(Kind::kContains, config.contains_match());
      break;
    case route::HeaderMatcher::kSafeRegexMatch:
      made.text_ = TRY(StringMatcher::of_regex(config.safe_regex_match().regex()));
      break;
    case route::HeaderMatcher::kStringMatch:
      made.text_ = TRY(StringMatcher::compile(config.string_match()));
      break;
    case route::HeaderMatcher::kRangeMatch:
      made.range_ = {config.range_match().start(), config.range_match().end()};
      break;
    case route::HeaderMatcher::kPresentMatch:
      made.is_presence_wanted_ = config.present_match();
      break;
    default: break;
  }
  return made;
}

HeaderMatcher HeaderMatcher::present(std::string name) {
  HeaderMatcher made;
  made.name_ = to_lower(name);
  return made;
}

bool HeaderMatcher::matches(const http::Request& request) const {
  std::optional<std::string_view> value = header_of(request, name_);
  if (!text_ && !range_) return (value.has_value() == is_presence_wanted_) != is_inverted_;
  if (!value) {
    // A missing header matches nothing; an inverted match then is true.
    if (!is_missing_empty_) return is_inverted_;
    value = "";
  }
  std::string joined;
  if (name_[0] != ':' && request.headers.count(name_) > 1) {
    joined = request.headers.joined(name_);
    value = joined;
  }
  bool is_match = false;
  if (text_) {
    is_match = text_->matches(*value);
  } else {
    const auto parsed = parse_int(*value);
    is_match = parsed && *parsed >= range_->first && *parsed < range_->second;
  }
  return is_match != is_inverted_;
}

Result<QueryMatcher> QueryMatcher::compile(const route::QueryParameterMatcher& config) {
  QueryMatcher made;
  made.name_ = config.name();
  if (config.has_string_match()) made.text_ = TRY(StringMatcher::compile(config.string_match()));
  if (config.has_present_match()) made.is_presence_wanted_ = config.present_match();
  return made;
}

bool QueryMatcher::matches(
    const std::vector<std::pair<std::string, std::string>>& parameters) const {
  for (const auto& [name, value] : parameters)
    if (name == name_) return text_ ? text_->matches(value) : is_presence_wanted_;
  return !text_ && !is_presence_wanted_;
}

Result<std::vector<HeaderMatcher>> compile_headers(
    const std::vector<const route::HeaderMatcher*>& configs) {
  std::vector<HeaderMatcher> made;
  for (const auto* config : configs) made.push_back(TRY(HeaderMatcher::compile(*config)));
  return made;
}

bool all_match(const std::vector<HeaderMatcher>& matchers, const http::Request& request) {
  for (const auto& matcher : matchers)
    if (!matcher.matches(request)) return false;
  return true;
}

}  // namespace lateen::proxy
