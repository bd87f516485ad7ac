// Cron expressions as CronJobs use them: five fields, names, ranges, steps, @hourly and friends.
// UTC.
#pragma once

#include <bitset>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace lateen::cluster::controllers {

class CronSchedule {
 public:
  // The error names the field.
  static Result<CronSchedule> parse(std::string_view text);
  // The first match after `after`; nullopt when there is none within five years ("0 0 31 2 *").
  std::optional<WallTime> next(WallTime after) const;

 private:
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;     // 1..31
  std::bitset<13> months_;   // 1..12
  std::bitset<7> weekdays_;  // 0 is Sunday
  bool is_any_day_ = false;
  bool is_any_weekday_ = false;
};

}  // namespace lateen::cluster::controllers
