// Looking at eight bytes of text at once. Words are as memcpy reads them; the order of their bytes
// does not matter here.
#pragma once

#include <cstdint>

namespace lateen {

inline constexpr std::uint64_t kEightOnes = 0x0101010101010101;

// Whether one of the bytes is below `limit`, of at most 0x80; bytes of 0x80 and more are not.
constexpr bool has_byte_below(std::uint64_t word, unsigned char limit) {
  // The top bit of each such byte, and exactly of the lowest, which is enough.
  return ((word - kEightOnes * limit) & ~word & kEightOnes * 0x80) != 0;
}
// Whether one of the bytes is `c`.
constexpr bool has_byte(std::uint64_t word, unsigned char c) {
  return has_byte_below(word ^ kEightOnes * c, 1);
}

}  // namespace lateen
