// Clock sources and the three textual forms of time.
#include "base/clock.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace lateen {

SteadyTime SystemClock::steady() const { return std::chrono::steady_clock::now(); }
WallTime SystemClock::wall() const {
  return std::chrono::time_point_cast<nanoseconds>(std::chrono::system_clock::now());
}

// By hand: every line of an access log has one, and printf takes a microsecond for it.
std::string format_rfc3339(WallTime time, int digits) {
  const auto whole = std::chrono::floor<seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(whole);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(whole - day);
  char text[40];
  char* end = text;
  const auto number = [&end](std::int64_t value, int width) {
    for (int i = width - 1; i >= 0; --i, value /= 10) end[i] = static_cast<char>('0' + value % 10);
    end += width;
  };
  number(std::clamp(static_cast<int>(date.year()), 0, 9999), 4);
  *end++ = '-';
  number(static_cast<unsigned>(date.month()), 2);
  *end++ = '-';
  number(static_cast<unsigned>(date.day()), 2);
  *end++ = 'T';
  number(clock.hours().count(), 2);
  *end++ = ':';
  number(clock.minutes().count(), 2);
  *end++ = ':';
  number(clock.seconds().count(), 2);
  if (digits > 0) {
    *end++ = '.';
    number((time - whole).count(), 9);
    end -= 9 - std::min(digits, 9);
  }
  *end++ = 'Z';
  return {text, end};
}

namespace {

// Reads exactly `count` digits at `at`; -1 when they are not there.
int digits_at(std::string_view text, std::size_t at, int count) {
  if (at + count > text.size()) return -1;
  int value = 0;
  for (int i = 0; i < count; ++i) {
    const char c = text[at + i];
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

Result<WallTime> parse_rfc3339(std::string_view text) {
  const Error bad = invalid("\"" + std::string(text) + "\" is not an RFC 3339 time");
  const int year = digits_at(text, 0, 4), month = digits_at(text, 5, 2),
            day = digits_at(text, 8, 2);
  const int hour = digits_at(text, 11, 2), minute = digits_at(text, 14, 2),
            second = digits_at(text, 17, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 60 || text.size() < 20) {
    return bad;
  }
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
      text[16] != ':') {
    return bad;
  }
  std::size_t at = 19;
  std::int64_t fraction = 0;
  if (text[at] == '.') {
    std::int64_t scale = 100'000'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) {
      fraction += scale * (text[at] - '0');
    }
  }
  if (at >= text.size()) return bad;
  int offset_minutes = 0;
  if (text[at] == '+' || text[at] == '-') {
    const int h = digits_at(text, at + 1, 2), m = digits_at(text, at + 4, 2);
    if (h < 0 || m < 0 || at + 6 != text.size()) return bad;
    offset_minutes = (text[at] == '-' ? -1 : 1) * (h * 60 + m);
  } else if ((text[at] != 'Z' && text[at] != 'z') || at + 1 != text.size()) {
    return bad;
  }
  std::tm parts{};
  parts.tm_year = year - 1900;
  parts.tm_mon = month - 1;
  parts.tm_mday = day;
  parts.tm_hour = hour;
  parts.tm_min = minute;
  parts.tm_sec = second;
  const std::int64_t unix_seconds = timegm(&parts) - offset_minutes * 60;
  return WallTime(seconds(unix_seconds) + nanoseconds(fraction));
}

Result<nanoseconds> parse_duration(std::string_view text) {
  const Error bad = invalid("\"" + std::string(text) + "\" is not a duration such as 10s or 1h30m");
  std::string_view rest = text;
  bool is_negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    is_negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return nanoseconds(0);
  if (rest.empty()) return bad;
  double total = 0;
  while (!rest.empty()) {
    std::size_t length = 0;
    double value = 0, scale = 0;
    for (; length < rest.size() &&
           ((rest[length] >= '0' && rest[length] <= '9') || rest[length] == '.');
         ++length) {
      if (rest[length] == '.') {
        if (scale != 0) return bad;
        scale = 1;
      } else if (scale == 0) {
        value = value * 10 + (rest[length] - '0');
      } else {
        scale /= 10;
        value += scale * (rest[length] - '0');
      }
    }
    if (length == 0) return bad;
    rest.remove_prefix(length);
    static constexpr std::pair<std::string_view, double> kUnits[] = {
        {"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    bool is_known = false;
    for (const auto& [unit, factor] : kUnits) {
      if (!rest.starts_with(unit)) continue;
      if (unit == "m" && rest.starts_with("ms")) continue;
      total += value * factor;
      rest.remove_prefix(unit.size());
      is_known = true;
      break;
    }
    if (!is_known) return bad;
  }
  if (total > 9.2e18) return bad;
  const auto count = static_cast<std::int64_t>(std::llround(total));
  return nanoseconds(is_negative ? -count : count);
}

std::string format_duration(nanoseconds duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  std::string out = left < 0 ? "-" : "";
  if (left < 0) left = -left;
  if (left < 1'000'000'000) {
    char text[32];
    const char* unit = left < 1'000 ? "ns" : left < 1'000'000 ? "us" : "ms";
    const double value = left < 1'000 ? left : left < 1'000'000 ? left / 1e3 : left / 1e6;
    std::snprintf(text, sizeof text, "%.6g%s", value, unit);
    return out + text;
  }
  const std::int64_t h = left / 3'600'000'000'000, m = left / 60'000'000'000 % 60;
  const double s = (left % 60'000'000'000) / 1e9;
  if (h > 0) out += std::to_string(h) + "h";
  if (h > 0 || m > 0) out += std::to_string(m) + "m";
  char text[32];
  std::snprintf(text, sizeof text, "%.11gs", s);
  return out + text;
}

std::string human_duration(nanoseconds duration) {
  const std::int64_t s = duration.count() / 1'000'000'000;
  const auto two = [](std::int64_t a, const char* ua, std::int64_t b, const char* ub) {
    return std::to_string(a) + ua + (b != 0 ? std::to_string(b) + ub : "");
  };
  if (s < 0) return s < -1 ? "<invalid>" : "0s";
  if (s < 120) return std::to_string(s) + "s";
  const std::int64_t m = s / 60;
  if (m < 10) return two(m, "m", s % 60, "s");
  if (m < 180) return std::to_string(m) + "m";
  const std::int64_t h = m / 60;
  if (h < 8) return two(h, "h", m % 60, "m");
  if (h < 48) return std::to_string(h) + "h";
  const std::int64_t d = h / 24;
  if (d < 8) return two(d, "d", h % 24, "h");
  if (d < 365 * 2) return std::to_string(d) + "d";
  const std::int64_t y = d / 365;
  if (y < 8) return two(y, "y", d % 365, "d");
  return std::to_string(y) + "y";
}

}  // namespace lateen
