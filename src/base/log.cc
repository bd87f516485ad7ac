// The one place that writes log lines.
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/log_scopes.h"

namespace lateen::log {
namespace {

// The one process-wide setting there is: where the level stands must be known before any object
// lives.
// `current_level` is the least of all, so that LOG() formats what some scope wants.
std::atomic<Level> current_level{Level::kInfo};
std::atomic<Level> level_of_others{Level::kInfo};
std::atomic<bool> has_scopes{false};
std::mutex scopes_mutex;

std::map<std::string, Level, std::less<>>& scopes() {
  static std::map<std::string, Level, std::less<>> held;
  return held;
}

bool is_wanted(Level level, std::string_view scope) {
  if (!has_scopes.load(std::memory_order_relaxed)) return true;
  const std::lock_guard lock(scopes_mutex);
  const auto found = scopes().find(scope);
  return level >= (found == scopes().end() ? level_of_others.load(std::memory_order_relaxed)
                                           : found->second);
}

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "none"};

}  // namespace

void set_level(Level level) { set_all_levels(level); }
Level level() { return current_level.load(std::memory_order_relaxed); }

void set_all_levels(Level level) {
  const std::lock_guard lock(scopes_mutex);
  scopes().clear();
  has_scopes.store(false, std::memory_order_relaxed);
  level_of_others.store(level, std::memory_order_relaxed);
  current_level.store(level, std::memory_order_relaxed);
}

void set_scope_level(const std::string& scope, Level level) {
  constexpr std::size_t kMostScopes = 1000;
  const std::lock_guard lock(scopes_mutex);
  if (scopes().size() >= kMostScopes && !scopes().contains(scope)) return;
  scopes()[scope] = level;
  Level least = level_of_others.load(std::memory_order_relaxed);
  for (const auto& [name, one] : scopes()) least = std::min(least, one);
  has_scopes.store(true, std::memory_order_relaxed);
  current_level.store(least, std::memory_order_relaxed);
}

Level default_level() { return level_of_others.load(std::memory_order_relaxed); }

std::map<std::string, Level> scope_levels() {
  const std::lock_guard lock(scopes_mutex);
  return {scopes().begin(), scopes().end()};
}

void write(Level level, std::string_view scope, std::string_view message) {
  if (!is_wanted(level, scope)) return;
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
