// Sentences for kubectl explain: of kinds, and of fields by their name (which means the same nearly
// everywhere).
#pragma once

#include <string_view>

namespace lateen::cluster::apiserver {

// Empty when there is nothing to say.
std::string_view describe_kind(std::string_view kind);
std::string_view describe_field(std::string_view field);

}  // namespace lateen::cluster::apiserver
