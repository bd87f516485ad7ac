// Parsing of fields, and the search for the next match by whole days.
#include "cluster/controllers/cron.h"

#include <array>
#include <string>

#include "base/strings.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kDays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr int kSearchDays = 366 * 5;

struct Range {
  std::string_view name;
  int low, high;
};

template <std::size_t N>
std::optional<int> named(const std::array<std::string_view, N>& names, std::string_view text,
                         int first) {
  for (std::size_t i = 0; i < N; ++i) {
    if (iequals(names[i], text)) return static_cast<int>(i) + first;
  }
  return std::nullopt;
}

std::optional<int> number(std::string_view text, const Range& range) {
  if (range.name == "month") {
    if (auto month = named(kMonths, text, 1)) return month;
  }
  if (range.name == "day of week") {
    if (auto day = named(kDays, text, 0)) return day;
    if (text == "7") return 0;
  }
  const auto value = parse_int(text);
  if (!value || *value < range.low || *value > range.high) return std::nullopt;
  return static_cast<int>(*value);
}

// Sets the bits of "*/5", "1-3", "mon,fri" …; true when it is a plain "*" or "?".
template <std::size_t N>
Result<bool> read_field(std::string_view text, const Range& range, std::bitset<N>& bits) {
  const auto bad = [&] {
    return invalid("cron schedule: bad " + std::string(range.name) + " \"" + std::string(text) +
                   "\"");
  };
  for (const auto part : split(text, ',')) {
    auto span = part;
    int step = 1;
    if (const auto halves = split_once(part, "/")) {
      const auto value = parse_int(halves->second);
      if (!value || *value < 1 || *value > range.high + 1) return bad();
      span = halves->first;
      step = static_cast<int>(*value);
    }
    int low = range.low, high = range.high;
    if (span != "*" && span != "?") {
      const auto ends = split_once(span, "-");
      const auto first = number(ends ? ends->first : span, range);
      const auto last = ends ? number(ends->second, range) : first;
      if (!first || !last || *last < *first) return bad();
      low = *first;
      // "5/15" means from 5 on.
      high = !ends && span.size() != part.size() ? range.high : *last;
    }
    for (int i = low; i <= high; i += step) bits.set(static_cast<std::size_t>(i));
  }
  return text == "*" || text == "?";
}

std::string_view expand(std::string_view text) {
  if (text == "@yearly" || text == "@annually") return "0 0 1 1 *";
  if (text == "@monthly") return "0 0 1 * *";
  if (text == "@weekly") return "0 0 * * 0";
  if (text == "@daily" || text == "@midnight") return "0 0 * * *";
  if (text == "@hourly") return "0 * * * *";
  return text;
}

}  // namespace

Result<CronSchedule> CronSchedule::parse(std::string_view text) {
  std::vector<std::string_view> fields;
  for (const auto field : split(expand(trim(text)), ' ')) {
    if (!field.empty()) fields.push_back(field);
  }
  if (fields.size() != 5) {
    return invalid("cron schedule \"" + std::string(text) +
                   "\" must have five fields: minute hour day month weekday");
  }
  CronSchedule out;
  TRY(read_field(fields[0], {"minute", 0, 59}, out.minutes_));
  TRY(read_field(fields[1], {"hour", 0, 23}, out.hours_));
  out.is_any_day_ = TRY(read_field(fields[2], {"day of month", 1, 31}, out.days_));
  TRY(read_field(fields[3], {"month", 1, 12}, out.months_));
  out.is_any_weekday_ = TRY(read_field(fields[4], {"day of week", 0, 6}, out.weekdays_));
  return out;
}

std::optional<WallTime> CronSchedule::next(WallTime after) const {
  using std::chrono::days;
  const auto first_minute = std::chrono::floor<minutes>(after) + minutes(1);
  auto day = std::chrono::floor<days>(first_minute);
  for (int i = 0; i < kSearchDays; ++i, day += days(1)) {
    const std::chrono::year_month_day date{day};
    const bool is_day = days_.test(static_cast<unsigned>(date.day()));
    const bool is_weekday = weekdays_.test(std::chrono::weekday(day).c_encoding());
    // Restricting both days means either, as cron always did.
    const bool is_right =
        is_any_day_ || is_any_weekday_ ? is_day && is_weekday : is_day || is_weekday;
    if (!months_.test(static_cast<unsigned>(date.month())) || !is_right) continue;
    for (int minute = 0; minute < 24 * 60; ++minute) {
      const auto at = day + minutes(minute);
      if (at < first_minute) continue;
      if (hours_.test(static_cast<std::size_t>(minute / 60)) &&
          minutes_.test(static_cast<std::size_t>(minute % 60))) {
        return WallTime(at);
      }
    }
  }
  return std::nullopt;
}

}  // namespace lateen::cluster::controllers
