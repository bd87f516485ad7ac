#include "data/yaml.h"

#include <gtest/gtest.h>

namespace lateen::data {

static std::string json_of(std::string_view yaml) { return dump_json(parse_yaml(yaml).value()); }

TEST(Yaml, ScalarsAsKubectlReadsThem) {
  EXPECT_EQ(
      json_of("a: yes\nb: 'yes'\nc: 0755\nd: 1.5\ne: ~\nf: 10Mi\ng: 0x1f\nh: 1e3\ni: \"8\"\nj: y"),
      R"({"a":true,"b":"yes","c":493,"d":1.5,"e":null,"f":"10Mi","g":31,"h":1000,"i":"8","j":"y"})");
}

TEST(Yaml, MergeKeysAndAnchors) {
  EXPECT_EQ(json_of("base: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3"),
            R"({"base":{"x":1,"y":2},"c":{"x":1,"y":3}})");
}

TEST(Yaml, ErrorsTellTheLineOfTheStream) {
  const auto result = parse_yaml_documents("a: 1\n---\nb: 2\nc: [1,\n");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("line 5"), std::string::npos) << result.error().message();
  EXPECT_NE(parse_yaml("a: 1\na: 2").error().message().find("set twice"), std::string::npos);
}

TEST(Yaml, EmptyDocumentsAreDropped) {
  const auto stream = parse_yaml_stream("# nothing\n---\n---\na: 1\n---\nb: 2\n").value();
  ASSERT_EQ(stream.size(), 2u);
  EXPECT_EQ(stream[0].line, 4);
  EXPECT_EQ(stream[1].line, 6);
}

TEST(Yaml, DumpReadsBack) {
  const Json value =
      parse_json(
          R"({"s":"yes","n":"12","t":"line1\nline2\n","u":"a\nb","e":{},"l":[1,{"a":[{"b":1,"c":2}]},[3,4],"x: y"],
      "q":"- x","empty":"","colon":"a:","date":"2026-01-01","tilde":"~","bool":true,"nul":null,"f":1.25,"trail":"x\n\n"})")
          .value();
  const std::string yaml = dump_yaml(value);
  const auto back = parse_yaml(yaml);
  ASSERT_TRUE(back) << back.error().message() << "\n" << yaml;
  EXPECT_TRUE(equal(*back, value)) << yaml << dump_json(*back);
}

TEST(Yaml, LongKeysReadBack) {
  const Json value = JsonObject{{std::string(3000, 'k'), JsonObject{{std::string(2000, ' '), 1}}}};
  const auto again = parse_yaml(dump_yaml(value));
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(*again, value);
}

TEST(Yaml, BillionLaughsIsBounded) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string p = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + p + "," + p + "," + p +
            "," + p + "," + p + "," + p + "," + p + "," + p + "]\n";
  }
  EXPECT_FALSE(parse_yaml(text));
}

}  // namespace lateen::data
