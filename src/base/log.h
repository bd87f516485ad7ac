// Log lines for a person at three in the morning, on stderr, in istiod's layout:
//   2026-01-02T03:04:05.123456Z  info  lds  listener 0.0.0.0_8080 bound
// Thread-safe; one write(2) a line. Never log secrets: keys, tokens, Secret data.
#pragma once

#include <fmt/core.h>

#include <string_view>

namespace lateen::log {

enum class Level : unsigned char { kDebug, kInfo, kWarn, kError, kNone };

// Lines below `level` are dropped. Process-wide; set by bin/ from flags, by admin endpoints later.
void set_level(Level level);
Level level();
void write(Level level, std::string_view scope, std::string_view message);

}  // namespace lateen::log

// LOG(kInfo, "apiserver", "listening on {}", address): the arguments are not formatted below the
// level.
#define LOG(level_, scope_, ...)                                                            \
  do {                                                                                      \
    if (::lateen::log::Level::level_ >= ::lateen::log::level())                             \
      ::lateen::log::write(::lateen::log::Level::level_, scope_, fmt::format(__VA_ARGS__)); \
  } while (false)
