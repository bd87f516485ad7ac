// Go's fmt for template values: %v layouts and Sprintf with flags, width and precision.
#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "chart/value.h"

namespace lateen::chart {
namespace {

constexpr std::size_t kMostWidth = 10'000;

// Go writes exponents with at least two digits, as C does, but "%v" switches to them at 21 digits.
std::string shortest(double number) {
  for (int digits = 1; digits <= 17; ++digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*e", digits - 1, number);
    if (std::strtod(text, nullptr) == number) return text;
  }
  return "NaN";
}

std::string plain_digits(double number) {
  for (int decimals = 0; decimals <= 30; ++decimals) {
    char text[400];
    std::snprintf(text, sizeof text, "%.*f", decimals, number);
    if (std::strtod(text, nullptr) == number) return text;
  }
  return shortest(number);
}

struct Spec {
  bool is_left = false, is_plus = false, is_sharp = false, is_space = false, is_zero = false;
  std::optional<std::size_t> width, precision;
};

std::string pad(std::string text, const Spec& spec, bool is_numeric) {
  std::size_t length = 0;  // in code points
  for (const char c : text) length += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  if (!spec.width || length >= *spec.width) return text;
  const std::size_t missing = *spec.width - length;
  if (spec.is_left) return text.append(missing, ' ');
  if (spec.is_zero && is_numeric) {
    const std::size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    return text.insert(sign, missing, '0');
  }
  return std::string(missing, ' ') + text;
}

std::string_view type_name(const Value& value) {
  if (value.if_int() != nullptr) return "int";
  if (value.if_list() != nullptr) return "[]interface {}";
  if (value.if_map() != nullptr) return "map[string]interface {}";
  return value.kind();
}

std::string mismatch(char verb, const Value& value) {
  if (value.is_nil()) return std::string("%!") + verb + "(<nil>)";
  return std::string("%!") + verb + "(" + std::string(type_name(value)) + "=" +
         format_plain(value) + ")";
}

std::string radix(std::int64_t number, unsigned base, bool is_upper) {
  const char* digits = is_upper ? "0123456789ABCDEF" : "0123456789abcdef";
  const bool is_negative = number < 0;
  auto rest =
      is_negative ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  std::string text;
  do {
    text.insert(text.begin(), digits[rest % base]);
    rest /= base;
  } while (rest != 0);
  return is_negative ? "-" + text : text;
}

void append_utf8(std::string& out, std::uint32_t point) {
  if (point < 0x80) out += static_cast<char>(point);
  else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 63));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 63));
    out += static_cast<char>(0x80 | (point & 63));
  } else {
    out += static_cast<char>(0xf0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 63));
    out += static_cast<char>(0x80 | (point >> 6 & 63));
    out += static_cast<char>(0x80 | (point & 63));
  }
}

std::string format_integer(char verb, std::int64_t number, const Spec& spec) {
  std::string text;
  switch (verb) {
    case 'd': text = std::to_string(number); break;
    case 'b': text = radix(number, 2, false); break;
    case 'o': text = (spec.is_sharp ? "0" : "") + radix(number, 8, false); break;
    case 'O': text = "0o" + radix(number, 8, false); break;
    case 'x': text = (spec.is_sharp ? "0x" : "") + radix(number, 16, false); break;
    case 'X': text = (spec.is_sharp ? "0X" : "") + radix(number, 16, true); break;
    case 'c': append_utf8(text, static_cast<std::uint32_t>(number)); break;
    case 'U': {
      std::string hex = radix(number, 16, true);
      if (hex.size() < 4) hex.insert(0, 4 - hex.size(), '0');
      text = "U+" + hex;
      break;
    }
    default: break;
  }
  if (spec.is_plus && number >= 0 && verb != 'c' && verb != 'U') text = "+" + text;
  else if (spec.is_space && number >= 0) text = " " + text;
  return pad(text, spec, verb != 'c');
}

std::string format_one(char verb, const Value& value, const Spec& spec) {
  switch (verb) {
    case 'v':
      if (spec.is_sharp && value.if_string() != nullptr)
        return pad(go_quote(*value.if_string()), spec, false);
      return pad(format_plain(value), spec, value.is_number());
    case 't':
      return value.if_bool() != nullptr ? pad(*value.if_bool() ? "true" : "false", spec, false)
                                        : mismatch(verb, value);
    case 'T': return pad(std::string(type_name(value)), spec, false);
    case 's':
    case 'q':
      if (const auto* list = value.if_list()) {
        std::string text = "[";
        for (std::size_t i = 0; i < list->size(); ++i) {
          text += (i > 0 ? " " : "") + format_one(verb, (*list)[i], {});
        }
        return pad(text + "]", spec, false);
      }
      if (const auto* text = value.if_string()) {
        std::string cut = spec.precision ? text->substr(0, *spec.precision) : *text;
        return pad(verb == 'q' ? go_quote(cut) : cut, spec, false);
      }
      if (value.if_map() != nullptr) return pad(format_plain(value), spec, false);
      return mismatch(verb, value);
    case 'd':
    case 'b':
    case 'o':
    case 'O':
    case 'x':
    case 'X':
    case 'c':
    case 'U':
      if (const auto* number = value.if_int()) return format_integer(verb, *number, spec);
      // Numbers of values files may arrive as whole floats; Helm prints them as integers.
      if (const auto* number = value.if_double();
          number != nullptr && *number == std::floor(*number) && std::abs(*number) < 9e15) {
        return format_integer(verb, static_cast<std::int64_t>(*number), spec);
      }
      if (const auto* text = value.if_string(); text != nullptr && (verb == 'x' || verb == 'X')) {
        return pad(hex_encode(*text), spec, false);
      }
      return mismatch(verb, value);
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G': {
      if (!value.is_number()) return mismatch(verb, value);
      const double number =
          value.if_int() != nullptr ? static_cast<double>(*value.if_int()) : *value.if_double();
      const int precision = spec.precision                 ? static_cast<int>(*spec.precision)
                            : (verb == 'g' || verb == 'G') ? -1
                                                           : 6;
      std::string text = format_float(number, verb, precision);
      if (spec.is_plus && number >= 0) text = "+" + text;
      return pad(text, spec, true);
    }
    default: return mismatch(verb, value);
  }
}

class Printf {
 public:
  Printf(std::string_view format, const std::vector<Value>& arguments)
      : format_(format), arguments_(arguments) {}

  std::string run() {
    while (at_ < format_.size()) {
      const char c = format_[at_++];
      if (c != '%') out_ += c;
      else directive();
    }
    if (next_ < arguments_.size() && !is_reordered_) extra();
    return std::move(out_);
  }

 private:
  void directive() {
    Spec spec;
    for (; at_ < format_.size(); ++at_) {
      const char c = format_[at_];
      if (c == '-') spec.is_left = true;
      else if (c == '+') spec.is_plus = true;
      else if (c == '#') spec.is_sharp = true;
      else if (c == ' ') spec.is_space = true;
      else if (c == '0') spec.is_zero = true;
      else break;
    }
    argument_index();
    spec.width = number();
    if (at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      spec.precision = number().value_or(0);
    }
    argument_index();
    if (at_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    const char verb = format_[at_++];
    if (verb == '%') {
      out_ += '%';
      return;
    }
    if (next_ >= arguments_.size()) {
      out_ += std::string("%!") + verb + "(MISSING)";
      return;
    }
    out_ += format_one(verb, arguments_[next_++], spec);
  }

  void argument_index() {
    if (at_ >= format_.size() || format_[at_] != '[') return;
    const auto end = format_.find(']', at_);
    if (end == std::string_view::npos) return;
    if (const auto index = parse_uint(format_.substr(at_ + 1, end - at_ - 1));
        index && *index > 0) {
      next_ = *index - 1;
      is_reordered_ = true;
    }
    at_ = end + 1;
  }

  std::optional<std::size_t> number() {
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      const auto* given = next_ < arguments_.size() ? arguments_[next_++].if_int() : nullptr;
      if (given == nullptr || *given < 0) return std::nullopt;
      return std::min<std::size_t>(static_cast<std::size_t>(*given), kMostWidth);
    }
    std::size_t value = 0;
    const std::size_t begin = at_;
    while (at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9') {
      value = std::min(value * 10 + static_cast<std::size_t>(format_[at_++] - '0'), kMostWidth);
    }
    if (at_ == begin) return std::nullopt;
    return value;
  }

  void extra() {
    out_ += "%!(EXTRA ";
    for (std::size_t i = next_; i < arguments_.size(); ++i) {
      if (i > next_) out_ += ", ";
      const Value& value = arguments_[i];
      out_ += value.is_nil() ? "<nil>" : std::string(type_name(value)) + "=" + format_plain(value);
    }
    out_ += ")";
  }

  std::string_view format_;
  const std::vector<Value>& arguments_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
  bool is_reordered_ = false;
  std::string out_;
};

}  // namespace

std::string format_float(double number, char verb, int precision) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
  if ((verb == 'g' || verb == 'G') && precision < 0) {
    const std::string scientific = shortest(number);
    const int exponent =
        static_cast<int>(std::strtol(scientific.c_str() + scientific.find('e') + 1, nullptr, 10));
    if (number == 0 || (exponent >= -4 && exponent < 21)) return plain_digits(number);
    return scientific;
  }
  if (precision < 0) return verb == 'f' ? plain_digits(number) : shortest(number);
  const std::string format = std::string("%.*") + verb;
  char text[512];
  std::snprintf(text, sizeof text, format.c_str(), std::min(precision, 100), number);
  return text;
}

std::string go_quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      case '\a': out += "\\a"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\v': out += "\\v"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\x%02x",
                        static_cast<unsigned>(static_cast<unsigned char>(c)));
          out += escape;
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string format_plain(const Value& value, int depth) {
  if (depth > data::kMaxJsonDepth) return "...";
  if (const auto* flag = value.if_bool()) return *flag ? "true" : "false";
  if (const auto* number = value.if_int()) return std::to_string(*number);
  if (const auto* number = value.if_double()) return format_float(*number);
  if (const auto* text = value.if_string()) return *text;
  if (const auto* list = value.if_list()) {
    std::string out = "[";
    for (std::size_t i = 0; i < list->size(); ++i) {
      out += (i > 0 ? " " : "") + format_plain((*list)[i], depth + 1);
    }
    return out + "]";
  }
  if (const auto* map = value.if_map()) {
    std::string out = "map[";
    bool is_first = true;
    for (const auto& [key, item] : *map) {
      out += (is_first ? "" : " ") + key + ":" + format_plain(item, depth + 1);
      is_first = false;
    }
    return out + "]";
  }
  return "<nil>";
}

std::string format_printf(std::string_view format, const std::vector<Value>& arguments) {
  return Printf(format, arguments).run();
}

}  // namespace lateen::chart
