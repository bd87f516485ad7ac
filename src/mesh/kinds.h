// All kinds of the mesh in one list: their API names, and what to do with an object of unknown
// kind.
#pragma once

#include <span>
#include <string_view>

#include "mesh/config.h"

namespace lateen::mesh {

struct Kind {
  std::string_view kind;
  std::string_view plural;
  std::string_view group;
  std::string_view version;     // stored and watched
  std::string_view short_name;  // kubectl's; may be empty
};
// Istio's kinds, in a fixed order.
std::span<const Kind> kinds();
const Kind* find_kind(std::string_view kind, std::string_view group);

// Checks an object of any of Istio's kinds: its types, unknown fields, and what they mean together.
// Issues of other kinds are none.
Issues validate(const data::Json& object);

}  // namespace lateen::mesh
