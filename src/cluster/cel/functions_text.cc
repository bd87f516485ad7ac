// Strings and regular expressions (CEL's strings extension; Kubernetes' regex library). Positions
// count characters; ASCII text takes the short way.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "base/strings.h"
#include "cluster/cel/functions.h"

namespace lateen::cluster::cel {
namespace {

using Args = std::span<const Value>;
using Kind = Shape::Kind;

// Where each character of a text begins, and its end.
std::vector<std::size_t> starts_of(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  starts.push_back(text.size());
  return starts;
}

Result<std::string> text_of(const Value& value) {
  if (const auto* text = value.get<std::string>()) return *text;
  return no_overload(fmt::format("a string is wanted, {} was found", value.type_name()));
}
Result<std::int64_t> int_of(const Value& value) {
  if (const auto* number = value.get<std::int64_t>()) return *number;
  return no_overload(fmt::format("an int is wanted, {} was found", value.type_name()));
}
Error out_of_range(std::int64_t index) {
  return invalid(fmt::format("index out of range: {}", index));
}

Result<Value> contains(Args args, const Expr& call, Budget&) {
  const std::string text = TRY(text_of(args[0]));
  const std::string part = TRY(text_of(args[1]));
  if (call.function->name == "contains") return Value(text.find(part) != std::string::npos);
  if (call.function->name == "startsWith") return Value(text.starts_with(part));
  return Value(text.ends_with(part));
}

Result<std::shared_ptr<const re2::RE2>> pattern_of(const Expr& call, const Value& value) {
  if (call.pattern != nullptr) return call.pattern;
  const std::string text = TRY(text_of(value));
  auto made = std::make_shared<re2::RE2>(text, re2::RE2::Quiet);
  if (!made->ok()) return invalid(fmt::format("invalid regex: {}", made->error()));
  return std::shared_ptr<const re2::RE2>(std::move(made));
}

Result<Value> matches(Args args, const Expr& call, Budget& budget) {
  const std::string text = TRY(text_of(args[0]));
  const auto pattern = TRY(pattern_of(call, args[1]));
  if (!budget.spend(text.size() / 4 + (call.pattern == nullptr ? 50 : 1)))
    return Budget::exceeded();
  return Value(re2::RE2::PartialMatch(text, *pattern));
}

Result<Value> find(Args args, const Expr& call, Budget& budget) {
  const std::string text = TRY(text_of(args[0]));
  const auto pattern = TRY(pattern_of(call, args[1]));
  const std::int64_t most = args.size() > 2 ? TRY(int_of(args[2])) : -1;
  const bool is_all = call.function->name == "findAll";
  List found;
  std::size_t at = 0;
  re2::StringPiece match;
  while (at <= text.size() && (most < 0 || static_cast<std::int64_t>(found.size()) < most)) {
    if (!budget.spend(2 + (text.size() - at) / 4)) return Budget::exceeded();
    if (!pattern->Match(text, at, text.size(), re2::RE2::UNANCHORED, &match, 1)) break;
    found.emplace_back(std::string(match.data(), match.size()));
    if (!is_all) break;
    at = static_cast<std::size_t>(match.data() - text.data()) +
         std::max<std::size_t>(match.size(), 1);
  }
  if (is_all) return Value::list(std::move(found));
  return found.empty() ? Value(std::string()) : found.front();
}

Result<Value> char_at(Args args, const Expr&, Budget&) {
  const std::string text = TRY(text_of(args[0]));
  const std::int64_t index = TRY(int_of(args[1]));
  const auto starts = starts_of(text);
  const auto size = static_cast<std::int64_t>(starts.size()) - 1;
  if (index < 0 || index > size) return out_of_range(index);
  if (index == size) return Value(std::string());
  const auto at = static_cast<std::size_t>(index);
  return Value(text.substr(starts[at], starts[at + 1] - starts[at]));
}

Result<Value> index_of_item(Args args, bool is_last) {
  std::int64_t found = -1;
  for (std::size_t i = 0; i < args[0].size(); ++i) {
    if (!equal(args[0].at(i), args[1])) continue;
    found = static_cast<std::int64_t>(i);
    if (!is_last) break;
  }
  return Value(found);
}

Result<Value> index_of(Args args, const Expr& call, Budget& budget) {
  const bool is_last = call.function->name == "lastIndexOf";
  if (args[0].is_list() && args.size() == 2) {
    if (!budget.spend(args[0].size())) return Budget::exceeded();
    return index_of_item(args, is_last);
  }
  const std::string text = TRY(text_of(args[0]));
  const std::string part = TRY(text_of(args[1]));
  const auto starts = starts_of(text);
  const auto size = static_cast<std::int64_t>(starts.size()) - 1;
  std::size_t from = is_last ? text.size() : 0;
  if (args.size() > 2) {
    const std::int64_t index = TRY(int_of(args[2]));
    if (index < 0 || index > size) return out_of_range(index);
    from = starts[static_cast<std::size_t>(index)];
  }
  const std::size_t found = is_last ? text.rfind(part, from) : text.find(part, from);
  if (found == std::string::npos) return Value(std::int64_t{-1});
  const auto at = std::lower_bound(starts.begin(), starts.end(), found);
  return Value(static_cast<std::int64_t>(at - starts.begin()));
}

Result<Value> substring(Args args, const Expr&, Budget&) {
  const std::string text = TRY(text_of(args[0]));
  const auto starts = starts_of(text);
  const auto size = static_cast<std::int64_t>(starts.size()) - 1;
  const std::int64_t begin = TRY(int_of(args[1]));
  const std::int64_t end = args.size() > 2 ? TRY(int_of(args[2])) : size;
  if (begin < 0 || begin > size) return out_of_range(begin);
  if (end < 0 || end > size) return out_of_range(end);
  if (begin > end)
    return invalid(fmt::format("invalid substring range. start: {}, end: {}", begin, end));
  const std::size_t at = starts[static_cast<std::size_t>(begin)];
  return Value(text.substr(at, starts[static_cast<std::size_t>(end)] - at));
}

Result<Value> change_case(Args args, const Expr& call, Budget&) {
  std::string text = TRY(text_of(args[0]));
  const bool is_lower = call.function->name == "lowerAscii";
  for (char& c : text) {
    if (is_lower && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!is_lower && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return Value(std::move(text));
}

Result<Value> trim_text(Args args, const Expr&, Budget&) {
  return Value(std::string(trim(TRY(text_of(args[0])))));
}

Result<Value> reverse(Args args, const Expr&, Budget&) {
  const std::string text = TRY(text_of(args[0]));
  const auto starts = starts_of(text);
  std::string made;
  for (std::size_t i = starts.size() - 1; i > 0; --i)
    made += text.substr(starts[i - 1], starts[i] - starts[i - 1]);
  return Value(std::move(made));
}

Result<Value> replace(Args args, const Expr&, Budget& budget) {
  const std::string text = TRY(text_of(args[0]));
  const std::string from = TRY(text_of(args[1]));
  const std::string to = TRY(text_of(args[2]));
  std::int64_t most = args.size() > 3 ? TRY(int_of(args[3])) : -1;
  std::string made;
  std::size_t at = 0;
  while (at <= text.size() && most != 0) {
    const std::size_t found = text.find(from, at);
    if (found == std::string::npos) break;
    if (!budget.spend(1 + to.size() / 10)) return Budget::exceeded();
    made.append(text, at, found - at).append(to);
    at = found + from.size();
    if (from.empty()) {
      if (at < text.size()) made += text[at];
      ++at;
    }
    if (most > 0) --most;
  }
  if (at < text.size()) made.append(text, at);
  return Value(std::move(made));
}

Result<Value> split_text(Args args, const Expr&, Budget& budget) {
  const std::string text = TRY(text_of(args[0]));
  const std::string by = TRY(text_of(args[1]));
  const std::int64_t most = args.size() > 2 ? TRY(int_of(args[2])) : -1;
  List made;
  if (most == 0) return Value::list(std::move(made));
  if (!budget.spend(text.size() / 2)) return Budget::exceeded();
  std::size_t at = 0;
  while (most < 0 || static_cast<std::int64_t>(made.size()) + 1 < most) {
    std::size_t found = by.empty() ? at + 1 : text.find(by, at);
    while (by.empty() && found < text.size() &&
           (static_cast<unsigned char>(text[found]) & 0xC0) == 0x80)
      ++found;
    if (found == std::string::npos || (by.empty() && found >= text.size())) break;
    made.emplace_back(text.substr(at, found - at));
    at = found + by.size();
  }
  made.emplace_back(text.substr(at));
  return Value::list(std::move(made));
}

Result<Value> join_list(Args args, const Expr&, Budget& budget) {
  if (!args[0].is_list()) return no_overload(fmt::format("{}.join()", args[0].type_name()));
  const std::string by = args.size() > 1 ? TRY(text_of(args[1])) : std::string();
  std::string made;
  for (std::size_t i = 0; i < args[0].size(); ++i) {
    const std::string part = TRY(text_of(args[0].at(i)));
    if (!budget.spend(1 + (part.size() + by.size()) / 10)) return Budget::exceeded();
    made += (i == 0 ? std::string() : by) + part;
  }
  return Value(std::move(made));
}

Result<Value> quote(Args args, const Expr&, Budget&) {
  std::string made = "\"";
  for (const char c : TRY(text_of(args[0]))) {
    if (c == '"' || c == '\\') made += '\\';
    if (c == '\n') made += "\\n";
    else if (c == '\t') made += "\\t";
    else if (c == '\r') made += "\\r";
    else made += c;
  }
  return Value(made + "\"");
}

// "%s has %d": s d f x X b o, with a precision for f.
Result<Value> format(Args args, const Expr&, Budget& budget) {
  const std::string text = TRY(text_of(args[0]));
  if (!args[1].is_list()) return no_overload("format() takes a list");
  std::string made;
  std::size_t next = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      made += text[i];
      continue;
    }
    if (++i < text.size() && text[i] == '%') {
      made += '%';
      continue;
    }
    int precision = 6;
    if (i < text.size() && text[i] == '.') {
      precision = 0;
      while (++i < text.size() && text[i] >= '0' && text[i] <= '9' && precision < 100)
        precision = precision * 10 + (text[i] - '0');
    }
    if (i >= text.size()) return invalid("could not parse formatting clause: missing verb");
    if (next >= args[1].size()) return invalid(fmt::format("index {} out of range", next));
    const Value value = args[1].at(next++);
    if (!budget.spend(1 + value.weight() / 10)) return Budget::exceeded();
    const auto* number = value.get<std::int64_t>();
    const auto* real = value.get<double>();
    switch (text[i]) {
      case 's': made += value.to_text(); break;
      case 'd':
        if (!value.is_number()) return no_overload("%d of what is no number");
        made += value.to_text();
        break;
      case 'f':
        if (real == nullptr) return no_overload("%f of what is no double");
        made += fmt::format("{:.{}f}", *real, std::min(precision, 50));
        break;
      case 'x':
        made += number != nullptr ? fmt::format("{:x}", *number) : hex_encode(value.to_text());
        break;
      case 'X': {
        std::string hex =
            number != nullptr ? fmt::format("{:X}", *number) : hex_encode(value.to_text());
        std::transform(hex.begin(), hex.end(), hex.begin(),
                       [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c; });
        made += hex;
        break;
      }
      case 'b':
        if (number == nullptr) return no_overload("%b of what is no int");
        made += fmt::format("{:b}", *number);
        break;
      case 'o':
        if (number == nullptr) return no_overload("%o of what is no int");
        made += fmt::format("{:o}", *number);
        break;
      default:
        return invalid(
            fmt::format("could not parse formatting clause: unrecognized \"{}\"", text[i]));
    }
  }
  return Value(std::move(made));
}

constexpr FunctionEntry kText[] = {
    {"contains", true, 1, 1, contains, Kind::kBool},
    {"startsWith", true, 1, 1, contains, Kind::kBool},
    {"endsWith", true, 1, 1, contains, Kind::kBool},
    {"matches", true, 1, 1, matches, Kind::kBool},
    {"matches", false, 2, 2, matches, Kind::kBool},
    {"find", true, 1, 1, find, Kind::kString},
    {"findAll", true, 1, 2, find},
    {"charAt", true, 1, 1, char_at, Kind::kString},
    {"indexOf", true, 1, 2, index_of, Kind::kInt},
    {"lastIndexOf", true, 1, 2, index_of, Kind::kInt},
    {"substring", true, 1, 2, substring, Kind::kString},
    {"lowerAscii", true, 0, 0, change_case, Kind::kString},
    {"upperAscii", true, 0, 0, change_case, Kind::kString},
    {"trim", true, 0, 0, trim_text, Kind::kString},
    {"reverse", true, 0, 0, reverse, Kind::kString},
    {"replace", true, 2, 3, replace, Kind::kString},
    {"split", true, 1, 2, split_text},
    {"join", true, 0, 1, join_list, Kind::kString},
    {"strings.quote", false, 1, 1, quote, Kind::kString},
    {"format", true, 1, 1, format, Kind::kString},
};

}  // namespace

std::span<const FunctionEntry> text_functions() { return kText; }

}  // namespace lateen::cluster::cel
