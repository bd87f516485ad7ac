#include "base/strings.h"

#include <gtest/gtest.h>

namespace lateen {

TEST(Strings, SplitKeepsEmptyParts) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
}

TEST(Strings, Base64RoundTripsAllLengths) {
  for (std::size_t length = 0; length < 20; ++length) {
    std::string bytes;
    for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(i * 37 + 200);
    EXPECT_EQ(base64_decode(base64_encode(bytes)).value(), bytes);
    EXPECT_EQ(base64_decode(base64url_encode(bytes)).value(), bytes);
  }
  EXPECT_EQ(base64_encode("light w"), "bGlnaHQgdw==");
  EXPECT_FALSE(base64_decode("a!bc"));
  EXPECT_FALSE(base64_decode("abcde"));
}

TEST(Strings, PercentDecodeRefusesBadEscapes) {
  EXPECT_EQ(percent_decode("a%20b%41").value(), "a bA");
  EXPECT_FALSE(percent_decode("a%2"));
  EXPECT_FALSE(percent_decode("%zz"));
}

// Checked against the plain definition, over all bytes at all places of the eight-byte steps.
TEST(Strings, EqualWithoutCaseAtEveryLength) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (std::size_t length = 1; length <= 17; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      for (int left = 0; left < 256; ++left) {
        for (const int flip : {0, 0x20, 0x01, 0x80}) {
          std::string a(length, 'x'), b(length, 'X');
          a[at] = static_cast<char>(left);
          b[at] = static_cast<char>(left ^ flip);
          ASSERT_EQ(iequals(a, b), lower(a[at]) == lower(b[at])) << length << " " << at;
        }
      }
    }
  }
  EXPECT_FALSE(iequals("host", "hos"));
  EXPECT_TRUE(iequals("", ""));
}

TEST(Strings, ParseQuery) {
  const auto query = parse_query("a=1&b=x+y%2C&flag");
  ASSERT_EQ(query.size(), 3u);
  EXPECT_EQ(query[1].second, "x y,");
  EXPECT_EQ(query[2].first, "flag");
}

TEST(Strings, NumbersMustBeWhole) {
  EXPECT_EQ(parse_int("-12"), -12);
  EXPECT_FALSE(parse_int("12x"));
  EXPECT_FALSE(parse_int(""));
}

}  // namespace lateen
