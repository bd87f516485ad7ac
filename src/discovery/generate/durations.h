// Durations as protobuf spells them.
#pragma once

#include <google/protobuf/duration.pb.h>

#include "base/clock.h"

namespace lateen::discovery {

inline void set_duration(nanoseconds from, google::protobuf::Duration& to) {
  to.set_seconds(std::chrono::duration_cast<seconds>(from).count());
  to.set_nanos(static_cast<std::int32_t>((from % seconds(1)).count()));
}

}  // namespace lateen::discovery
