// YAML and JSON both ways, base64, digests, regular expressions (RE2, which is Go's own engine) and
// semantic versions.
#include <openssl/evp.h>
#include <re2/re2.h>

#include "base/strings.h"
#include "chart/functions.h"
#include "data/yaml.h"

namespace lateen::chart {
namespace {

using Out = Result<Value>;

data::Json sorted(const data::Json& value, int depth = 0) {
  if (const auto* array = value.if_array(); array != nullptr && depth < data::kMaxJsonDepth) {
    data::JsonArray made;
    for (const auto& each : *array) made.push_back(sorted(each, depth + 1));
    return made;
  }
  const auto* object = value.if_object();
  if (object == nullptr || depth >= data::kMaxJsonDepth) return value;
  std::map<std::string_view, const data::Json*> order;
  for (const auto& member : *object) order.emplace(member.key(), &member.value());
  data::JsonObject made;
  for (const auto& [key, item] : order) made[key] = sorted(*item, depth + 1);
  return made;
}

Out to_yaml(Call& call, Arguments& a) {
  std::string text = data::dump_yaml(TRY(a[0].to_json()));
  while (text.ends_with('\n')) text.pop_back();
  TRY(call.charge(text.size()));
  return text;
}

// Helm answers a mistake with a map that holds it under "Error".
Out from_yaml(Call&, Arguments& a) {
  const auto parsed = data::parse_yaml(TRY(text_argument(a, 0)));
  if (!parsed) return Map{{"Error", Value(parsed.error().message())}};
  if (!parsed.value().is_object() && !parsed.value().is_null()) {
    return Map{{"Error", Value("the YAML is not a map: use fromYamlArray for lists")}};
  }
  return parsed.value().is_null() ? Value(Map()) : Value::from_json(*std::move(parsed));
}

Out from_yaml_list(Call&, Arguments& a) {
  const auto parsed = data::parse_yaml(TRY(text_argument(a, 0)));
  if (!parsed) return List{Value(parsed.error().message())};
  return parsed.value().is_array() ? Value::from_json(*std::move(parsed)) : Value(List());
}

// HTML-safe escapes, as Go's json.Marshal writes them.
std::string html_safe(std::string text) {
  text = replace_all(text, "<", "\\u003c");
  text = replace_all(text, ">", "\\u003e");
  return replace_all(text, "&", "\\u0026");
}

Out to_json(Call& call, Arguments& a) {
  std::string text = html_safe(data::dump_json(sorted(TRY(a[0].to_json()))));
  TRY(call.charge(text.size()));
  return text;
}
Out to_raw_json(Call& call, Arguments& a) {
  std::string text = data::dump_json(sorted(TRY(a[0].to_json())));
  TRY(call.charge(text.size()));
  return text;
}
Out to_pretty_json(Call& call, Arguments& a) {
  std::string text = html_safe(data::dump_json_pretty(sorted(TRY(a[0].to_json()))));
  TRY(call.charge(text.size()));
  return text;
}
Out from_json(Call&, Arguments& a) {
  const auto parsed = data::parse_json(TRY(text_argument(a, 0)));
  if (!parsed) return Map{{"Error", Value(parsed.error().message())}};
  return Value::from_json(*std::move(parsed));
}

std::string digest(const EVP_MD* kind, std::string_view bytes) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out, &size, kind, nullptr);
  return hex_encode({reinterpret_cast<const char*>(out), size});
}

std::uint32_t adler32(std::string_view bytes) {
  std::uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

Out decode64(Call&, Arguments& a) {
  auto bytes = base64_decode(TRY(text_argument(a, 0)));
  return bytes ? Value(*std::move(bytes)) : Value(bytes.error().message());
}

Result<std::unique_ptr<re2::RE2>> compile(const std::string& pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto made = std::make_unique<re2::RE2>(pattern, options);
  if (!made->ok()) return invalid("error parsing regexp: " + made->error() + ": `" + pattern + "`");
  return made;
}

struct Span {
  std::size_t begin, end;
};

// Non-overlapping matches from the left; `groups[0]` is the whole match.
std::vector<std::vector<re2::StringPiece>> find_all(const re2::RE2& expression,
                                                    std::string_view text, std::size_t most) {
  std::vector<std::vector<re2::StringPiece>> found;
  const re2::StringPiece whole(text.data(), text.size());
  std::size_t at = 0;
  while (at <= text.size() && found.size() < most) {
    std::vector<re2::StringPiece> groups(
        static_cast<std::size_t>(expression.NumberOfCapturingGroups()) + 1);
    if (!expression.Match(whole, at, text.size(), re2::RE2::UNANCHORED, groups.data(),
                          static_cast<int>(groups.size())))
      break;
    const auto end = static_cast<std::size_t>(groups[0].data() - text.data()) + groups[0].size();
    at = groups[0].empty() ? end + 1 : end;
    found.push_back(std::move(groups));
  }
  return found;
}

Out regex_match(Call&, Arguments& a) {
  const auto expression = TRY(compile(TRY(text_argument(a, 0))));
  return re2::RE2::PartialMatch(TRY(text_argument(a, 1)), *expression);
}

Out regex_find(Call&, Arguments& a) {
  const auto expression = TRY(compile(TRY(text_argument(a, 0))));
  const std::string text = TRY(text_argument(a, 1));
  const auto found = find_all(*expression, text, 1);
  return found.empty() ? Value("") : Value(std::string(found[0][0]));
}

std::size_t most_of(const Value& count) {
  const auto most = integer_or_zero(count);
  return most < 0 ? SIZE_MAX : static_cast<std::size_t>(most);
}

Out regex_find_all(Call&, Arguments& a) {
  const auto expression = TRY(compile(TRY(text_argument(a, 0))));
  const std::string text = TRY(text_argument(a, 1));
  List made;
  for (const auto& groups : find_all(*expression, text, most_of(a[2])))
    made.emplace_back(std::string(groups[0]));
  return made;
}

Out regex_split(Call&, Arguments& a) {
  const auto expression = TRY(compile(TRY(text_argument(a, 0))));
  const std::string text = TRY(text_argument(a, 1));
  const std::size_t most = most_of(a[2]);
  List made;
  if (most == 0) return made;
  std::size_t begin = 0;
  for (const auto& groups : find_all(*expression, text, most - (most == SIZE_MAX ? 0 : 1))) {
    const auto at = static_cast<std::size_t>(groups[0].data() - text.data());
    made.emplace_back(text.substr(begin, at - begin));
    begin = at + groups[0].size();
  }
  made.emplace_back(text.substr(begin));
  return made;
}

// Go's Expand: $1, ${1}, $name, ${name}, $$.
std::string expand(const re2::RE2& expression, std::string_view to,
                   const std::vector<re2::StringPiece>& groups) {
  std::string out;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (to[i] != '$' || i + 1 >= to.size()) {
      out += to[i];
      continue;
    }
    if (to[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const bool is_braced = to[i + 1] == '{';
    const std::size_t begin = i + (is_braced ? 2 : 1);
    std::size_t end = begin;
    while (end < to.size() && (std::isalnum(static_cast<unsigned char>(to[end])) || to[end] == '_'))
      ++end;
    if (end == begin || (is_braced && (end >= to.size() || to[end] != '}'))) {
      out += '$';
      continue;
    }
    const std::string name(to.substr(begin, end - begin));
    auto number = parse_uint(name);
    if (!number) {
      const auto named = expression.NamedCapturingGroups().find(name);
      if (named != expression.NamedCapturingGroups().end())
        number = static_cast<std::uint64_t>(named->second);
    }
    if (number && *number < groups.size())
      out.append(groups[*number].data(), groups[*number].size());
    i = is_braced ? end : end - 1;
  }
  return out;
}

template <bool IsLiteral>
Out regex_replace(Call& call, Arguments& a) {
  const auto expression = TRY(compile(TRY(text_argument(a, 0))));
  const std::string text = TRY(text_argument(a, 1)), to = TRY(text_argument(a, 2));
  std::string out;
  std::size_t begin = 0;
  for (const auto& groups : find_all(*expression, text, SIZE_MAX)) {
    const auto at = static_cast<std::size_t>(groups[0].data() - text.data());
    out += text.substr(begin, at - begin);
    out += IsLiteral ? to : expand(*expression, to, groups);
    begin = at + groups[0].size();
    if (out.size() > (1u << 20)) TRY(call.charge(out.size()));
  }
  return out + text.substr(begin);
}

Out semver(Call&, Arguments& a) {
  const Version version = TRY(parse_version(TRY(text_argument(a, 0))));
  return Map{{"Major", Value(version.major)},       {"Minor", Value(version.minor)},
             {"Patch", Value(version.patch)},       {"Prerelease", Value(version.prerelease)},
             {"Metadata", Value(version.metadata)}, {"Original", a[0]}};
}

constexpr Builtin kFunctions[] = {
    {"toYaml", 1, 1, to_yaml},
    {"toYamlPretty", 1, 1, to_yaml},
    {"fromYaml", 1, 1, from_yaml},
    {"fromYamlArray", 1, 1, from_yaml_list},
    {"toJson", 1, 1, to_json},
    {"toRawJson", 1, 1, to_raw_json},
    {"toPrettyJson", 1, 1, to_pretty_json},
    {"fromJson", 1, 1, from_json},
    {"fromJsonArray", 1, 1, from_yaml_list},
    {"b64enc", 1, 1,
     [](Call&, Arguments& a) -> Out { return base64_encode(TRY(text_argument(a, 0))); }},
    {"b64dec", 1, 1, decode64},
    {"sha256sum", 1, 1,
     [](Call&, Arguments& a) -> Out { return digest(EVP_sha256(), TRY(text_argument(a, 0))); }},
    {"sha1sum", 1, 1,
     [](Call&, Arguments& a) -> Out { return digest(EVP_sha1(), TRY(text_argument(a, 0))); }},
    {"sha512sum", 1, 1,
     [](Call&, Arguments& a) -> Out { return digest(EVP_sha512(), TRY(text_argument(a, 0))); }},
    {"adler32sum", 1, 1,
     [](Call&, Arguments& a) -> Out { return std::to_string(adler32(TRY(text_argument(a, 0)))); }},
    {"regexMatch", 2, 2, regex_match},
    {"regexFind", 2, 2, regex_find},
    {"regexFindAll", 3, 3, regex_find_all},
    {"regexSplit", 3, 3, regex_split},
    {"regexReplaceAll", 3, 3, regex_replace<false>},
    {"regexReplaceAllLiteral", 3, 3, regex_replace<true>},
    {"regexQuoteMeta", 1, 1,
     [](Call&, Arguments& a) -> Out { return re2::RE2::QuoteMeta(TRY(text_argument(a, 0))); }},
    {"semver", 1, 1, semver},
    {"semverCompare", 2, 2,
     [](Call&, Arguments& a) -> Out {
       return TRY(semver_matches(TRY(text_argument(a, 0)), TRY(text_argument(a, 1))));
     }},
};

}  // namespace

std::span<const Builtin> encoding_functions() { return kFunctions; }

}  // namespace lateen::chart
