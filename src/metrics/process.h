// What Prometheus' client libraries tell of their own process (process_*), read from /proc/self.
#pragma once

#include <string>
#include <string_view>

namespace lateen::metrics {

// In the text format: CPU seconds, resident and virtual bytes, open descriptors, start time,
// threads. A part that cannot be read is left out.
std::string process_metrics();

// The parts as numbers; pure, for tests. `stat` is /proc/PID/stat, whose second field may hold
// spaces and ')'.
struct ProcessTimes {
  double cpu_seconds = 0;
  double start_after_boot_seconds = 0;
  double virtual_bytes = 0;
  double resident_bytes = 0;
  long threads = 0;
};
bool parse_process_stat(std::string_view stat, long ticks_per_second, long page_bytes,
                        ProcessTimes& out);

}  // namespace lateen::metrics
