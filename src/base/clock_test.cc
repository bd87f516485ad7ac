#include "base/clock.h"

#include <gtest/gtest.h>

namespace lateen {

TEST(Clock, Rfc3339RoundTrips) {
  for (const char* text :
       {"2026-01-02T03:04:05Z", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z"}) {
    EXPECT_EQ(format_rfc3339(parse_rfc3339(text).value()), text);
  }
  EXPECT_EQ(format_rfc3339(parse_rfc3339("2026-01-02T03:04:05.123456789+01:00").value(), 6),
            "2026-01-02T02:04:05.123456Z");
  EXPECT_FALSE(parse_rfc3339("2026-01-02"));
  EXPECT_FALSE(parse_rfc3339("2026-13-02T03:04:05Z"));
}

TEST(Clock, DurationsAsGoWritesThem) {
  EXPECT_EQ(parse_duration("1h30m").value(), minutes(90));
  EXPECT_EQ(parse_duration("1.5s").value(), milliseconds(1500));
  EXPECT_EQ(parse_duration("100ms").value(), milliseconds(100));
  EXPECT_EQ(parse_duration("0").value(), nanoseconds(0));
  EXPECT_FALSE(parse_duration("10"));
  EXPECT_FALSE(parse_duration("s"));
  EXPECT_EQ(format_duration(seconds(90)), "1m30s");
  EXPECT_EQ(format_duration(milliseconds(1500)), "1.5s");
  EXPECT_EQ(format_duration(milliseconds(25)), "25ms");
}

TEST(Clock, HumanDuration) {
  EXPECT_EQ(human_duration(seconds(45)), "45s");
  EXPECT_EQ(human_duration(seconds(190)), "3m10s");
  EXPECT_EQ(human_duration(minutes(45)), "45m");
  EXPECT_EQ(human_duration(hours(5) + minutes(7)), "5h7m");
  EXPECT_EQ(human_duration(hours(30)), "30h");
  EXPECT_EQ(human_duration(hours(24 * 3 + 4)), "3d4h");
}

}  // namespace lateen
