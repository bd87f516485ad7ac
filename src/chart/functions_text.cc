// sprig's string functions. The text comes last, so that it can be piped in.
#include <algorithm>
#include <cctype>

#include "base/strings.h"
#include "chart/functions.h"

namespace lateen::chart {
namespace {

using Out = Result<Value>;

constexpr std::size_t kMostRepeats = 1'000'000;

std::string map_chars(std::string text, int (*change)(int)) {
  for (char& c : text) c = static_cast<char>(change(static_cast<unsigned char>(c)));
  return text;
}

// Changes the first letter of each word.
std::string map_words(std::string text, int (*change)(int)) {
  bool is_start = true;
  for (char& c : text) {
    if (is_start) c = static_cast<char>(change(static_cast<unsigned char>(c)));
    is_start = std::isspace(static_cast<unsigned char>(c)) != 0;
  }
  return text;
}

std::string quote_all(const Arguments& a, bool is_double) {
  std::string out;
  for (const Value& each : a) {
    if (each.is_nil()) continue;
    if (!out.empty()) out += ' ';
    out += is_double ? go_quote(to_text(each)) : "'" + to_text(each) + "'";
  }
  return out;
}

std::string cat(const Arguments& a) {
  std::string out;
  for (const Value& each : a) {
    if (each.is_nil()) continue;
    if (!out.empty()) out += ' ';
    out += to_text(each);
  }
  return out;
}

Out indent_text(Call& call, Arguments& a) {
  const auto width = std::clamp<std::int64_t>(integer_or_zero(a[0]), 0, 1000);
  const std::string pad(static_cast<std::size_t>(width), ' ');
  const std::string text = TRY(text_argument(a, 1));
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  TRY(call.charge(lines * pad.size()));
  return pad + replace_all(text, "\n", "\n" + pad);
}

Out nindent_text(Call& call, Arguments& a) {
  const Value text = TRY(indent_text(call, a));
  return "\n" + *text.if_string();
}

std::string_view trim_of(std::string_view text, std::string_view set) {
  const auto begin = text.find_first_not_of(set);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(set) - begin + 1);
}

Out trim_suffix(Call&, Arguments& a) {
  const std::string suffix = TRY(text_argument(a, 0)), text = TRY(text_argument(a, 1));
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}
Out trim_prefix(Call&, Arguments& a) {
  const std::string prefix = TRY(text_argument(a, 0)), text = TRY(text_argument(a, 1));
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}
Out replace_text(Call& call, Arguments& a) {
  const std::string from = TRY(text_argument(a, 0)), to = TRY(text_argument(a, 1)),
                    text = TRY(text_argument(a, 2));
  if (from.empty()) return text;
  TRY(call.charge(to.size() * (text.size() / from.size() + 1)));
  return replace_all(text, from, to);
}
Out contains(Call&, Arguments& a) {
  return TRY(text_argument(a, 1)).find(TRY(text_argument(a, 0))) != std::string::npos;
}
Out has_prefix(Call&, Arguments& a) {
  return TRY(text_argument(a, 1)).starts_with(TRY(text_argument(a, 0)));
}
Out has_suffix(Call&, Arguments& a) {
  return TRY(text_argument(a, 1)).ends_with(TRY(text_argument(a, 0)));
}

std::vector<std::string> cut(std::string_view text, std::string_view separator, std::size_t most) {
  std::vector<std::string> parts;
  while (parts.size() + 1 < most) {
    const auto found =
        separator.empty() ? (text.size() > 1 ? 1 : std::string_view::npos) : text.find(separator);
    if (found == std::string_view::npos) break;
    parts.emplace_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.emplace_back(text);
  return parts;
}

Value numbered(const std::vector<std::string>& parts) {
  Map map;
  for (std::size_t i = 0; i < parts.size(); ++i) map["_" + std::to_string(i)] = parts[i];
  return map;
}

Out split_map(Call&, Arguments& a) {
  return numbered(cut(TRY(text_argument(a, 1)), TRY(text_argument(a, 0)), SIZE_MAX));
}
Out splitn_map(Call&, Arguments& a) {
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(1, integer_or_zero(a[1])));
  return numbered(cut(TRY(text_argument(a, 2)), TRY(text_argument(a, 0)), most));
}
Out split_list(Call&, Arguments& a) {
  List list;
  for (auto& part : cut(TRY(text_argument(a, 1)), TRY(text_argument(a, 0)), SIZE_MAX))
    list.emplace_back(std::move(part));
  return list;
}

Out join_list(Call&, Arguments& a) {
  const std::string separator = TRY(text_argument(a, 0));
  if (a[1].if_list() == nullptr) return a[1].is_nil() ? "" : to_text(a[1]);
  std::string out;
  bool is_first = true;
  for (const Value& item : *a[1].if_list()) {
    if (item.is_nil()) continue;
    out += (is_first ? "" : separator) + to_text(item);
    is_first = false;
  }
  return out;
}

// Positive: the first n bytes; negative: the last.
Out trunc(Call&, Arguments& a) {
  const auto count = integer_or_zero(a[0]);
  const std::string text = TRY(text_argument(a, 1));
  const auto size = static_cast<std::int64_t>(text.size());
  if (count < 0) return -count < size ? text.substr(static_cast<std::size_t>(size + count)) : text;
  return text.substr(0, static_cast<std::size_t>(count));
}

Out substr(Call&, Arguments& a) {
  const std::string text = TRY(text_argument(a, 2));
  const auto size = static_cast<std::int64_t>(text.size());
  const auto begin = std::clamp<std::int64_t>(integer_or_zero(a[0]), 0, size);
  auto end = integer_or_zero(a[1]);
  if (end < 0 || end > size) end = size;
  return begin < end
             ? text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin))
             : "";
}

Out repeat(Call& call, Arguments& a) {
  const auto count = integer_or_zero(a[0]);
  const std::string text = TRY(text_argument(a, 1));
  if (count < 0 || static_cast<std::size_t>(count) > kMostRepeats)
    return invalid("bad repeat count " + std::to_string(count));
  TRY(call.charge(text.size() * static_cast<std::size_t>(count)));
  std::string out;
  for (std::int64_t i = 0; i < count; ++i) out += text;
  return out;
}

// Words of camelCase, snake_case, kebab-case and spaced text, lower-cased, joined.
std::string rejoin(std::string_view text, char separator) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_' || c == '-' || c == ' ') {
      if (!out.empty() && out.back() != separator) out += separator;
      continue;
    }
    const bool is_upper = std::isupper(static_cast<unsigned char>(c));
    const bool after_lower = i > 0 && !std::isupper(static_cast<unsigned char>(text[i - 1]));
    if (is_upper && after_lower && !out.empty() && out.back() != separator) out += separator;
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

std::string camel_case(std::string_view text) {
  std::string out;
  bool is_start = true;
  for (const char c : text) {
    if (c == '_' || c == '-' || c == ' ') {
      is_start = true;
      continue;
    }
    out += is_start ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    is_start = false;
  }
  return out;
}

Out abbrev(Call&, Arguments& a) {
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(0, integer_or_zero(a[0])));
  const std::string text = TRY(text_argument(a, 1));
  return width < 4 || text.size() <= width ? text : text.substr(0, width - 3) + "...";
}

std::string initials(std::string_view text) {
  std::string out;
  bool is_start = true;
  for (const char c : text) {
    if (is_start && !std::isspace(static_cast<unsigned char>(c))) out += c;
    is_start = std::isspace(static_cast<unsigned char>(c)) != 0;
  }
  return out;
}

Out wrap_with(std::size_t width, const std::string& separator, std::string_view text) {
  std::string out;
  std::size_t column = 0;
  for (const auto word : split(text, ' ')) {
    if (column > 0 && column + 1 + word.size() > width) {
      out += separator;
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

template <std::string (*Change)(std::string_view)>
Out on_text(Call&, Arguments& a) {
  return Change(TRY(text_argument(a, 0)));
}

std::string trimmed(std::string_view text) { return std::string(trim(text)); }
std::string lower(std::string_view text) { return map_chars(std::string(text), std::tolower); }
std::string upper(std::string_view text) { return map_chars(std::string(text), std::toupper); }
std::string title(std::string_view text) { return map_words(std::string(text), std::toupper); }
std::string untitle(std::string_view text) { return map_words(std::string(text), std::tolower); }
std::string snake(std::string_view text) { return rejoin(text, '_'); }
std::string kebab(std::string_view text) { return rejoin(text, '-'); }
std::string no_space(std::string_view text) {
  std::string out(text);
  std::erase_if(out, [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; });
  return out;
}
std::string swap_case(std::string_view text) {
  return map_chars(std::string(text),
                   [](int c) { return std::isupper(c) ? std::tolower(c) : std::toupper(c); });
}

constexpr Builtin kFunctions[] = {
    {"quote", 0, -1, [](Call&, Arguments& a) -> Out { return quote_all(a, true); }},
    {"squote", 0, -1, [](Call&, Arguments& a) -> Out { return quote_all(a, false); }},
    {"cat", 0, -1, [](Call&, Arguments& a) -> Out { return cat(a); }},
    {"indent", 2, 2, indent_text},
    {"nindent", 2, 2, nindent_text},
    {"trim", 1, 1, on_text<trimmed>},
    {"trimAll", 2, 2,
     [](Call&, Arguments& a) -> Out {
       return trim_of(TRY(text_argument(a, 1)), TRY(text_argument(a, 0)));
     }},
    {"trimall", 2, 2,
     [](Call&, Arguments& a) -> Out {
       return trim_of(TRY(text_argument(a, 1)), TRY(text_argument(a, 0)));
     }},
    {"trimSuffix", 2, 2, trim_suffix},
    {"trimPrefix", 2, 2, trim_prefix},
    {"replace", 3, 3, replace_text},
    {"contains", 2, 2, contains},
    {"hasPrefix", 2, 2, has_prefix},
    {"hasSuffix", 2, 2, has_suffix},
    {"split", 2, 2, split_map},
    {"splitn", 3, 3, splitn_map},
    {"splitList", 2, 2, split_list},
    {"join", 2, 2, join_list},
    {"upper", 1, 1, on_text<upper>},
    {"toUpper", 1, 1, on_text<upper>},
    {"lower", 1, 1, on_text<lower>},
    {"toLower", 1, 1, on_text<lower>},
    {"title", 1, 1, on_text<title>},
    {"untitle", 1, 1, on_text<untitle>},
    {"snakecase", 1, 1, on_text<snake>},
    {"kebabcase", 1, 1, on_text<kebab>},
    {"camelcase", 1, 1, on_text<camel_case>},
    {"nospace", 1, 1, on_text<no_space>},
    {"swapcase", 1, 1, on_text<swap_case>},
    {"initials", 1, 1, on_text<initials>},
    {"trunc", 2, 2, trunc},
    {"abbrev", 2, 2, abbrev},
    {"substr", 3, 3, substr},
    {"repeat", 2, 2, repeat},
    {"wrap", 2, 2,
     [](Call&, Arguments& a) -> Out {
       return wrap_with(static_cast<std::size_t>(integer_or_zero(a[0])), "\n",
                        TRY(text_argument(a, 1)));
     }},
    {"wrapWith", 3, 3,
     [](Call&, Arguments& a) -> Out {
       return wrap_with(static_cast<std::size_t>(integer_or_zero(a[0])), TRY(text_argument(a, 1)),
                        TRY(text_argument(a, 2)));
     }},
    {"plural", 3, 3,
     [](Call&, Arguments& a) -> Out { return integer_or_zero(a[2]) == 1 ? a[0] : a[1]; }},
    {"toString", 1, 1, [](Call&, Arguments& a) -> Out { return to_text(a[0]); }},
};

}  // namespace

std::span<const Builtin> text_functions() { return kFunctions; }

}  // namespace lateen::chart
