// std::to_chars finds the digits; where the point goes is decided here.
#include "data/number.h"

#include <charconv>
#include <cmath>

namespace lateen::data {
namespace {

std::string shortest(double number, std::chars_format format) {
  char text[400];
  const auto end = std::to_chars(text, text + sizeof text, number, format);
  return std::string(text, end.ptr);
}

bool is_between(double number, double low, double high) {
  const double size = std::abs(number);
  return size == 0 || (size >= low && size < high);
}

}  // namespace

std::string json_number(double number) {
  if (is_between(number, 1e-6, 1e21)) return shortest(number, std::chars_format::fixed);
  std::string text = shortest(number, std::chars_format::scientific);
  // 1e-09 is 1e-9 there; 1e+21 stays.
  const auto size = text.size();
  if (text[size - 4] == 'e' && text[size - 3] == '-' && text[size - 2] == '0')
    text.erase(size - 2, 1);
  return text;
}

std::string yaml_number(double number) {
  const bool is_plain = is_between(number, 1e-4, 1e21);
  return shortest(number, is_plain ? std::chars_format::fixed : std::chars_format::scientific);
}

}  // namespace lateen::data
