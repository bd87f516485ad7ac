// The kernel's line, and this very process.
#include "metrics/process.h"

#include <gtest/gtest.h>

namespace lateen::metrics {
namespace {

TEST(ProcessMetricsTest, ReadsTheKernelsLine) {
  ProcessTimes times;
  ASSERT_TRUE(
      parse_process_stat("42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 7 0 1000 "
                         "8192000 300 18446744073709551615",
                         100, 4096, times));
  EXPECT_DOUBLE_EQ(times.cpu_seconds, 3);
  EXPECT_DOUBLE_EQ(times.start_after_boot_seconds, 10);
  EXPECT_DOUBLE_EQ(times.virtual_bytes, 8192000);
  EXPECT_DOUBLE_EQ(times.resident_bytes, 300 * 4096);
  EXPECT_EQ(times.threads, 7);
  EXPECT_FALSE(parse_process_stat("", 100, 4096, times));
  EXPECT_FALSE(parse_process_stat("42 (a) S 1", 100, 4096, times));
}

TEST(ProcessMetricsTest, TellsOfThisProcess) {
  const std::string text = process_metrics();
  for (const char* name : {"process_cpu_seconds_total ", "process_resident_memory_bytes ",
                           "process_open_fds ", "process_start_time_seconds "}) {
    EXPECT_NE(text.find(std::string("\n") + name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace lateen::metrics
