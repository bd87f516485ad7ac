#include "base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace lateen {
namespace {

// RFC 9562 §5.4: version 4, variant 10, everything else random.
TEST(Random, UuidsAreVersion4) {
  const auto random = seeded_random(7);
  std::set<std::string> seen;
  std::set<char> variants;
  for (int i = 0; i < 200; ++i) {
    const std::string id = random->uuid();
    ASSERT_EQ(id.size(), 36u);
    for (std::size_t at = 0; at < id.size(); ++at) {
      if (at == 8 || at == 13 || at == 18 || at == 23) {
        ASSERT_EQ(id[at], '-');
      } else {
        ASSERT_NE(std::string_view("0123456789abcdef").find(id[at]), std::string_view::npos) << id;
      }
    }
    ASSERT_EQ(id[14], '4');
    variants.insert(id[19]);
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 200u);
  EXPECT_EQ(variants, (std::set<char>{'8', '9', 'a', 'b'}));
}

}  // namespace
}  // namespace lateen
