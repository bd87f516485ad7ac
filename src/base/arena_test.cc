#include "base/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace lateen {
namespace {

TEST(Arena, KeepsEveryBlockUntilReset) {
  Arena arena;
  const std::string large(10'000, 'x');
  const std::string_view small = arena.copy("first");
  const std::string_view big = arena.copy(large);
  std::string_view last;
  for (int i = 0; i < 5'000; ++i) last = arena.concat("number ", std::to_string(i));
  EXPECT_EQ(small, "first");
  EXPECT_EQ(big, large);
  EXPECT_EQ(last, "number 4999");
  arena.reset();
  // The first block is used again from its start.
  EXPECT_EQ(arena.copy("again").data(), small.data());
}

TEST(Arena, AlignsWhatAsksForIt) {
  Arena arena;
  arena.allocate(3);
  const auto address = reinterpret_cast<std::uintptr_t>(arena.allocate(16, 16));
  EXPECT_EQ(address % 16, 0u);
}

TEST(Arena, MovesWithItsBytes) {
  Arena from;
  const std::string_view text = from.copy("kept");
  Arena to;
  to.copy("replaced");
  to = std::move(from);
  EXPECT_EQ(text, "kept");
  EXPECT_EQ(from.copy("used again"), "used again");
  Arena last(std::move(to));
  EXPECT_EQ(text, "kept");
}

TEST(Arena, ResetsWhenEmpty) {
  Arena arena;
  arena.reset();
  EXPECT_EQ(arena.copy("x"), "x");
}

}  // namespace
}  // namespace lateen
