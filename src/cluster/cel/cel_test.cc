// Expressions and rules, against the specification's and Kubernetes' documented behaviour.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cluster/cel/program.h"
#include "cluster/cel/rules.h"

namespace lateen::cluster::cel {
namespace {

Json json(std::string_view text) {
  auto parsed = data::parse_json(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? std::move(parsed).value() : Json();
}

// What `source` gives with `self`, as text; "error: …" otherwise.
std::string run(std::string_view source, std::string_view self = "null",
                std::int64_t steps = 100'000) {
  auto program = Program::compile(source, {{"self", nullptr}}, Shape::Kind::kAny);
  // Any result is wanted here: a bool is asked for only by rules.
  if (!program.ok() && program.error().message().starts_with("must evaluate")) {
    program =
        Program::compile(fmt::format("dyn({})", source), {{"self", nullptr}}, Shape::Kind::kBool);
  }
  if (!program.ok()) return "error: " + program.error().message();
  const Json value = json(self);
  Budget budget(steps);
  auto made = program->evaluate({{"self", Value::of(value, nullptr)}}, budget);
  return made.ok() ? made->to_text() : "error: " + made.error().message();
}

TEST(Cel, OperatorsAndPrecedence) {
  EXPECT_EQ(run("1 + 2 * 3 - 4"), "3");
  EXPECT_EQ(run("7 / 2 == 3 && 7 % 2 == 1 && -7 / 2 == -3"), "true");
  EXPECT_EQ(run("1 < 2 && 2.5 >= 2 && 'a' < 'b'"), "true");
  EXPECT_EQ(run("1 == 1.0 && 1u == 1 && !(2 in [1, 3])"), "true");
  EXPECT_EQ(run("'x' in {'x': 1} ? 'yes' : 'no'"), "yes");
  EXPECT_EQ(run("[1, 2] + [3]"), "[1, 2, 3]");
  EXPECT_EQ(run("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(run("0x1F"), "31");
  EXPECT_EQ(run("9223372036854775807 + 1"), "error: integer overflow");
  EXPECT_EQ(run("1 / 0"), "error: division by zero");
  EXPECT_EQ(run("1 + 'a'"), "error: no such overload: int + string");
  EXPECT_EQ(run("[1, 2][1] + {'a': 5}['a'] + {'b': 6}.b"), "13");
  EXPECT_EQ(run("[1][3]"), "error: index out of bounds: 3");
}

TEST(Cel, StringsAndEscapes) {
  EXPECT_EQ(run(R"('a\tb\x41\u00e9' + "it's" + r'\n')"), "a\tbA\xc3\xa9it's\\n");
  EXPECT_EQ(run("'''two\nlines'''"), "two\nlines");
  EXPECT_EQ(run("size('h\xc3\xa9llo')"), "5");
  EXPECT_EQ(run("'unix:///tmp'.substring(7, 8) == '/'"), "true");
  EXPECT_EQ(run("'h\xc3\xa9llo'.charAt(1)"), "\xc3\xa9");
  EXPECT_EQ(run("'a,b,c'.split(',').map(x, x + x).join('-')"), "aa-bb-cc");
  EXPECT_EQ(run("'hello'.replace('l', 'L', 1).indexOf('l') == 3"), "true");
  EXPECT_EQ(run("'abc'.matches('^[a-c]+$') && !'abd'.matches('^[a-c]+$')"), "true");
  EXPECT_EQ(run("'%s has %d, %.2f'.format(['x', 3, 1.5])"), "x has 3, 1.50");
  EXPECT_EQ(run("' a '.trim().upperAscii()"), "A");
  EXPECT_EQ(run("'abc'.substring(2, 9)"), "error: index out of range: 9");
  EXPECT_EQ(run("'a1b22'.findAll('[0-9]+')"), "[\"1\", \"22\"]");
}

TEST(Cel, Macros) {
  EXPECT_EQ(run("[1, 2, 3].all(x, x > 0) && [1, 2].exists(x, x == 2)"), "true");
  EXPECT_EQ(run("[1, 1].exists_one(x, x == 1)"), "false");
  EXPECT_EQ(run("[1, 2, 3].filter(x, x != 2).map(x, x * 2)"), "[2, 6]");
  EXPECT_EQ(run("[1, 2, 3].map(x, x > 1, x + 10)"), "[12, 13]");
  EXPECT_EQ(run("self.all(key, key.size() != 0)", R"({"a": 1})"), "true");
  EXPECT_EQ(run("[5, 6].all(i, v, v == i + 5)"), "true");
  EXPECT_EQ(run("has(self.a.b) && !has(self.a.c)", R"({"a": {"b": 1}})"), "true");
  EXPECT_EQ(run("self.?a.?x.orValue('none') + self.?b.orValue('!')", R"({"a": {}, "b": "b"})"),
            "noneb");
  EXPECT_EQ(run("optional.of(2).optMap(x, x * 3).value()"), "6");
}

TEST(Cel, ErrorsAreDecidedOverByLogic) {
  EXPECT_EQ(run("self.missing == 1 || true", "{}"), "true");
  EXPECT_EQ(run("true || self.missing == 1", "{}"), "true");
  EXPECT_EQ(run("self.missing == 1 && false", "{}"), "false");
  EXPECT_EQ(run("self.missing == 1 || false", "{}"), "error: no such key: missing");
  EXPECT_EQ(run("[{'b': 1}, {'a': 1}].exists(x, x.a == 1)"), "true");
  EXPECT_EQ(run("[{'b': 1}, {'a': 2}].exists(x, x.a == 1)"), "error: no such key: a");
  // A name left behind by an operand that failed half way is not seen by the other.
  EXPECT_EQ(run("[1].all(self, self.nope == 1) || self.a == 7", R"({"a": 7})"), "true");
}

TEST(Cel, Libraries) {
  EXPECT_EQ(run("duration('1h30m') > duration('89m') && duration('1ms') >= duration('1ms')"),
            "true");
  EXPECT_EQ(run("timestamp('2024-02-29T10:11:12Z').getDayOfYear()"), "59");
  EXPECT_EQ(run("timestamp('2024-01-01T00:00:00Z') + duration('25h') == "
                "timestamp('2024-01-02T01:00:00Z')"),
            "true");
  EXPECT_EQ(run("duration('x')"),
            "error: type conversion error from 'string' to 'google.protobuf.Duration': \"x\"");
  EXPECT_EQ(
      run("url('https://a.example:80/p?q=1').getHost() + url('http://[::1]/x').getHostname()"),
      "a.example:80::1");
  EXPECT_EQ(run("isURL('http://a') && !isURL('a b') && !isURL('nonsense')"), "true");
  EXPECT_EQ(run("ip('10.0.0.1') == ip('10.0.0.1') && cidr('10.0.0.0/8').containsIP('10.1.2.3')"),
            "true");
  EXPECT_EQ(run("isIP('fe80::1') && ip('fe80::1').isLinkLocalUnicast() && !isCIDR('10.0.0.1')"),
            "true");
  EXPECT_EQ(run("quantity('1500m').add(quantity('500m')).compareTo(quantity('2')) == 0"), "true");
  EXPECT_EQ(run("sets.contains([1, 2, 3], [2]) && !sets.intersects([1], [2])"), "true");
  EXPECT_EQ(run("[3, 1, 2].max() + [1, 2].sum()"), "6");
  EXPECT_EQ(run("int('42') + int(2.9) + [1, 2].size()"), "46");
  EXPECT_EQ(run("type(1) == int && type('a') == string"), "true");
}

TEST(Cel, WhatDoesNotCompile) {
  EXPECT_EQ(run("1 +"), "error: <input>:1:4: Syntax error: unexpected end of the expression");
  EXPECT_EQ(run("other.x"),
            "error: ERROR: <input>:1:1: undeclared reference to 'other' (in container '')");
  EXPECT_EQ(run("self.frobnicate(1)"),
            "error: ERROR: <input>:1:5: undeclared reference to 'frobnicate' (in container '')");
  EXPECT_NE(run("'a'.matches('(')").find("invalid regex"), std::string::npos);
  EXPECT_NE(run("has(1)").find("invalid argument to has()"), std::string::npos);
  EXPECT_NE(run("'abc").find("a string without an end"), std::string::npos);
  EXPECT_NE(run(std::string(5000, '(') + "1").find("too deep"), std::string::npos);
  EXPECT_NE(run(std::string(5000, '!') + "true").find("too deep"), std::string::npos);
  std::string chain = "1";
  for (int i = 0; i < 5000; ++i) chain += "+1";
  EXPECT_NE(run(chain).find("too many operators"), std::string::npos);
}

TEST(Cel, CostIsBounded) {
  const std::string cube =
      "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, "
      "[1,2,3,4,5,6,7,8,9,10].all(c, a + b + c > 0)))";
  EXPECT_EQ(run(cube), "true");
  EXPECT_EQ(run(cube, "null", 2000), "error: operation cancelled: actual cost limit exceeded");
  // Growing text counts, too, and || does not hide it.
  EXPECT_EQ(run("true && (self + self + self).size() > 0 || true",
                "\"" + std::string(50'000, 'x') + "\"", 5000),
            "error: operation cancelled: actual cost limit exceeded");
}

constexpr std::string_view kSchema = R"J({
  "type": "object",
  "properties": {
    "spec": {
      "type": "object",
      "x-kubernetes-validations": [
        {"rule": "self.min <= self.max",
         "messageExpression": "'min %d is over max %d'.format([self.min, self.max])"},
        {"rule": "!has(self.name) || self.name == oldSelf.name", "message": "name is immutable",
         "fieldPath": ".name", "reason": "FieldValueForbidden"},
        {"rule": "!oldSelf.hasValue() || self.max >= oldSelf.value().max",
         "optionalOldSelf": true, "message": "max only grows"}
      ],
      "properties": {
        "min": {"type": "integer"},
        "max": {"type": "integer"},
        "name": {"type": "string"},
        "x-y": {"type": "string", "format": "duration",
          "x-kubernetes-validations": [{"rule": "self > duration('1s')"}]},
        "ports": {"type": "array", "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name"],
          "items": {"type": "object", "properties": {"name": {"type": "string"},
            "port": {"type": "integer",
              "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "ports stay"}]}}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string",
          "x-kubernetes-validations": [{"rule": "!self.contains('*')", "message": "no wildcards"}]}}
      }
    }
  }
})J";

std::vector<std::string> problems(std::string_view object, std::string_view old = {}) {
  std::vector<kube::FieldProblem> faults;
  const auto rules = ValidationRules::compile(json(kSchema), faults);
  for (const auto& fault : faults) ADD_FAILURE() << fault.text();
  std::vector<std::string> texts;
  const Json value = json(object);
  const Json former = old.empty() ? Json() : json(old);
  for (const auto& problem : rules.validate(value, old.empty() ? nullptr : &former))
    texts.push_back(problem.text());
  return texts;
}
using Texts = std::vector<std::string>;

TEST(Rules, MessagesAndPaths) {
  EXPECT_EQ(problems(R"({"spec": {"min": 1, "max": 2}})"), Texts{});
  EXPECT_EQ(problems(R"({"spec": {"min": 3, "max": 2}})"),
            Texts{"spec: Invalid value: \"object\": min 3 is over max 2"});
  EXPECT_EQ(problems(R"({"spec": {"min": 1, "max": 2, "x-y": "500ms"}})"),
            Texts{"spec.x-y: Invalid value: \"string\": failed rule: self > duration('1s')"});
  EXPECT_EQ(problems(R"({"spec": {"min": 1, "max": 2, "labels": {"a": "*"}}})"),
            Texts{"spec.labels[a]: Invalid value: \"string\": no wildcards"});
  EXPECT_EQ(problems(R"({"spec": {"max": 2}})"),
            Texts{"spec: Invalid value: \"object\": no such key: min evaluating rule: failed rule: "
                  "self.min <= self.max"});
}

TEST(Rules, Transitions) {
  const std::string_view old =
      R"({"spec": {"min": 1, "max": 5, "name": "a", "ports": [{"name": "x", "port": 1}, {"name": "y", "port": 2}]}})";
  EXPECT_EQ(problems(old, old), Texts{});
  EXPECT_EQ(problems(R"({"spec": {"min": 1, "max": 5, "name": "b"}})", old),
            Texts{"spec.name: Forbidden: name is immutable"});
  EXPECT_EQ(problems(R"({"spec": {"min": 1, "max": 4}})", old),
            Texts{"spec: Invalid value: \"object\": max only grows"});
  // Items of a list of type map are told apart by their key, not by their place.
  EXPECT_EQ(
      problems(
          R"({"spec": {"min": 1, "max": 5, "ports": [{"name": "y", "port": 2}, {"name": "x", "port": 7}]}})",
          old),
      Texts{"spec.ports[1].port: Invalid value: \"integer\": ports stay"});
}

TEST(Rules, AnUpdateIsNotBlamedForWhatWasThere) {
  const std::string_view bad = R"({"spec": {"min": 3, "max": 2, "labels": {"a": "*"}}})";
  EXPECT_EQ(problems(bad, bad), Texts{});
  EXPECT_EQ(problems(R"({"spec": {"min": 4, "max": 2, "labels": {"a": "*"}}})", bad),
            Texts{"spec: Invalid value: \"object\": min 4 is over max 2"});
}

TEST(Rules, FaultsOfDefinitions) {
  std::vector<kube::FieldProblem> faults;
  (void)ValidationRules::compile(json(R"J({"type": "object", "properties": {"spec": {
      "type": "object", "properties": {"a": {"type": "string"}},
      "x-kubernetes-validations": [
        {"rule": "self.b == 1"}, {"rule": "self.a"}, {"rule": ""}, {"rule": "self.a == ("}]}}})J"),
                                 faults);
  ASSERT_EQ(faults.size(), 4u);
  EXPECT_EQ(faults[0].field, ".properties[spec].x-kubernetes-validations[0].rule");
  EXPECT_NE(faults[0].detail.find("compilation failed: ERROR: <input>:1:5: undefined field 'b'"),
            std::string::npos)
      << faults[0].detail;
  EXPECT_NE(faults[1].detail.find("must evaluate to a bool"), std::string::npos)
      << faults[1].detail;
  EXPECT_EQ(faults[2].reason, "FieldValueRequired");
  EXPECT_NE(faults[3].detail.find("Syntax error"), std::string::npos) << faults[3].detail;
}

TEST(Rules, AreBoundedTogether) {
  std::vector<kube::FieldProblem> faults;
  const auto rules = ValidationRules::compile(json(R"J({"type": "object", "properties": {"spec": {
        "type": "array", "items": {"type": "string"}, "x-kubernetes-validations": [
          {"rule": "self.all(a, self.all(b, self.all(c, (a + b + c) != '')))"}]}}})J"),
                                              faults);
  ASSERT_TRUE(faults.empty());
  Json object = json("{}");
  data::JsonArray list;
  for (int i = 0; i < 1000; ++i) list.emplace_back(std::to_string(i));
  data::set(object, {"spec"}, std::move(list));
  const auto found = rules.validate(object, nullptr);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].detail.find("cost exceeds limit"), std::string::npos) << found[0].detail;
}

}  // namespace
}  // namespace lateen::cluster::cel
