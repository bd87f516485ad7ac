// Parsing and printing of quantities on 128-bit nano units.
#include "kube/quantity.h"

#include <array>

namespace lateen::kube {
namespace {

// Beyond this everything is capped, as upstream caps at 2^63-1.
constexpr __int128 kMaxNanos = static_cast<__int128>(INT64_MAX) * 1'000'000'000;

constexpr std::array<std::string_view, 6> kBinary = {"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
constexpr std::array<std::string_view, 10> kDecimal = {"n", "u", "m", "",  "k",
                                                       "M", "G", "T", "P", "E"};

Error bad(std::string_view text) {
  return invalid("quantity \"" + std::string(text) +
                 "\": quantities must match the regular expression "
                 "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

std::string digits(__int128 number) {
  if (number == 0) return "0";
  std::string out;
  for (; number > 0; number /= 10)
    out.insert(out.begin(), static_cast<char>('0' + static_cast<int>(number % 10)));
  return out;
}

// value * 10^power, rounded up, capped.
__int128 scale(__int128 value, int power) {
  for (; power > 0; --power) {
    if (value > kMaxNanos) return kMaxNanos;
    value *= 10;
  }
  bool is_inexact = false;
  for (; power < 0; ++power) {
    is_inexact = is_inexact || value % 10 != 0;
    value /= 10;
  }
  return value + (is_inexact ? 1 : 0);
}

}  // namespace

Result<Quantity> Quantity::parse(std::string_view text) {
  std::string_view rest = text;
  const bool is_negative = rest.starts_with('-');
  if (is_negative || rest.starts_with('+')) rest.remove_prefix(1);
  __int128 mantissa = 0;
  int fraction_digits = 0, count = 0;
  bool has_point = false;
  while (!rest.empty() && ((rest[0] >= '0' && rest[0] <= '9') || rest[0] == '.')) {
    if (rest[0] == '.') {
      if (has_point) return bad(text);
      has_point = true;
    } else {
      ++count;
      if (mantissa < kMaxNanos) {
        mantissa = mantissa * 10 + (rest[0] - '0');
        if (has_point) ++fraction_digits;
      } else if (!has_point) {
        --fraction_digits;
      }
    }
    rest.remove_prefix(1);
  }
  if (count == 0 || count > 200) return bad(text);

  int power = 9 - fraction_digits;
  Form form = Form::kDecimal;
  __int128 nanos = 0;
  for (std::size_t i = 0; i < kBinary.size(); ++i) {
    if (rest != kBinary[i]) continue;
    const __int128 unit = static_cast<__int128>(1) << (10 * (i + 1));
    if (mantissa > kMaxNanos / unit) nanos = kMaxNanos;
    else nanos = scale(mantissa * unit, power);
    if (nanos > kMaxNanos) nanos = kMaxNanos;
    return Quantity(is_negative ? -nanos : nanos, Form::kBinary);
  }
  bool is_known = false;
  for (std::size_t i = 0; i < kDecimal.size() && !is_known; ++i) {
    if (rest != kDecimal[i]) continue;
    is_known = true;
    power += 3 * (static_cast<int>(i) - 3);
  }
  if (!is_known) {
    if (rest.size() < 2 || (rest[0] != 'e' && rest[0] != 'E')) return bad(text);
    rest.remove_prefix(1);
    const bool is_small = rest.starts_with('-');
    if (is_small || rest.starts_with('+')) rest.remove_prefix(1);
    int exponent = 0;
    if (rest.empty() || rest.size() > 3) return bad(text);
    for (const char c : rest) {
      if (c < '0' || c > '9') return bad(text);
      exponent = exponent * 10 + (c - '0');
    }
    power += is_small ? -exponent : exponent;
    form = Form::kExponent;
  }
  nanos = scale(mantissa, power);
  if (nanos > kMaxNanos) nanos = kMaxNanos;
  return Quantity(is_negative ? -nanos : nanos, form);
}

std::int64_t Quantity::value() const {
  const __int128 whole = nanos_ / kNano;
  return static_cast<std::int64_t>(nanos_ % kNano > 0 ? whole + 1 : whole);
}

std::int64_t Quantity::milli_value() const {
  constexpr __int128 kStep = kNano / 1000;
  const __int128 whole = nanos_ / kStep;
  if (whole > INT64_MAX) return INT64_MAX;
  return static_cast<std::int64_t>(nanos_ % kStep > 0 ? whole + 1 : whole);
}

std::string Quantity::to_string() const {
  if (nanos_ == 0) return "0";
  const std::string sign = nanos_ < 0 ? "-" : "";
  const __int128 size = nanos_ < 0 ? -nanos_ : nanos_;
  // Binary forms below one unit of 1Ki or with a fraction print as decimals.
  if (form_ == Form::kBinary && size % kNano == 0 && size / kNano >= 1024) {
    __int128 units = size / kNano;
    std::size_t suffix = 0;
    std::string_view name;
    while (suffix < kBinary.size() && units % 1024 == 0) {
      units /= 1024;
      name = kBinary[suffix++];
    }
    return sign + digits(units) + std::string(name);
  }
  __int128 units = size;
  std::size_t suffix = 0;
  while (suffix + 1 < kDecimal.size() && units % 1000 == 0) {
    units /= 1000;
    ++suffix;
  }
  if (form_ == Form::kExponent && suffix != 3) {
    return sign + digits(units) + "e" + std::to_string((static_cast<int>(suffix) - 3) * 3);
  }
  return sign + digits(units) + std::string(kDecimal[suffix]);
}

Quantity& Quantity::operator+=(const Quantity& other) {
  if (nanos_ == 0) form_ = other.form_;
  nanos_ += other.nanos_;
  if (nanos_ > kMaxNanos) nanos_ = kMaxNanos;
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  nanos_ -= other.nanos_;
  if (nanos_ < -kMaxNanos) nanos_ = -kMaxNanos;
  return *this;
}

}  // namespace lateen::kube
