// The one place that writes log lines.
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <string>

#include "base/clock.h"

namespace lateen::log {
namespace {

// The one process-wide setting there is: where the level stands must be known before any object
// lives.
std::atomic<Level> current_level{Level::kInfo};

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "none"};

}  // namespace

void set_level(Level level) { current_level.store(level, std::memory_order_relaxed); }
Level level() { return current_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view scope, std::string_view message) {
  std::string line = format_rfc3339(SystemClock().wall(), 6);
  line += '\t';
  line += kNames[static_cast<int>(level)];
  line += '\t';
  line += scope;
  line += '\t';
  line += message;
  line += '\n';
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace lateen::log
