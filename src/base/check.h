// CHECK aborts on bugs of ours; errors of the world are Results.
#pragma once

namespace lateen::detail {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::lateen::detail::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
