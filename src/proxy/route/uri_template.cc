// Path templates: "*" is one segment, "**" any rest, "{name=pattern}" a group.

#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/route/compile.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostVariables = 5;  // as in Envoy

Error wrong(const std::string& text, const std::string& why) {
  return invalid("path template '" + text + "': " + why, Blame::kConfig);
}

// Stars and literals, without variables.
std::string pattern_regex(std::string_view text) {
  std::string regex;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '*') {
      const bool is_double = at + 1 < text.size() && text[at + 1] == '*';
      regex += is_double ? ".*" : "[^/]+";
      at += is_double ? 1 : 0;
      continue;
    }
    if (std::string_view(".+?()[]^$|\\{}").find(text[at]) != std::string_view::npos) regex += '\\';
    regex += text[at];
  }
  return regex;
}

}  // namespace

Result<UriTemplate> parse_uri_template(const std::string& text) {
  if (!text.starts_with('/')) return wrong(text, "does not begin with '/'");
  UriTemplate made;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto open = text.find('{', at);
    made.regex += pattern_regex(std::string_view(text).substr(at, open - at));
    if (open == std::string::npos) break;
    const auto close = text.find('}', open);
    if (close == std::string::npos) return wrong(text, "no '}'");
    std::string name = text.substr(open + 1, close - open - 1);
    std::string pattern = "*";
    if (const auto equals = name.find('='); equals != std::string::npos) {
      pattern = name.substr(equals + 1);
      name.resize(equals);
    }
    if (name.empty() || pattern.empty()) return wrong(text, "a variable without name or pattern");
    for (const auto& other : made.names)
      if (other == name) return wrong(text, "variable '" + name + "' twice");
    made.names.push_back(name);
    if (made.names.size() > kMostVariables) return wrong(text, "more than 5 variables");
    made.regex += "(" + pattern_regex(pattern) + ")";
    at = close + 1;
  }
  return made;
}

Result<UriTemplate> read_uri_template(const google::protobuf::Any& config) {
  namespace api = envoy::extensions::path::match::uri_template::v3;
  return parse_uri_template(
      TRY(unpack_checked<api::UriTemplateMatchConfig>(config)).path_template());
}

Result<PathRewrite> compile_path_rewrite(const envoy::config::route::v3::RouteMatch& match,
                                         const envoy::config::route::v3::RouteAction& action) {
  namespace api = envoy::extensions::path::rewrite::uri_template::v3;
  if (!match.has_path_match_policy())
    return invalid("a path template is rewritten only where one is matched", Blame::kConfig);
  const auto from = TRY(read_uri_template(match.path_match_policy().typed_config()));
  const std::string text = TRY(unpack_checked<api::UriTemplateRewriteConfig>(
                                   action.path_rewrite_policy().typed_config()))
                               .path_template_rewrite();
  std::string substitution;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\') {
      substitution += "\\\\";
      continue;
    }
    if (text[at] != '{') {
      substitution += text[at];
      continue;
    }
    const auto close = text.find('}', at);
    if (close == std::string::npos) return wrong(text, "no '}'");
    const std::string name = text.substr(at + 1, close - at - 1);
    std::size_t group = 0;
    while (group < from.names.size() && from.names[group] != name) ++group;
    if (group == from.names.size()) return wrong(text, "no variable '" + name + "' is matched");
    substitution += "\\" + std::to_string(group + 1);
    at = close;
  }
  return PathRewrite{TRY(Regex::compile("^" + from.regex + "$")), substitution};
}

}  // namespace lateen::proxy
