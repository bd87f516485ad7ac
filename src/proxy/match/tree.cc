// Inputs are functions from the subject to a text; an input that is missing matches nothing.

#include "proxy/match/tree.h"

#include <map>

#include "base/strings.h"
#include "envoy/extensions/matching/common_inputs/network/v3/network_inputs.pb.h"
#include "envoy/type/matcher/v3/http_inputs.pb.h"
#include "proxy/match/cel.h"
#include "proxy/match/header_matcher.h"
#include "xds/any.h"
#include "xds/type/matcher/v3/cel.pb.h"
#include "xds/type/matcher/v3/http_inputs.pb.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace lateen::proxy {
namespace {

namespace api = ::xds::type::matcher::v3;
using Input = std::function<std::optional<std::string>(const MatchSubject&)>;
using Test = std::function<bool(const MatchSubject&)>;

constexpr int kMostDepth = 32;

Error wrong(const std::string& what) { return invalid("matcher: " + what, Blame::kConfig); }

std::optional<std::string> ip_of(const net::Address& address) {
  if (address.is_unix()) return std::nullopt;
  return address.ip().unmapped().to_string();
}
std::optional<std::string> port_of(const net::Address& address) {
  if (address.is_unix()) return std::nullopt;
  return std::to_string(address.port());
}
std::optional<std::string> text(std::string value) {
  return value.empty() ? std::nullopt : std::optional<std::string>(std::move(value));
}

// Inputs without fields, by the end of their type's name.
Input plain_input(const std::string& type) {
  using S = MatchSubject;
  static const std::map<std::string, Input, std::less<>> kInputs = {
      {"DestinationIPInput", [](const S& s) { return ip_of(s.connection.local); }},
      {"DestinationPortInput", [](const S& s) { return port_of(s.connection.local); }},
      {"SourceIPInput",
       [](const S& s) { return ip_of(s.info.remote ? *s.info.remote : s.connection.remote); }},
      {"SourcePortInput",
       [](const S& s) { return port_of(s.info.remote ? *s.info.remote : s.connection.remote); }},
      {"DirectSourceIPInput", [](const S& s) { return ip_of(s.connection.direct_remote); }},
      {"SourceTypeInput",
       [](const S& s) -> std::optional<std::string> {
         const auto& from = s.connection.remote;
         const bool is_local =
             from.is_unix() || from.ip().is_loopback() ||
             (!s.connection.local.is_unix() && from.ip() == s.connection.local.ip());
         return is_local ? std::optional<std::string>("local") : std::nullopt;
       }},
      {"ServerNameInput", [](const S& s) { return text(s.connection.sni); }},
      {"TransportProtocolInput", [](const S& s) { return text(s.connection.detected_transport); }},
      {"UriSanInput",
       [](const S& s) {
         return s.connection.tls == nullptr ? std::nullopt
                                            : text(join(s.connection.tls->peer_uri_sans, ","));
       }},
      {"DnsSanInput",
       [](const S& s) {
         return s.connection.tls == nullptr ? std::nullopt
                                            : text(join(s.connection.tls->peer_dns_sans, ","));
       }},
      {"SubjectInput", [](const S& s) {
         return s.connection.tls == nullptr ? std::nullopt : text(s.connection.tls->peer_subject);
       }}};
  const auto dot = type.rfind('.');
  const auto found = kInputs.find(type.substr(dot + 1));
  return found == kInputs.end() ? Input() : found->second;
}

Result<Input> compile_input(const ::xds::core::v3::TypedExtensionConfig& config) {
  const std::string type = xds::carried_type(config.typed_config());
  if (auto made = plain_input(type)) return made;
  namespace matcher = envoy::type::matcher::v3;
  namespace network = envoy::extensions::matching::common_inputs::network::v3;
  if (type.ends_with("HttpRequestHeaderMatchInput")) {
    const auto from = TRY(xds::unpack<matcher::HttpRequestHeaderMatchInput>(config.typed_config()));
    return Input(
        [name = to_lower(from.header_name())](const MatchSubject& s) -> std::optional<std::string> {
          if (s.request == nullptr) return std::nullopt;
          if (s.request->headers.has(name)) return std::string(s.request->headers.joined(name));
          const auto pseudo = header_of(*s.request, name);
          return pseudo ? std::optional<std::string>(*pseudo) : std::nullopt;
        });
  }
  if (type.ends_with("HttpRequestQueryParamMatchInput")) {
    const auto from =
        TRY(xds::unpack<matcher::HttpRequestQueryParamMatchInput>(config.typed_config()));
    return Input([name = from.query_param()](const MatchSubject& s) -> std::optional<std::string> {
      if (s.request == nullptr) return std::nullopt;
      const auto mark = s.request->path.find('?');
      if (mark == std::string_view::npos) return std::nullopt;
      for (auto& [key, value] : parse_query(s.request->path.substr(mark + 1)))
        if (key == name) return value;
      return std::nullopt;
    });
  }
  if (type.ends_with("FilterStateInput")) {
    const auto from = TRY(xds::unpack<network::FilterStateInput>(config.typed_config()));
    return Input([key = from.key()](const MatchSubject& s) -> std::optional<std::string> {
      const auto found = s.info.state.find(key);
      return found == s.info.state.end() ? std::nullopt : std::optional<std::string>(found->second);
    });
  }
  return wrong("input " + type + " is not supported");
}

Result<StringMatcher> compile_text(const api::StringMatcher& config) {
  using Kind = StringMatcher::Kind;
  const bool is_case_ignored = config.ignore_case();
  switch (config.match_pattern_case()) {
    case api::StringMatcher::kExact:
      return StringMatcher::of(Kind::kExact, config.exact(), is_case_ignored);
    case api::StringMatcher::kPrefix:
      return StringMatcher::of(Kind::kPrefix, config.prefix(), is_case_ignored);
    case api::StringMatcher::kSuffix:
      return StringMatcher::of(Kind::kSuffix, config.suffix(), is_case_ignored);
    case api::StringMatcher::kContains:
      return StringMatcher::of(Kind::kContains, config.contains(), is_case_ignored);
    case api::StringMatcher::kSafeRegex:
      return StringMatcher::of_regex(config.safe_regex().regex());
    default: return wrong("a text matcher of a kind that is not supported");
  }
}

Result<CelExpression> compile_cel(const ::xds::type::v3::CelExpression& config) {
  if (config.has_cel_expr_parsed()) return CelExpression::compile(config.cel_expr_parsed().expr());
  if (config.has_cel_expr_checked())
    return CelExpression::compile(config.cel_expr_checked().expr());
  if (config.has_parsed_expr()) return CelExpression::compile(config.parsed_expr().expr());
  if (config.has_checked_expr()) return CelExpression::compile(config.checked_expr().expr());
  if (!config.cel_expr_string().empty()) return CelExpression::parse(config.cel_expr_string());
  return wrong("a CEL matcher without an expression");
}

Result<Test> compile_single(const api::Matcher::MatcherList::Predicate::SinglePredicate& config) {
  if (config.has_value_match()) {
    auto input = TRY(compile_input(config.input()));
    auto matcher = TRY(compile_text(config.value_match()));
    return Test([input = std::move(input), matcher = std::move(matcher)](const MatchSubject& s) {
      const auto value = input(s);
      return value && matcher.matches(*value);
    });
  }
  const std::string type = xds::carried_type(config.custom_match().typed_config());
  if (!type.ends_with("matcher.v3.CelMatcher"))
    return wrong("custom matcher " + type + " is not supported");
  const auto from = TRY(xds::unpack<api::CelMatcher>(config.custom_match().typed_config()));
  auto expression = TRY(compile_cel(from.expr_match()));
  return Test([expression = std::move(expression)](const MatchSubject& s) {
    return expression.matches(s.info, s.request);
  });
}

Result<Test> compile_predicate(const api::Matcher::MatcherList::Predicate& config, int depth) {
  using Predicate = api::Matcher::MatcherList::Predicate;
  if (depth > kMostDepth) return wrong("predicates are nested too deep");
  switch (config.match_type_case()) {
    case Predicate::kSinglePredicate: return compile_single(config.single_predicate());
    case Predicate::kNotMatcher: {
      auto inner = TRY(compile_predicate(config.not_matcher(), depth + 1));
      return Test([inner = std::move(inner)](const MatchSubject& s) { return !inner(s); });
    }
    case Predicate::kOrMatcher:
    case Predicate::kAndMatcher: {
      const bool is_and = config.match_type_case() == Predicate::kAndMatcher;
      std::vector<Test> parts;
      for (const auto& one : (is_and ? config.and_matcher() : config.or_matcher()).predicate())
        parts.push_back(TRY(compile_predicate(one, depth + 1)));
      return Test([parts = std::move(parts), is_and](const MatchSubject& s) {
        for (const auto& part : parts)
          if (part(s) != is_and) return !is_and;
        return is_and;
      });
    }
    default: return wrong("a predicate that says nothing");
  }
}

}  // namespace

struct MatchTree::Node {
  struct OnMatch {
    std::shared_ptr<const Node> next;
    std::optional<std::size_t> action;
    std::optional<std::size_t> find(const MatchSubject& subject) const {
      return action ? action : next != nullptr ? next->find(subject) : std::nullopt;
    }
  };
  std::vector<std::pair<Test, OnMatch>> tests;
  Input input;  // of a map
  bool is_prefix = false;
  std::map<std::string, OnMatch, std::less<>> map;
  OnMatch otherwise;

  std::optional<std::size_t> find(const MatchSubject& subject) const {
    for (const auto& [test, then] : tests)
      if (test(subject))
        if (const auto found = then.find(subject)) return found;
    if (input)
      if (const auto value = input(subject))
        if (const auto found = find_in_map(*value, subject)) return found;
    return otherwise.find(subject);
  }
  // The longest prefix first.
  std::optional<std::size_t> find_in_map(std::string_view value,
                                         const MatchSubject& subject) const {
    for (;;) {
      if (const auto at = map.find(value); at != map.end())
        if (const auto found = at->second.find(subject)) return found;
      if (!is_prefix || value.empty()) return std::nullopt;
      value.remove_suffix(1);
    }
  }
};

class MatchTree::Compiler {
 public:
  explicit Compiler(const CompileAction& action) : action_(action) {}

  Result<std::shared_ptr<const Node>> compile(const api::Matcher& config, int depth) {
    if (depth > kMostDepth) return wrong("matchers are nested too deep");
    auto made = std::make_shared<Node>();
    for (const auto& one : config.matcher_list().matchers()) {
      auto test = TRY(compile_predicate(one.predicate(), 0));
      made->tests.emplace_back(std::move(test), TRY(on_match(one.on_match(), depth)));
    }
    if (config.has_matcher_tree()) {
      const auto& tree = config.matcher_tree();
      if (tree.has_custom_match())
        return wrong("tree " + xds::carried_type(tree.custom_match().typed_config()) +
                     " is not supported");
      made->input = TRY(compile_input(tree.input()));
      made->is_prefix = tree.has_prefix_match_map();
      const auto& map = made->is_prefix ? tree.prefix_match_map() : tree.exact_match_map();
      for (const auto& [key, value] : map.map()) made->map[key] = TRY(on_match(value, depth));
    }
    if (config.has_on_no_match()) made->otherwise = TRY(on_match(config.on_no_match(), depth));
    return std::shared_ptr<const Node>(std::move(made));
  }

 private:
  Result<Node::OnMatch> on_match(const api::Matcher::OnMatch& config, int depth) {
    Node::OnMatch made;
    if (config.keep_matching()) return wrong("keep_matching is not supported");
    if (config.has_action()) made.action = TRY(action_(config.action().typed_config()));
    else if (config.has_matcher()) made.next = TRY(compile(config.matcher(), depth + 1));
    else return wrong("a match that leads nowhere");
    return made;
  }
  const CompileAction& action_;
};

Result<MatchTree> MatchTree::compile(const api::Matcher& config, const CompileAction& action) {
  MatchTree made;
  made.root_ = TRY(Compiler(action).compile(config, 0));
  return made;
}

std::optional<std::size_t> MatchTree::find(const MatchSubject& subject) const {
  return root_->find(subject);
}

}  // namespace lateen::proxy
