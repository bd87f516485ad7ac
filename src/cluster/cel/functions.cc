// Looking functions up, arithmetic, conversions, sizes, times.
#include "cluster/cel/functions.h"

#include <fmt/format.h>

#include <cmath>
#include <ctime>
#include <limits>

#include "base/strings.h"
#include "cluster/cel/evaluate.h"

namespace lateen::cluster::cel {
namespace {

using Args = std::span<const Value>;
using Kind = Shape::Kind;

std::int64_t runes(std::string_view text) {
  std::int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

Result<Value> size(Args args, const Expr&, Budget&) {
  if (const auto* text = args[0].get<std::string>()) return Value(runes(*text));
  if (const auto* bytes = args[0].get<Bytes>())
    return Value(static_cast<std::int64_t>(bytes->text.size()));
  if (!args[0].is_list() && !args[0].is_map())
    return no_overload(fmt::format("size({})", args[0].type_name()));
  return Value(static_cast<std::int64_t>(args[0].size()));
}

Result<Value> to_int(Args args, const Expr&, Budget&) {
  const Value& from = args[0];
  if (from.get<std::int64_t>() != nullptr) return from;
  if (const auto* number = from.get<std::uint64_t>()) {
    if (*number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return invalid("integer overflow");
    return Value(static_cast<std::int64_t>(*number));
  }
  if (const auto* number = from.get<double>()) {
    if (!(*number > -9.2e18 && *number < 9.2e18)) return invalid("integer overflow");
    return Value(static_cast<std::int64_t>(*number));
  }
  if (const auto* text = from.get<std::string>()) {
    if (const auto number = parse_int(*text)) return Value(*number);
    return invalid(fmt::format("type conversion error from 'string' to 'int': \"{}\"", *text));
  }
  if (const auto* time = from.get<WallTime>()) {
    return Value(
        static_cast<std::int64_t>(std::chrono::floor<seconds>(time->time_since_epoch()).count()));
  }
  return no_overload(fmt::format("int({})", from.type_name()));
}

Result<Value> to_uint(Args args, const Expr&, Budget&) {
  const Value& from = args[0];
  if (from.get<std::uint64_t>() != nullptr) return from;
  if (const auto* number = from.get<std::int64_t>()) {
    if (*number < 0) return invalid("unsigned integer overflow");
    return Value(static_cast<std::uint64_t>(*number));
  }
  if (const auto* number = from.get<double>()) {
    if (!(*number >= 0 && *number < 1.8e19)) return invalid("unsigned integer overflow");
    return Value(static_cast<std::uint64_t>(*number));
  }
  const auto* text = from.get<std::string>();
  if (text == nullptr) return no_overload(fmt::format("uint({})", from.type_name()));
  if (const auto number = parse_uint(*text)) return Value(*number);
  return invalid(fmt::format("type conversion error from 'string' to 'uint': \"{}\"", *text));
}

Result<Value> to_double(Args args, const Expr&, Budget&) {
  const Value& from = args[0];
  if (from.get<double>() != nullptr) return from;
  if (const auto* number = from.get<std::int64_t>()) return Value(static_cast<double>(*number));
  if (const auto* number = from.get<std::uint64_t>()) return Value(static_cast<double>(*number));
  const auto* text = from.get<std::string>();
  if (text == nullptr) return no_overload(fmt::format("double({})", from.type_name()));
  if (const auto number = parse_double(*text)) return Value(*number);
  return invalid(fmt::format("type conversion error from 'string' to 'double': \"{}\"", *text));
}

Result<Value> to_string(Args args, const Expr&, Budget&) {
  if (args[0].is_list() || args[0].is_map())
    return no_overload(fmt::format("string({})", args[0].type_name()));
  return Value(args[0].to_text());
}

Result<Value> to_bytes(Args args, const Expr&, Budget&) {
  if (const auto* text = args[0].get<std::string>()) return Value(Bytes{*text});
  if (args[0].get<Bytes>() != nullptr) return args[0];
  return no_overload(fmt::format("bytes({})", args[0].type_name()));
}

Result<Value> to_bool(Args args, const Expr&, Budget&) {
  if (args[0].get<bool>() != nullptr) return args[0];
  const auto* text = args[0].get<std::string>();
  if (text == nullptr) return no_overload(fmt::format("bool({})", args[0].type_name()));
  for (std::string_view yes : {"1", "t", "true", "TRUE", "True", "T"})
    if (*text == yes) return Value(true);
  for (std::string_view no : {"0", "f", "false", "FALSE", "False", "F"})
    if (*text == no) return Value(false);
  return invalid(fmt::format("type conversion error from 'string' to 'bool': \"{}\"", *text));
}

Result<Value> to_duration(Args args, const Expr&, Budget&) {
  if (args[0].get<nanoseconds>() != nullptr) return args[0];
  const auto* text = args[0].get<std::string>();
  if (text == nullptr) return no_overload(fmt::format("duration({})", args[0].type_name()));
  const bool is_negative = text->starts_with('-');
  auto parsed = parse_duration(std::string_view(*text).substr(is_negative ? 1 : 0));
  if (!parsed.ok())
    return invalid(fmt::format(
        "type conversion error from 'string' to 'google.protobuf.Duration': \"{}\"", *text));
  return Value(is_negative ? -*parsed : *parsed);
}

Result<Value> to_timestamp(Args args, const Expr&, Budget&) {
  if (args[0].get<WallTime>() != nullptr) return args[0];
  if (const auto* number = args[0].get<std::int64_t>()) {
    if (*number > 9'000'000'000 || *number < -9'000'000'000) return invalid("timestamp overflow");
    return Value(WallTime(seconds(*number)));
  }
  const auto* text = args[0].get<std::string>();
  if (text == nullptr) return no_overload(fmt::format("timestamp({})", args[0].type_name()));
  auto parsed = parse_rfc3339(*text);
  if (!parsed.ok())
    return invalid(fmt::format(
        "type conversion error from 'string' to 'google.protobuf.Timestamp': \"{}\"", *text));
  return Value(*parsed);
}

Result<Value> type_of(Args args, const Expr&, Budget&) {
  return Value(TypeName{args[0].type_name()});
}
Result<Value> dynamic(Args args, const Expr&, Budget&) { return args[0]; }

// Parts of a time, in UTC or in a zone given as "+02:00"; of a duration: the whole in that unit.
Result<Value> time_part(Args args, const Expr& call, Budget&) {
  const std::string_view name = call.function->name;
  if (const auto* duration = args[0].get<nanoseconds>()) {
    if (name == "getHours")
      return Value(static_cast<std::int64_t>(std::chrono::duration_cast<hours>(*duration).count()));
    if (name == "getMinutes")
      return Value(
          static_cast<std::int64_t>(std::chrono::duration_cast<minutes>(*duration).count()));
    if (name == "getSeconds")
      return Value(
          static_cast<std::int64_t>(std::chrono::duration_cast<seconds>(*duration).count()));
    if (name == "getMilliseconds") {
      return Value(static_cast<std::int64_t>(
          std::chrono::duration_cast<milliseconds>(*duration % seconds(1)).count()));
    }
    return no_overload(fmt::format("duration.{}()", name));
  }
  const auto* time = args[0].get<WallTime>();
  if (time == nullptr) return no_overload(fmt::format("{}.{}()", args[0].type_name(), name));
  minutes zone(0);
  if (args.size() > 1) {
    const std::string text = args[1].to_text();
    const bool has_sign = text.starts_with('-') || text.starts_with('+');
    const auto parts = split_once(std::string_view(text).substr(has_sign ? 1 : 0), ":");
    if (parts && parse_uint(parts->first) && parse_uint(parts->second)) {
      zone = hours(*parse_int(parts->first)) + minutes(*parse_int(parts->second));
      if (text.starts_with('-')) zone = -zone;
    } else if (text != "UTC" && text != "GMT") {
      return invalid(fmt::format("unknown time zone {}: only UTC and offsets are known", text));
    }
  }
  const auto local = std::chrono::floor<seconds>(*time + zone);
  const std::time_t stamp = local.time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&stamp, &parts);
  std::int64_t value = 0;
  if (name == "getFullYear") value = parts.tm_year + 1900;
  else if (name == "getMonth") value = parts.tm_mon;
  else if (name == "getDate") value = parts.tm_mday;
  else if (name == "getDayOfMonth") value = parts.tm_mday - 1;
  else if (name == "getDayOfWeek") value = parts.tm_wday;
  else if (name == "getDayOfYear") value = parts.tm_yday;
  else if (name == "getHours") value = parts.tm_hour;
  else if (name == "getMinutes") value = parts.tm_min;
  else if (name == "getSeconds") value = parts.tm_sec;
  else value = std::chrono::duration_cast<milliseconds>(*time + zone - local).count();
  return Value(value);
}

constexpr FunctionEntry kBasic[] = {
    {"size", false, 1, 1, size, Kind::kInt},
    {"size", true, 0, 0, size, Kind::kInt},
    {"int", false, 1, 1, to_int, Kind::kInt},
    {"uint", false, 1, 1, to_uint},
    {"double", false, 1, 1, to_double},
    {"string", false, 1, 1, to_string, Kind::kString},
    {"bytes", false, 1, 1, to_bytes},
    {"bool", false, 1, 1, to_bool, Kind::kBool},
    {"duration", false, 1, 1, to_duration},
    {"timestamp", false, 1, 1, to_timestamp},
    {"type", false, 1, 1, type_of},
    {"dyn", false, 1, 1, dynamic},
    {"getFullYear", true, 0, 1, time_part, Kind::kInt},
    {"getMonth", true, 0, 1, time_part, Kind::kInt},
    {"getDate", true, 0, 1, time_part, Kind::kInt},
    {"getDayOfMonth", true, 0, 1, time_part, Kind::kInt},
    {"getDayOfWeek", true, 0, 1, time_part, Kind::kInt},
    {"getDayOfYear", true, 0, 1, time_part, Kind::kInt},
    {"getHours", true, 0, 1, time_part, Kind::kInt},
    {"getMinutes", true, 0, 1, time_part, Kind::kInt},
    {"getSeconds", true, 0, 1, time_part, Kind::kInt},
    {"getMilliseconds", true, 0, 1, time_part, Kind::kInt},
};

Result<Value> integers(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t made = 0;
  bool is_over = false;
  if (op == "+") is_over = __builtin_add_overflow(a, b, &made);
  if (op == "-") is_over = __builtin_sub_overflow(a, b, &made);
  if (op == "*") is_over = __builtin_mul_overflow(a, b, &made);
  if (op == "/" || op == "%") {
    if (b == 0) return invalid(op == "/" ? "division by zero" : "modulus by zero");
    is_over = a == std::numeric_limits<std::int64_t>::min() && b == -1;
    if (!is_over) made = op == "/" ? a / b : a % b;
  }
  if (is_over) return invalid("integer overflow");
  return Value(made);
}

Result<Value> unsigned_integers(std::string_view op, std::uint64_t a, std::uint64_t b) {
  std::uint64_t made = 0;
  bool is_over = false;
  if (op == "+") is_over = __builtin_add_overflow(a, b, &made);
  if (op == "-") is_over = __builtin_sub_overflow(a, b, &made);
  if (op == "*") is_over = __builtin_mul_overflow(a, b, &made);
  if (op == "/" || op == "%") {
    if (b == 0) return invalid(op == "/" ? "division by zero" : "modulus by zero");
    made = op == "/" ? a / b : a % b;
  }
  if (is_over) return invalid("unsigned integer overflow");
  return Value(made);
}

// Two lists joined: those of type set and map as their kind has it, all others end to end.
Value joined(const Value& a, const Value& b) {
  const auto* view = a.get<JsonView>();
  const Shape* shape = view != nullptr ? view->shape : nullptr;
  List made;
  for (std::size_t i = 0; i < a.size(); ++i) made.push_back(a.at(i));
  const auto is_same = [&](const Value& one, const Value& other) {
    if (shape->list_keys.empty()) return equal(one, other);
    for (const auto& key : shape->list_keys) {
      const auto left = one.find(Value(key));
      const auto right = other.find(Value(key));
      if (left.has_value() != right.has_value() || (left && !equal(*left, *right))) return false;
    }
    return true;
  };
  for (std::size_t i = 0; i < b.size(); ++i) {
    Value item = b.at(i);
    bool is_placed = false;
    if (shape != nullptr && shape->is_unordered) {
      for (auto& known : made) {
        if (!is_same(known, item)) continue;
        known = item;
        is_placed = true;
        break;
      }
    }
    if (!is_placed) made.push_back(std::move(item));
  }
  return Value::list(std::move(made));
}

bool is_near(WallTime time) {
  return time.time_since_epoch() < hours(24 * 365 * 250) &&
         time.time_since_epoch() > -hours(24 * 365 * 250);
}

}  // namespace

Result<Value> arithmetic(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  const auto* i = a.get<std::int64_t>();
  const auto* j = b.get<std::int64_t>();
  if (i != nullptr && j != nullptr) return integers(op, *i, *j);
  const auto* u = a.get<std::uint64_t>();
  const auto* v = b.get<std::uint64_t>();
  if (u != nullptr && v != nullptr) return unsigned_integers(op, *u, *v);
  const auto* x = a.get<double>();
  const auto* y = b.get<double>();
  if (x != nullptr && y != nullptr && op != "%") {
    return Value(op == "+" ? *x + *y : op == "-" ? *x - *y : op == "*" ? *x * *y : *x / *y);
  }
  const auto* time = a.get<WallTime>();
  const auto* duration = a.get<nanoseconds>();
  const auto* other = b.get<nanoseconds>();
  if (duration != nullptr && other != nullptr && (op == "+" || op == "-")) {
    const auto sum = TRY(integers(op, duration->count(), other->count()));
    return Value(nanoseconds(*sum.get<std::int64_t>()));
  }
  if (time != nullptr && other != nullptr && (op == "+" || op == "-")) {
    if (!is_near(*time)) return invalid("timestamp overflow");
    const auto sum = TRY(integers(op, time->time_since_epoch().count(), other->count()));
    return Value(WallTime(nanoseconds(*sum.get<std::int64_t>())));
  }
  if (duration != nullptr && b.get<WallTime>() != nullptr && op == "+")
    return arithmetic(op, b, a, budget);
  if (time != nullptr && b.get<WallTime>() != nullptr && op == "-") {
    if (!is_near(*time) || !is_near(*b.get<WallTime>())) return invalid("timestamp overflow");
    return Value(nanoseconds(*time - *b.get<WallTime>()));
  }
  if (op == "+") {
    if (!budget.spend((a.weight() + b.weight()) / 10)) return Budget::exceeded();
    const auto* text = a.get<std::string>();
    if (text != nullptr && b.get<std::string>() != nullptr)
      return Value(*text + *b.get<std::string>());
    const auto* bytes = a.get<Bytes>();
    if (bytes != nullptr && b.get<Bytes>() != nullptr)
      return Value(Bytes{bytes->text + b.get<Bytes>()->text});
    if (a.is_list() && b.is_list()) {
      const bool has_search = a.get<JsonView>() != nullptr;
      if (!budget.spend(has_search ? a.size() * b.size() : a.size() + b.size()))
        return Budget::exceeded();
      return joined(a, b);
    }
  }
  return no_overload(fmt::format("{} {} {}", a.type_name(), op, b.type_name()));
}

const FunctionEntry* find_function(std::string_view name, bool is_method, std::size_t args) {
  for (const auto table : {basic_functions(), text_functions(), library_functions()}) {
    for (const auto& entry : table) {
      if (entry.name == name && entry.is_method == is_method && entry.least_args <= args &&
          args <= entry.most_args)
        return &entry;
    }
  }
  return nullptr;
}

bool is_function_name(std::string_view name, bool is_method) {
  for (const auto table : {basic_functions(), text_functions(), library_functions()}) {
    for (const auto& entry : table) {
      if (entry.name == name && entry.is_method == is_method) return true;
    }
  }
  return false;
}

std::span<const FunctionEntry> basic_functions() { return kBasic; }

}  // namespace lateen::cluster::cel
