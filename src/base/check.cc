// Prints where a broken invariant was seen, then aborts for a core dump.
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace lateen::detail {

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "CHECK failed: %s at %s:%d. This is a bug in Lateen.\n", expression, file,
               line);
  std::abort();
}

}  // namespace lateen::detail
