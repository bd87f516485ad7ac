#include "discovery/generate/route_match.h"

#include "base/strings.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/metadata.pb.h"

namespace lateen::discovery {
namespace {

namespace route_v3 = envoy::config::route::v3;
using mesh::StringMatch;

enum class Want : unsigned char { kPresent, kAbsent };

void add_header(const std::string& name, const StringMatch& match, Want want,
                route_v3::RouteMatch& out) {
  route_v3::HeaderMatcher& header = *out.add_headers();
  header.set_name(name);
  const bool is_any = match.kind == StringMatch::Kind::kPresent ||
                      (match.kind == StringMatch::Kind::kRegex && match.value == "*");
  if (is_any) {
    header.set_present_match(true);
  } else {
    fill_string(match, *header.mutable_string_match());
  }
  if (want == Want::kPresent) return;
  header.set_invert_match(true);
  if (!is_any) header.set_treat_missing_header_as_empty(true);
}

// "@request.auth.claims.sub" or "@request.auth.claims[sub]": routing by a verified token's claim.
bool add_claim(std::string_view name, const StringMatch& match, Want want,
               route_v3::RouteMatch& out) {
  constexpr std::string_view kPrefix = "@request.auth.claims";
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  auto& metadata = *out.add_dynamic_metadata();
  metadata.set_filter("envoy.filters.http.jwt_authn");
  metadata.add_path()->set_key("payload");
  if (name.starts_with(".")) {
    for (const std::string_view part : split(name.substr(1), '.')) {
      metadata.add_path()->set_key(std::string(part));
    }
  } else if (name.size() > 2) {
    const std::string inner = replace_all(name.substr(1, name.size() - 2), "][", "\x01");
    for (const std::string_view part : split(inner, '\x01')) {
      metadata.add_path()->set_key(std::string(part));
    }
  }
  auto& either = *metadata.mutable_value()->mutable_or_match();
  fill_string(match, *either.add_value_matchers()->mutable_string_match());
  fill_string(
      match,
      *either.add_value_matchers()->mutable_list_match()->mutable_one_of()->mutable_string_match());
  metadata.set_invert(want == Want::kAbsent);
  return true;
}

void fill_path(const mesh::HttpMatch& from, route_v3::RouteMatch& out) {
  if (!from.uri || from.uri->kind == StringMatch::Kind::kPresent) {
    out.set_prefix("/");
    return;
  }
  switch (from.uri->kind) {
    case StringMatch::Kind::kExact: out.set_path(from.uri->value); break;
    case StringMatch::Kind::kPrefix: out.set_prefix(from.uri->value); break;
    case StringMatch::Kind::kRegex: out.mutable_safe_regex()->set_regex(from.uri->value); break;
    case StringMatch::Kind::kPresent: break;
  }
  if (from.is_uri_case_ignored && from.uri->kind != StringMatch::Kind::kRegex) {
    out.mutable_case_sensitive()->set_value(false);
  }
}

}  // namespace

void fill_string(const StringMatch& from, envoy::type::matcher::v3::StringMatcher& out) {
  switch (from.kind) {
    case StringMatch::Kind::kExact: out.set_exact(from.value); break;
    case StringMatch::Kind::kPrefix: out.set_prefix(from.value); break;
    case StringMatch::Kind::kRegex: out.mutable_safe_regex()->set_regex(from.value); break;
    case StringMatch::Kind::kPresent: out.mutable_safe_regex()->set_regex(".*"); break;
  }
}

void fill_any_match(route_v3::RouteMatch& out) { out.set_prefix("/"); }

void fill_route_match(const mesh::HttpMatch& from, route_v3::RouteMatch& out) {
  fill_path(from, out);
  for (const auto& [name, match] : from.headers) {
    if (!add_claim(name, match, Want::kPresent, out)) add_header(name, match, Want::kPresent, out);
  }
  for (const auto& [name, match] : from.without_headers) {
    if (!add_claim(name, match, Want::kAbsent, out)) add_header(name, match, Want::kAbsent, out);
  }
  if (from.method) add_header(":method", *from.method, Want::kPresent, out);
  if (from.authority) add_header(":authority", *from.authority, Want::kPresent, out);
  if (from.scheme) add_header(":scheme", *from.scheme, Want::kPresent, out);
  for (const auto& [name, match] : from.query_params) {
    auto& parameter = *out.add_query_parameters();
    parameter.set_name(name);
    if (match.kind == StringMatch::Kind::kPresent) {
      parameter.set_present_match(true);
    } else {
      fill_string(match, *parameter.mutable_string_match());
    }
  }
}

bool matches_everything(const mesh::HttpMatch& match) {
  const bool is_any_path =
      !match.uri || match.uri->kind == StringMatch::Kind::kPresent ||
      (match.uri->kind == StringMatch::Kind::kPrefix && match.uri->value == "/") ||
      (match.uri->kind == StringMatch::Kind::kRegex && match.uri->value == ".*");
  return is_any_path && match.headers.empty() && match.without_headers.empty() && !match.method &&
         !match.authority && !match.scheme && match.query_params.empty();
}

}  // namespace lateen::discovery
