#include "base/buffer.h"

#include <gtest/gtest.h>

#include <cstring>

namespace lateen {

TEST(Buffer, AppendDropTake) {
  Buffer buffer("hello ");
  buffer.append("world");
  EXPECT_EQ(buffer.size(), 11u);
  buffer.drop(2);
  Buffer head = buffer.take(4);
  EXPECT_EQ(head.to_string(), "llo ");
  EXPECT_EQ(buffer.to_string(), "world");
}

TEST(Buffer, CloneSharesAndStaysIntact) {
  Buffer buffer("abc");
  Buffer copy = buffer.clone();
  buffer.append("def");
  copy.append("xyz");
  EXPECT_EQ(buffer.to_string(), "abcdef");
  EXPECT_EQ(copy.to_string(), "abcxyz");
}

TEST(Buffer, FlattenJoinsSlices) {
  Buffer buffer;
  std::string want;
  for (int i = 0; i < 100; ++i) {
    Buffer piece("piece" + std::to_string(i));
    want += "piece" + std::to_string(i);
    buffer.append(std::move(piece));
  }
  buffer.drop(3);
  EXPECT_EQ(buffer.flatten(200), std::string_view(want).substr(3, 200));
  EXPECT_EQ(buffer.to_string(), want.substr(3));
  EXPECT_EQ(buffer.flatten(), want.substr(3));
}

TEST(Buffer, ReserveCommitReadsInPlace) {
  Buffer buffer;
  auto room = buffer.reserve(16);
  ASSERT_GE(room.size(), 16u);
  std::memcpy(room.data(), "0123456789", 10);
  buffer.commit(10);
  buffer.commit(0);
  EXPECT_EQ(buffer.to_string(), "0123456789");
  buffer.reserve(8);
  buffer.commit(0);
  EXPECT_EQ(buffer.size(), 10u);
}

TEST(Buffer, AdoptLargeString) {
  Buffer buffer("<");
  buffer.adopt(std::string(5000, 'x'));
  buffer.append(">");
  EXPECT_EQ(buffer.to_string(), "<" + std::string(5000, 'x') + ">");
}

}  // namespace lateen
