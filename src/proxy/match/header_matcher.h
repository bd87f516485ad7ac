// Matching on request headers, pseudo headers included. Immutable, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "proxy/match/string_matcher.h"

namespace envoy::config::route::v3 {
class HeaderMatcher;
class QueryParameterMatcher;
}  // namespace envoy::config::route::v3

namespace lateen::proxy {

// The first value; ":path", ":method", ":authority" (also "host"), ":scheme" read the request's own
// fields.
std::optional<std::string_view> header_of(const http::Request& request, std::string_view name);

class HeaderMatcher {
 public:
  static Result<HeaderMatcher> compile(const envoy::config::route::v3::HeaderMatcher& config);
  // Matches when the header is there.
  static HeaderMatcher present(std::string name);
  bool matches(const http::Request& request) const;

 private:
  std::string name_;
  std::optional<StringMatcher> text_;                           // none: presence or range
  std::optional<std::pair<std::int64_t, std::int64_t>> range_;  // half open
  bool is_presence_wanted_ = true;
  bool is_inverted_ = false;
  bool is_missing_empty_ = false;  // treat_missing_header_as_empty
};

class QueryMatcher {
 public:
  static Result<QueryMatcher> compile(
      const envoy::config::route::v3::QueryParameterMatcher& config);
  bool matches(const std::vector<std::pair<std::string, std::string>>& parameters) const;

 private:
  std::string name_;
  std::optional<StringMatcher> text_;
  bool is_presence_wanted_ = true;
};

Result<std::vector<HeaderMatcher>> compile_headers(
    const std::vector<const envoy::config::route::v3::HeaderMatcher*>& configs);
bool all_match(const std::vector<HeaderMatcher>& matchers, const http::Request& request);

}  // namespace lateen::proxy
