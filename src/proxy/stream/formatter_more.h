// Format commands on paths, bytes, durations between points, and traces. Private to stream/.
#pragma once

#include "proxy/stream/formatter.h"

namespace lateen::proxy {

// Null when `name` is none of them, or its argument says nothing.
ReadCommand compile_more_command(std::string_view name, std::string_view argument);

}  // namespace lateen::proxy
