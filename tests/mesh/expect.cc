#include "expect.h"

#include <regex>

#include "base/strings.h"

namespace lateen::mesh_test {
namespace {

std::string text_of(const data::Json& value) {
  if (const auto* text = value.if_string()) return std::string(*text);
  return data::dump_json(value);
}

std::optional<bool> compare(std::string_view want, const std::string& got) {
  for (const std::string_view sign : {">=", "<=", ">", "<"}) {
    if (!want.starts_with(sign)) continue;
    const auto bound = parse_double(trim(want.substr(sign.size())));
    const auto value = parse_double(got);
    if (!bound) return std::nullopt;
    if (!value) return false;
    if (sign == ">=") return *value >= *bound;
    if (sign == "<=") return *value <= *bound;
    return sign == ">" ? *value > *bound : *value < *bound;
  }
  return std::nullopt;
}

}  // namespace

std::string mismatch(const data::Json& want, const std::optional<std::string>& got) {
  if (want.is_null()) return got ? "expected to be absent, is \"" + *got + "\"" : "";
  const std::string text = text_of(want);
  if (!got) return "is absent, expected \"" + text + "\"";
  bool holds = false;
  if (text.starts_with("~")) holds = std::regex_search(*got, std::regex(text.substr(1)));
  else if (const auto compared = compare(text, *got)) holds = *compared;
  else holds = *got == text;
  return holds ? "" : "is \"" + got->substr(0, 600) + "\", expected \"" + text + "\"";
}

}  // namespace lateen::mesh_test
