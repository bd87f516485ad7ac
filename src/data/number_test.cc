#include "data/number.h"

#include <gtest/gtest.h>

#include "data/json.h"

namespace lateen::data {
namespace {

TEST(Number, AsGoWritesThem) {
  EXPECT_EQ(json_number(12.5), "12.5");
  EXPECT_EQ(json_number(0), "0");
  EXPECT_EQ(json_number(-1e20), "-100000000000000000000");
  EXPECT_EQ(json_number(1e21), "1e+21");
  EXPECT_EQ(json_number(1e-6), "0.000001");
  EXPECT_EQ(json_number(1.5e-7), "1.5e-7");
  EXPECT_EQ(json_number(1e-17), "1e-17");
  EXPECT_EQ(yaml_number(1e-7), "1e-07");
  EXPECT_EQ(yaml_number(0.5), "0.5");
  EXPECT_EQ(dump_json(JsonObject{{"a", 1.5}, {"b", JsonArray{1, "x", 2.25}}}),
            R"({"a":1.5,"b":[1,"x",2.25]})");
}

}  // namespace
}  // namespace lateen::data
