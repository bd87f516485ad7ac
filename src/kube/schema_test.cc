// Schemas against the error texts users know, and quantities against upstream's canonical forms.
#include "kube/schema.h"

#include <gtest/gtest.h>

#include "kube/quantity.h"

namespace lateen::kube {
namespace {

Json json(std::string_view text) {
  auto value = data::parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value ? std::move(value).value() : Json();
}

Schema schema(std::string_view spec) {
  auto parsed =
      Schema::parse(json(R"({"type":"object","properties":{"spec":)" + std::string(spec) + "}}"));
  EXPECT_TRUE(parsed.ok()) << parsed.error().message();
  return std::move(parsed).value();
}

std::vector<std::string> problems(std::string_view spec_schema, std::string_view spec) {
  std::vector<std::string> out;
  const Json object = json(R"({"apiVersion":"a/v1","kind":"K","metadata":{"name":5},"spec":)" +
                           std::string(spec) + "}");
  for (const auto& problem : schema(spec_schema).validate(object)) out.push_back(problem.text());
  return out;
}

using Texts = std::vector<std::string>;

TEST(Schema, SpeaksLikeTheApiServer) {
  EXPECT_EQ(
      problems(
          R"({"type":"object","properties":{"http":{"type":"array","items":{"type":"object","required":["route"]}}}})",
          R"({"http":[{}]})"),
      Texts{"spec.http[0].route: Required value"});
  EXPECT_EQ(
      problems(R"({"type":"object","properties":{"n":{"type":"integer"}}})", R"({"n":"x"})"),
      Texts{
          R"(spec.n: Invalid value: "string": spec.n in body must be of type integer: "string")"});
  EXPECT_EQ(problems(R"({"type":"object","properties":{"n":{"type":"string","enum":["A","B"]}}})",
                     R"({"n":"C"})"),
            Texts{R"(spec.n: Unsupported value: "C": supported values: "A", "B")"});
  EXPECT_EQ(problems(R"({"type":"object","properties":{"n":{"type":"string","pattern":"^a+$"}}})",
                     R"({"n":"b"})"),
            Texts{R"(spec.n: Invalid value: "b": spec.n in body should match '^a+$')"});
  EXPECT_EQ(
      problems(R"({"type":"object","properties":{"n":{"type":"integer","minimum":1,"maximum":5}}})",
               R"({"n":9})"),
      Texts{"spec.n: Invalid value: 9: spec.n in body should be less than or equal to 5"});
  EXPECT_EQ(problems(R"({"type":"array","minItems":1})", "[]"),
            Texts{"spec: Invalid value: 0: spec in body should have at least 1 items"});
  EXPECT_EQ(problems(R"({"type":"array","maxItems":1})", "[1,2]"),
            Texts{"spec: Too many: 2: must have at most 1 items"});
}

TEST(Schema, KnowsNullsAndIntOrString) {
  EXPECT_EQ(problems(R"({"type":"string"})", "null").size(), 1u);
  EXPECT_TRUE(problems(R"({"type":"string","nullable":true})", "null").empty());
  EXPECT_TRUE(problems(R"({"x-kubernetes-int-or-string":true})", "5").empty());
  EXPECT_TRUE(problems(R"({"x-kubernetes-int-or-string":true})", "\"5%\"").empty());
  EXPECT_EQ(problems(R"({"x-kubernetes-int-or-string":true})", "true").size(), 1u);
  EXPECT_TRUE(problems(R"({"type":"number"})", "5").empty());
}

TEST(Schema, CombinesAlternatives) {
  const auto one_of =
      R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"oneOf":[{"required":["a"]},{"required":["b"]}]})";
  EXPECT_TRUE(problems(one_of, R"({"a":"x"})").empty());
  EXPECT_EQ(
      problems(one_of, R"({})"),
      Texts{
          R"(<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid)"});
  EXPECT_EQ(problems(one_of, R"({"a":"x","b":"y"})").size(), 1u);
  EXPECT_EQ(problems(R"({"not":{"anyOf":[{"required":["a"]}]}})", R"({"a":1})").size(), 1u);
}

TEST(Schema, FindsDuplicatesInSetsAndMaps) {
  EXPECT_EQ(problems(R"({"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}})",
                     R"(["a","a"])"),
            Texts{R"(spec[1]: Duplicate value: "a")"});
  EXPECT_EQ(
      problems(
          R"({"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"]})",
          R"([{"k":"a"},{"k":"b"},{"k":"a","v":1}])"),
      Texts{R"(spec[2]: Duplicate value: map[string]interface {}{"k":"a"})"});
}

TEST(Schema, FillsInDefaults) {
  const Schema with = schema(
      R"({"type":"object","properties":{"a":{"type":"object","default":{},"properties":{"b":{"type":"integer","default":3}}},
      "l":{"type":"array","items":{"type":"object","properties":{"p":{"type":"string","default":"TCP"}}}},
      "m":{"type":"object","additionalProperties":{"type":"object","properties":{"q":{"default":1}}}}}})");
  Json object = json(R"({"spec":{"l":[{},{"p":"UDP"}],"m":{"x":{}}}})");
  with.apply_defaults(object);
  EXPECT_TRUE(data::equal(
      object, json(R"({"spec":{"l":[{"p":"TCP"},{"p":"UDP"}],"m":{"x":{"q":1}},"a":{"b":3}}})")));
}

TEST(Schema, PrunesWhatItDoesNotKnow) {
  const Schema known = schema(
      R"({"type":"object","properties":{"l":{"type":"array","items":{"type":"object","properties":{"a":{}}}},
      "free":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"n":{"type":"object"}}},
      "whole":{"type":"object","x-kubernetes-embedded-resource":true}}})");
  Json object = json(
      R"({"apiVersion":"v1","metadata":{"x":1},"other":1,"spec":{"l":[{"a":1,"b":2}],"free":{"y":1,"n":{"z":1}},
      "whole":{"kind":"K","metadata":{"name":"n"},"junk":1}}})");
  EXPECT_EQ(known.prune(object),
            (Texts{"other", "spec.l[0].b", "spec.free.n.z", "spec.whole.junk"}));
  EXPECT_TRUE(data::equal(
      object,
      json(R"({"apiVersion":"v1","metadata":{"x":1},"spec":{"l":[{"a":1}],"free":{"y":1,"n":{}},
      "whole":{"kind":"K","metadata":{"name":"n"}}}})")));
}

TEST(Schema, JoinsProblemsIntoOneMessage) {
  EXPECT_EQ(invalid_message("K.g", "x", {{"FieldValueRequired", "spec.a", "Required value"}}),
            "K.g \"x\" is invalid: spec.a: Required value");
  EXPECT_EQ(invalid_message("K.g", "x", {{"", "a", "Required value"}, {"", "b", "Required value"}}),
            "K.g \"x\" is invalid: [a: Required value, b: Required value]");
}

TEST(Quantity, PrintsCanonically) {
  const auto canonical = [](std::string_view text) { return Quantity::parse(text)->to_string(); };
  EXPECT_EQ(canonical("1000m"), "1");
  EXPECT_EQ(canonical("0.5"), "500m");
  EXPECT_EQ(canonical("1500m"), "1500m");
  EXPECT_EQ(canonical("1024Ki"), "1Mi");
  EXPECT_EQ(canonical("3072Mi"), "3Gi");
  EXPECT_EQ(canonical("1.5Gi"), "1536Mi");
  EXPECT_EQ(canonical("1000M"), "1G");
  EXPECT_EQ(canonical("1e3"), "1e3");
  EXPECT_EQ(canonical("128974848"), "128974848");
  EXPECT_EQ(canonical("-1.1"), "-1100m");
  EXPECT_EQ(canonical("0"), "0");
  EXPECT_EQ(canonical("100E"), "9223372036854775807");
}

TEST(Quantity, ReadsValuesAndRefusesNonsense) {
  EXPECT_EQ(Quantity::parse("1Ki")->value(), 1024);
  EXPECT_EQ(Quantity::parse("100m")->value(), 1);
  EXPECT_EQ(Quantity::parse("250m")->milli_value(), 250);
  EXPECT_EQ(Quantity::parse("2")->milli_value(), 2000);
  EXPECT_LT(*Quantity::parse("999Mi"), *Quantity::parse("1Gi"));
  EXPECT_EQ(*Quantity::parse("1024Mi"), *Quantity::parse("1Gi"));
  for (const auto text : {"", "x", "1x", "1.2.3", "--1", "1e", "1ki", " 1", "1K"}) {
    EXPECT_FALSE(Quantity::parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lateen::kube
