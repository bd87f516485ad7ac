#include "cli/explain/matchers.h"

#include <arpa/inet.h>
#include <re2/re2.h>

#include <array>
#include <cstring>

#include "base/strings.h"

namespace lateen::cli::explain {
namespace {

constexpr std::string_view kJwtFilter = "envoy.filters.http.jwt_authn";

Answer of(bool holds) { return holds ? Answer::kYes : Answer::kNo; }

bool matches_whole(const std::string& pattern, std::string_view value) {
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 regex(pattern, options);
  return regex.ok() && RE2::FullMatch(re2::StringPiece(value.data(), value.size()), regex);
}

const Json* first_of(const Json& object, std::initializer_list<std::string_view> names) {
  for (const auto name : names) {
    if (const Json* found = member(object, name)) return found;
  }
  return nullptr;
}

bool flag_at(const Json& object, std::string_view name, bool fallback = false) {
  const Json* found = member(object, name);
  return found != nullptr && found->is_bool() ? *found->if_bool() : fallback;
}

std::optional<std::string> query_of(const Request& request, std::string_view name) {
  const auto cut = split_once(request.path, "?");
  if (!cut) return std::nullopt;
  for (const auto each : split(cut->second, '&')) {
    const auto pair = split_once(each, "=");
    if ((pair ? pair->first : each) == name) return std::string(pair ? pair->second : "");
  }
  return std::nullopt;
}

Answer match_value(const Json& matcher, const Json* value) {
  if (const Json* list = walk(matcher, {"or_match"})) {
    Answer answer = Answer::kNo;
    for (const Json& each : list_at(*list, {"value_matchers"}))
      answer = either(answer, match_value(each, value));
    return answer;
  }
  if (const Json* text = member(matcher, "string_match"))
    return value != nullptr && value->is_string() ? match_string(*text, data::as_string(*value))
                                                  : Answer::kNo;
  if (const Json* one = walk(matcher, {"list_match", "one_of"})) {
    if (value == nullptr || !value->is_array()) return Answer::kNo;
    Answer answer = Answer::kNo;
    for (const Json& each : *value->if_array()) answer = either(answer, match_value(*one, &each));
    return answer;
  }
  if (member(matcher, "present_match") != nullptr) return of(value != nullptr);
  if (member(matcher, "null_match") != nullptr) return of(value == nullptr);
  return Answer::kUnknown;
}

Answer match_path(const Json& match, const Request& request, std::string& why) {
  const std::string path = path_only(request);
  const bool is_exact_case = flag_at(match, "case_sensitive", true);
  const std::string seen = is_exact_case ? path : to_lower(path);
  const auto spelled = [&](std::string_view wanted) {
    return is_exact_case ? std::string(wanted) : to_lower(wanted);
  };
  bool holds = false;
  std::string wanted;
  if (const Json* prefix = member(match, "prefix")) {
    const std::string text = spelled(data::as_string(*prefix));
    holds = seen.starts_with(text);
    wanted = "the prefix \"" + text + "\"";
  } else if (const Json* whole = member(match, "path")) {
    holds = seen == spelled(data::as_string(*whole));
    wanted = "exactly \"" + std::string(data::as_string(*whole)) + "\"";
  } else if (const Json* parts = member(match, "path_separated_prefix")) {
    const std::string text = spelled(data::as_string(*parts));
    holds = seen == text || seen.starts_with(text + "/");
    wanted = "the path prefix \"" + text + "\"";
  } else if (const Json* regex = walk(match, {"safe_regex", "regex"})) {
    holds = matches_whole(std::string(data::as_string(*regex)), path);
    wanted = "the regex \"" + std::string(data::as_string(*regex)) + "\"";
  } else if (member(match, "connect_matcher") != nullptr) {
    holds = request.method == "CONNECT";
    wanted = "a CONNECT";
  } else {
    why = "its path matcher is not understood here";
    return Answer::kUnknown;
  }
  if (!holds) why = "the path is \"" + path + "\", wanted is " + wanted;
  return of(holds);
}

// All of a list, or any.
Answer match_all(const data::JsonArray& rules, const Request& request) {
  Answer answer = Answer::kYes;
  for (const Json& each : rules) answer = both(answer, match_rule(each, request));
  return answer;
}
Answer match_any(const data::JsonArray& rules, const Request& request) {
  Answer answer = Answer::kNo;
  for (const Json& each : rules) answer = either(answer, match_rule(each, request));
  return answer;
}

Answer match_identity(const Json& identity, const Request& request) {
  const Json* name = member(identity, "principal_name");
  if (request.source_principal.empty()) return Answer::kNo;
  return name == nullptr ? Answer::kYes : match_string(*name, request.source_principal);
}

}  // namespace

Answer both(Answer a, Answer b) {
  if (a == Answer::kNo || b == Answer::kNo) return Answer::kNo;
  return a == Answer::kUnknown || b == Answer::kUnknown ? Answer::kUnknown : Answer::kYes;
}

Answer either(Answer a, Answer b) {
  if (a == Answer::kYes || b == Answer::kYes) return Answer::kYes;
  return a == Answer::kUnknown || b == Answer::kUnknown ? Answer::kUnknown : Answer::kNo;
}

Answer negated(Answer a) {
  if (a == Answer::kUnknown) return a;
  return a == Answer::kYes ? Answer::kNo : Answer::kYes;
}

std::optional<std::string> header_of(const Request& request, std::string_view name) {
  if (name == ":method") return request.method;
  if (name == ":authority" || iequals(name, "host")) return request.authority;
  if (name == ":path") return request.path;
  if (name == ":scheme") return request.is_tls ? "https" : "http";
  const auto found = request.headers.find(to_lower(name));
  if (found == request.headers.end()) return std::nullopt;
  return found->second;
}

std::string path_only(const Request& request) {
  return request.path.substr(0, request.path.find('?'));
}

Answer match_string(const Json& matcher, std::string_view value) {
  const bool ignores_case = flag_at(matcher, "ignore_case");
  const std::string seen = ignores_case ? to_lower(value) : std::string(value);
  const auto wanted = [&](const Json* from) {
    return ignores_case ? to_lower(data::as_string(*from)) : std::string(data::as_string(*from));
  };
  if (const Json* text = member(matcher, "exact")) return of(seen == wanted(text));
  if (const Json* text = member(matcher, "prefix")) return of(seen.starts_with(wanted(text)));
  if (const Json* text = member(matcher, "suffix")) return of(seen.ends_with(wanted(text)));
  if (const Json* text = member(matcher, "contains"))
    return of(seen.find(wanted(text)) != std::string::npos);
  if (const Json* regex = walk(matcher, {"safe_regex", "regex"}))
    return of(matches_whole(std::string(data::as_string(*regex)), value));
  return Answer::kUnknown;
}

std::string describe_string(const Json& matcher) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kForms = {
      {{"exact", "exactly"},
       {"prefix", "a prefix"},
       {"suffix", "a suffix"},
       {"contains", "a part"}}};
  for (const auto& [name, words] : kForms) {
    if (const Json* text = member(matcher, name))
      return std::string(words) + " \"" + std::string(data::as_string(*text)) + "\"";
  }
  if (const Json* regex = walk(matcher, {"safe_regex", "regex"}))
    return "the regex \"" + std::string(data::as_string(*regex)) + "\"";
  return "something else";
}

Answer match_header(const Json& matcher, const Request& request) {
  const auto value = header_of(request, text_at(matcher, {"name"}));
  const bool is_inverted = flag_at(matcher, "invert_match");
  const auto turned = [&](Answer answer) { return is_inverted ? negated(answer) : answer; };
  if (const Json* present = member(matcher, "present_match"))
    return turned(of(value.has_value() == (present->is_bool() ? *present->if_bool() : true)));
  if (!value && !flag_at(matcher, "treat_missing_header_as_empty")) return Answer::kNo;
  const std::string text = value.value_or("");
  if (const Json* inner = member(matcher, "string_match"))
    return turned(match_string(*inner, text));
  if (const Json* exact = member(matcher, "exact_match"))
    return turned(of(text == data::as_string(*exact)));
  if (const Json* prefix = member(matcher, "prefix_match"))
    return turned(of(text.starts_with(data::as_string(*prefix))));
  if (const Json* suffix = member(matcher, "suffix_match"))
    return turned(of(text.ends_with(data::as_string(*suffix))));
  if (const Json* regex = walk(matcher, {"safe_regex_match", "regex"}))
    return turned(of(matches_whole(std::string(data::as_string(*regex)), text)));
  if (const Json* range = member(matcher, "range_match")) {
    const auto number = parse_int(text);
    return turned(of(number && *number >= number_at(*range, {"start"}) &&
                     *number < number_at(*range, {"end"})));
  }
  return Answer::kUnknown;
}

std::string describe_header(const Json& matcher) {
  std::string out = "the header \"" + std::string(text_at(matcher, {"name"})) + "\" ";
  const bool is_inverted = flag_at(matcher, "invert_match");
  if (member(matcher, "present_match") != nullptr)
    return out + (is_inverted ? "absent" : "present");
  out += is_inverted ? "not to be " : "to be ";
  if (const Json* inner = member(matcher, "string_match")) return out + describe_string(*inner);
  if (const Json* exact = member(matcher, "exact_match"))
    return out + "exactly \"" + std::string(data::as_string(*exact)) + "\"";
  return out + "something else";
}

Answer match_metadata(const Json& matcher, const Request& request) {
  const auto filter = text_at(matcher, {"filter"});
  if (filter != kJwtFilter) return request.claims ? Answer::kUnknown : Answer::kNo;
  const Json* value = request.claims ? &*request.claims : nullptr;
  bool is_first = true;
  for (const Json& step : list_at(matcher, {"path"})) {
    if (is_first && text_at(step, {"key"}) == "payload") {
      is_first = false;
      continue;
    }
    value = value == nullptr ? nullptr : data::find(*value, {text_at(step, {"key"})});
  }
  const Json* inner = member(matcher, "value");
  const Answer answer = inner == nullptr ? Answer::kUnknown : match_value(*inner, value);
  return flag_at(matcher, "invert") ? negated(answer) : answer;
}

bool is_in_range(const Json& cidr, std::string_view ip) {
  const std::string base(text_at(cidr, {"address_prefix"})), address(ip);
  const int family = base.find(':') == std::string::npos ? AF_INET : AF_INET6;
  std::array<unsigned char, 16> a{}, b{};
  if (inet_pton(family, base.c_str(), a.data()) != 1) return false;
  if (inet_pton(family, address.c_str(), b.data()) != 1) return false;
  const auto bits =
      std::min<std::int64_t>(number_at(cidr, {"prefix_len"}), family == AF_INET ? 32 : 128);
  for (std::int64_t i = 0; i < bits; ++i) {
    const auto at = static_cast<std::size_t>(i / 8);
    const int mask = 0x80 >> (i % 8);
    if (((a[at] ^ b[at]) & mask) != 0) return false;
  }
  return true;
}

Answer match_route(const Json& match, const Request& request, std::string& why) {
  Answer answer = match_path(match, request, why);
  if (answer == Answer::kNo) return answer;
  const auto add = [&](Answer part, const std::string& wanted) {
    if (part == Answer::kNo && answer != Answer::kNo) why = wanted;
    if (part == Answer::kUnknown && answer == Answer::kYes) why = "unknown here: " + wanted;
    answer = both(answer, part);
  };
  for (const Json& header : list_at(match, {"headers"})) {
    const std::string name(text_at(header, {"name"}));
    const auto value = header_of(request, name);
    add(match_header(header, request), "wanted is " + describe_header(header) + ", it is " +
                                           (value ? "\"" + *value + "\"" : "absent"));
  }
  for (const Json& parameter : list_at(match, {"query_parameters"})) {
    const std::string name(text_at(parameter, {"name"}));
    const auto value = query_of(request, name);
    const Json* text = member(parameter, "string_match");
    const Answer part = !value            ? Answer::kNo
                        : text != nullptr ? match_string(*text, *value)
                                          : Answer::kYes;
    add(part, "wanted is the query parameter \"" + name + "\" " +
                  (text != nullptr ? "to be " + describe_string(*text) : "present"));
  }
  for (const Json& metadata : list_at(match, {"dynamic_metadata"}))
    add(match_metadata(metadata, request), "a claim of the request's token is matched");
  if (member(match, "grpc") != nullptr) {
    const auto type = header_of(request, "content-type").value_or("");
    add(of(type.starts_with("application/grpc")), "wanted is a gRPC request");
  }
  if (const Json* fraction = walk(match, {"runtime_fraction", "default_value"});
      fraction != nullptr && number_at(*fraction, {"numerator"}) != 0)
    add(Answer::kUnknown, "it takes a part of the requests only");
  if (member(match, "tls_context") != nullptr) add(Answer::kUnknown, "the client's TLS is matched");
  return answer;
}

Answer match_rule(const Json& rule, const Request& request) {
  if (flag_at(rule, "any")) return Answer::kYes;
  if (const Json* list = first_of(rule, {"and_rules", "and_ids"}))
    return match_all(list_at(*list, {first_of(*list, {"rules"}) != nullptr ? "rules" : "ids"}),
                     request);
  if (const Json* list = first_of(rule, {"or_rules", "or_ids"}))
    return match_any(list_at(*list, {first_of(*list, {"rules"}) != nullptr ? "rules" : "ids"}),
                     request);
  if (const Json* inner = first_of(rule, {"not_rule", "not_id"}))
    return negated(match_rule(*inner, request));
  if (const Json* header = member(rule, "header"))
    return request.is_http ? match_header(*header, request) : Answer::kNo;
  if (const Json* path = walk(rule, {"url_path", "path"}))
    return request.is_http ? match_string(*path, path_only(request)) : Answer::kNo;
  if (const Json* range = member(rule, "destination_ip"))
    return request.destination_ip.empty() ? Answer::kUnknown
                                          : of(is_in_range(*range, request.destination_ip));
  if (const Json* port = member(rule, "destination_port"))
    return of(data::as_int(*port) == request.destination_port);
  if (const Json* name = member(rule, "requested_server_name"))
    return match_string(*name, request.sni);
  if (const Json* identity = member(rule, "authenticated"))
    return match_identity(*identity, request);
  if (const Json* state = member(rule, "filter_state")) {
    const Json* text = member(*state, "string_match");
    if (text_at(*state, {"key"}) != "io.istio.peer_principal" || text == nullptr)
      return Answer::kUnknown;
    return request.source_principal.empty() ? Answer::kNo
                                            : match_string(*text, request.source_principal);
  }
  if (const Json* range = first_of(rule, {"direct_remote_ip", "source_ip"}))
    return request.source_ip.empty() ? Answer::kUnknown
                                     : of(is_in_range(*range, request.source_ip));
  if (const Json* range = member(rule, "remote_ip")) {
    // What was forwarded counts only behind proxies that are trusted.
    if (request.headers.contains("x-forwarded-for")) return Answer::kUnknown;
    return request.source_ip.empty() ? Answer::kUnknown
                                     : of(is_in_range(*range, request.source_ip));
  }
  if (const Json* metadata = member(rule, "metadata")) return match_metadata(*metadata, request);
  return Answer::kUnknown;
}

}  // namespace lateen::cli::explain
