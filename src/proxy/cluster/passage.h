// What an upstream connection is to tell of whom it is for. Connections with different passages are
// not shared.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "net/address.h"

namespace lateen::proxy {

struct Passage {
  // Of the downstream connection, for the PROXY protocol.
  net::Address source;
  net::Address destination;
  // Filter state that an internal listener takes over.
  std::map<std::string, std::string, std::less<>> state;
  std::string key() const;  // equal for equal passages
};
using PassageRef = std::shared_ptr<const Passage>;

}  // namespace lateen::proxy
