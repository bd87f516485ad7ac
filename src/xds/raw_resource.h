// A resource as it came, kept for the admin pages.
#pragma once

#include <google/protobuf/any.pb.h>

#include <string>

#include "base/clock.h"

namespace lateen::xds {

struct RawResource {
  google::protobuf::Any body;
  std::string version;
  WallTime updated{};
  std::string error;  // of the last update that was refused
};

}  // namespace lateen::xds
