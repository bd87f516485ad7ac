// sprig's arithmetic. Integers are 64 bits; the …f variants are floats.
#include <cmath>

#include "base/strings.h"
#include "chart/functions.h"

namespace lateen::chart {
namespace {

using Out = Result<Value>;

constexpr std::int64_t kMostCount = 1'000'000;

// Wraps round as Go's int64 does; signed overflow is undefined in C++.
std::int64_t wrapped(std::int64_t a, std::int64_t b, char operation) {
  const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
  return static_cast<std::int64_t>(operation == '+' ? x + y : operation == '-' ? x - y : x * y);
}

template <char Operation>
Out fold(Call&, Arguments& a) {
  std::int64_t value = Operation == '*' ? 1 : 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto next = integer_or_zero(a[i]);
    value = i == 0 ? next : wrapped(value, next, Operation);
  }
  return value;
}

template <char Operation>
Out fold_real(Call&, Arguments& a) {
  double value = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double next = real_or_zero(a[i]);
    if (i == 0) value = next;
    else
      value = Operation == '+'   ? value + next
              : Operation == '-' ? value - next
              : Operation == '*' ? value * next
                                 : value / next;
  }
  return value;
}

Out divide(Call&, Arguments& a) {
  const auto x = integer_or_zero(a[0]), y = integer_or_zero(a[1]);
  if (y == 0) return invalid("integer divide by zero");
  return y == -1 ? wrapped(0, x, '-') : x / y;
}

Out modulo(Call&, Arguments& a) {
  const auto x = integer_or_zero(a[0]), y = integer_or_zero(a[1]);
  if (y == 0) return invalid("integer divide by zero");
  return y == -1 ? std::int64_t{0} : x % y;
}

template <bool IsMost>
Out extreme(Call&, Arguments& a) {
  std::int64_t value = integer_or_zero(a[0]);
  for (const Value& each : a)
    value =
        IsMost ? std::max(value, integer_or_zero(each)) : std::min(value, integer_or_zero(each));
  return value;
}

template <bool IsMost>
Out extreme_real(Call&, Arguments& a) {
  double value = real_or_zero(a[0]);
  for (const Value& each : a)
    value = IsMost ? std::max(value, real_or_zero(each)) : std::min(value, real_or_zero(each));
  return value;
}

Out round_to(Call&, Arguments& a) {
  const double scale = std::pow(10.0, static_cast<double>(integer_or_zero(a[1])));
  const double threshold = a.size() > 2 ? real_or_zero(a[2]) : 0.5;
  const double scaled = real_or_zero(a[0]) * scale;
  const double floor = std::floor(scaled);
  return (scaled - floor >= threshold ? floor + 1 : floor) / scale;
}

Out sequence(std::int64_t begin, std::int64_t end, std::int64_t step) {
  List list;
  if (step == 0) return list;
  if (std::abs(end - begin) / std::abs(step) > kMostCount)
    return invalid("a list of more than a million numbers");
  for (std::int64_t i = begin; step > 0 ? i < end : i > end; i += step) list.emplace_back(i);
  return list;
}

Out until(Call&, Arguments& a) {
  const auto end = std::clamp<std::int64_t>(integer_or_zero(a[0]), -kMostCount * 2, kMostCount * 2);
  return sequence(0, end, end < 0 ? -1 : 1);
}

Out until_step(Call&, Arguments& a) {
  const auto clamp = [](std::int64_t n) {
    return std::clamp<std::int64_t>(n, -(1LL << 40), 1LL << 40);
  };
  return sequence(clamp(integer_or_zero(a[0])), clamp(integer_or_zero(a[1])),
                  clamp(integer_or_zero(a[2])));
}

// seq: "1 2 3" as text, as the shell command.
Out seq(Call& call, Arguments& a) {
  std::int64_t begin = 1, step = 1, end = 0;
  if (a.size() == 1) end = integer_or_zero(a[0]);
  if (a.size() == 2) {
    begin = integer_or_zero(a[0]);
    end = integer_or_zero(a[1]);
  }
  if (a.size() == 3) {
    begin = integer_or_zero(a[0]);
    step = integer_or_zero(a[1]);
    end = integer_or_zero(a[2]);
  }
  if (a.size() < 3 && end < begin) step = -1;
  Arguments bounds{begin, end + (step > 0 ? 1 : -1), step};
  const Value list = TRY(until_step(call, bounds));
  std::string out;
  for (const Value& each : *list.if_list()) out += (out.empty() ? "" : " ") + to_text(each);
  return out;
}

Out atoi(Call&, Arguments& a) { return parse_int(TRY(text_argument(a, 0))).value_or(0); }

Out to_decimal(Call&, Arguments& a) {
  const std::string octal = to_text(a[0]);
  std::int64_t value = 0;
  for (const char c : octal) {
    if (c < '0' || c > '7' || value > (INT64_MAX >> 4)) return std::int64_t{0};
    value = value * 8 + (c - '0');
  }
  return value;
}

Out to_int(Call&, Arguments& a) { return integer_or_zero(a[0]); }
Out to_real(Call&, Arguments& a) { return real_or_zero(a[0]); }

constexpr Builtin kFunctions[] = {
    {"int", 1, 1, to_int},
    {"int64", 1, 1, to_int},
    {"float64", 1, 1, to_real},
    {"atoi", 1, 1, atoi},
    {"toDecimal", 1, 1, to_decimal},
    {"add", 0, -1, fold<'+'>},
    {"add1", 1, 1,
     [](Call&, Arguments& a) -> Out { return wrapped(integer_or_zero(a[0]), 1, '+'); }},
    {"sub", 2, 2, fold<'-'>},
    {"mul", 1, -1, fold<'*'>},
    {"div", 2, 2, divide},
    {"mod", 2, 2, modulo},
    {"addf", 0, -1, fold_real<'+'>},
    {"add1f", 1, 1, [](Call&, Arguments& a) -> Out { return real_or_zero(a[0]) + 1; }},
    {"subf", 1, -1, fold_real<'-'>},
    {"mulf", 1, -1, fold_real<'*'>},
    {"divf", 1, -1, fold_real<'/'>},
    {"max", 1, -1, extreme<true>},
    {"biggest", 1, -1, extreme<true>},
    {"min", 1, -1, extreme<false>},
    {"maxf", 1, -1, extreme_real<true>},
    {"minf", 1, -1, extreme_real<false>},
    {"ceil", 1, 1, [](Call&, Arguments& a) -> Out { return std::ceil(real_or_zero(a[0])); }},
    {"floor", 1, 1, [](Call&, Arguments& a) -> Out { return std::floor(real_or_zero(a[0])); }},
    {"round", 2, 3, round_to},
    {"until", 1, 1, until},
    {"untilStep", 3, 3, until_step},
    {"seq", 0, 3, seq},
};

}  // namespace

std::span<const Builtin> number_functions() { return kFunctions; }

}  // namespace lateen::chart
