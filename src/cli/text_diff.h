// Line differences between two texts.
#pragma once

#include <string>
#include <string_view>

namespace lateen::cli {

// Unified: " same", "-only in a", "+only in b", with three lines around each change. Texts that are
// too large for an exact comparison are shown as wholly replaced.
std::string text_diff(std::string_view a, std::string_view b);

}  // namespace lateen::cli
