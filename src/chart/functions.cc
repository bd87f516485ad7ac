// Lookup of built-ins by name, and the conversions that the families share.
#include "chart/functions.h"

#include <cmath>
#include <unordered_map>

#include "base/strings.h"

namespace lateen::chart {
namespace {

using Table = std::unordered_map<std::string_view, const Builtin*>;

Table all_builtins() {
  Table table;
  for (const auto family :
       {core_functions(), text_functions(), encoding_functions(), number_functions(),
        list_functions(), map_functions(), time_functions()}) {
    for (const Builtin& each : family) table.emplace(each.name, &each);
  }
  return table;
}

}  // namespace

const Builtin* find_builtin(std::string_view name) {
  static const Table table = all_builtins();
  if (const auto found = table.find(name); found != table.end()) return found->second;
  if (name.starts_with("must") && name.size() > 4) {
    std::string plain(name.substr(4));
    plain[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(plain[0])));
    if (const auto found = table.find(plain); found != table.end()) return found->second;
  }
  return nullptr;
}

std::string to_text(const Value& value) { return format_plain(value); }

std::optional<std::int64_t> to_integer(const Value& value) {
  if (const auto* number = value.if_int()) return *number;
  if (const auto* number = value.if_double()) {
    return std::abs(*number) < 9.2e18 ? std::optional(static_cast<std::int64_t>(*number))
                                      : std::nullopt;
  }
  if (const auto* flag = value.if_bool()) return *flag ? 1 : 0;
  if (const auto* text = value.if_string()) {
    if (const auto number = parse_int(trim(*text))) return number;
    if (const auto real = parse_double(trim(*text)); real && std::abs(*real) < 9.2e18)
      return static_cast<std::int64_t>(*real);
  }
  return std::nullopt;
}

std::int64_t integer_or_zero(const Value& value) { return to_integer(value).value_or(0); }

double real_or_zero(const Value& value) {
  if (const auto* number = value.if_double()) return *number;
  if (const auto* text = value.if_string()) return parse_double(trim(*text)).value_or(0);
  return static_cast<double>(integer_or_zero(value));
}

Error wrong_type(std::string_view wanted, const Value& got) {
  return invalid("wrong type for value; expected " + std::string(wanted) + "; got " +
                 std::string(got.kind()));
}

Result<std::string> text_argument(const Arguments& arguments, std::size_t index) {
  if (const auto* text = arguments[index].if_string()) return *text;
  if (arguments[index].if_list() || arguments[index].if_map())
    return wrong_type("string", arguments[index]);
  return arguments[index].is_nil() ? std::string() : to_text(arguments[index]);
}

Result<const List*> list_argument(const Arguments& arguments, std::size_t index) {
  static const List kNone;
  if (const auto* list = arguments[index].if_list()) return list;
  if (arguments[index].is_nil()) return &kNone;
  return wrong_type("a list", arguments[index]);
}

Result<const Map*> map_argument(const Arguments& arguments, std::size_t index) {
  static const Map kNone;
  if (const auto* map = arguments[index].if_map()) return map;
  if (arguments[index].is_nil()) return &kNone;
  return wrong_type("map[string]interface {}", arguments[index]);
}

}  // namespace lateen::chart
