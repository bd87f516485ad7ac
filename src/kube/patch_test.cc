// The patch kinds against cases from their specifications and from what kubectl sends.
#include "kube/patch.h"

#include <gtest/gtest.h>

namespace lateen::kube {
namespace {

Json json(std::string_view text) {
  auto value = data::parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value ? std::move(value).value() : Json();
}

void expect_strategic(std::string_view kind, std::string_view target, std::string_view patch,
                      std::string_view wanted) {
  const auto merged = strategic_merge(json(target), json(patch), kind);
  ASSERT_TRUE(merged.ok()) << merged.error().message();
  EXPECT_EQ(data::dump_json(*merged), data::dump_json(json(wanted)));
}

TEST(JsonPatch, RunsEachOperation) {
  const auto out = json_patch(json(R"({"a":{"b":[1,2]},"c~/d":1})"), json(R"([
      {"op":"test","path":"/a/b/0","value":1},
      {"op":"add","path":"/a/b/-","value":3},
      {"op":"add","path":"/a/b/0","value":0},
      {"op":"replace","path":"/c~0~1d","value":{"x":true}},
      {"op":"copy","from":"/a/b","path":"/e"},
      {"op":"move","from":"/e/1","path":"/f"},
      {"op":"remove","path":"/a/b/3"}])"));
  ASSERT_TRUE(out.ok()) << out.error().message();
  EXPECT_TRUE(
      data::equal(*out, json(R"({"a":{"b":[0,1,2]},"c~/d":{"x":true},"e":[0,2,3],"f":1})")));
}

TEST(JsonPatch, NamesTheOperationThatFails) {
  const auto out =
      json_patch(json(R"({"a":1})"),
                 json(R"([{"op":"test","path":"/a","value":1},{"op":"remove","path":"/b"}])"));
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().message(), "operation 1 (remove /b): the path does not exist");
  EXPECT_FALSE(json_patch(json("{}"), json(R"([{"op":"add","path":"/x/y","value":1}])")).ok());
  EXPECT_FALSE(
      json_patch(json(R"({"a":{}})"), json(R"([{"op":"move","from":"/a","path":"/a/b"}])")).ok());
  EXPECT_FALSE(json_patch(json("[1]"), json(R"([{"op":"add","path":"/5","value":1}])")).ok());
}

TEST(MergePatch, FollowsTheRfcExamples) {
  const auto run = [](std::string_view target, std::string_view patch) {
    return data::dump_json(merge_patch(json(target), json(patch)));
  };
  EXPECT_EQ(run(R"({"a":"b"})", R"({"a":"c"})"), R"({"a":"c"})");
  EXPECT_EQ(run(R"({"a":"b","b":"c"})", R"({"a":null})"), R"({"b":"c"})");
  EXPECT_EQ(run(R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})"), R"({"a":{"b":"d"}})");
  EXPECT_EQ(run(R"({"a":"foo"})", "null"), "null");
  EXPECT_EQ(run("[1,2]", R"({"a":"b","c":null})"), R"({"a":"b"})");
  EXPECT_EQ(run("{}", R"({"a":{"bb":{"ccc":null}}})"), R"({"a":{"bb":{}}})");
}

TEST(MergePatch, DifferenceLeadsBack) {
  const Json from = json(R"({"a":1,"b":{"c":2,"d":3},"e":[1]})");
  const Json to = json(R"({"b":{"c":2,"d":4},"e":[1,2],"f":{}})");
  EXPECT_EQ(data::dump_json(make_merge_patch(from, to)),
            R"({"a":null,"b":{"d":4},"e":[1,2],"f":{}})");
  EXPECT_TRUE(data::equal(merge_patch(from, make_merge_patch(from, to)), to));
}

TEST(StrategicMerge, MergesContainersByName) {
  expect_strategic(
      "Deployment",
      R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"x","ports":[{"containerPort":80}]},{"name":"b"}]}}}})",
      R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"y","ports":[{"containerPort":81}]},{"name":"c"}]}}}})",
      R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"y","ports":[{"containerPort":80},{"containerPort":81}]},{"name":"b"},{"name":"c"}]}}}})");
}

TEST(StrategicMerge, DeletesAndOrdersAsKubectlAsks) {
  expect_strategic("Pod",
                   R"({"spec":{"containers":[{"name":"sidecar"},{"name":"a"},{"name":"b"}]}})",
                   R"({"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"a"}],
                       "containers":[{"name":"b","$patch":"delete"},{"name":"c"}]}})",
                   R"({"spec":{"containers":[{"name":"c"},{"name":"sidecar"},{"name":"a"}]}})");
}

TEST(StrategicMerge, ReplacesMapsAndLists) {
  expect_strategic(
      "Deployment",
      R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}})",
      R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})",
      R"({"spec":{"strategy":{"type":"Recreate"}}})");
  expect_strategic("Pod", R"({"spec":{"nodeSelector":{"a":"b"}}})",
                   R"({"spec":{"nodeSelector":{"$patch":"replace","c":"d"}}})",
                   R"({"spec":{"nodeSelector":{"c":"d"}}})");
  expect_strategic("Pod", R"({"spec":{"containers":[{"name":"a"}]}})",
                   R"({"spec":{"containers":[{"name":"z"},{"$patch":"replace"}]}})",
                   R"({"spec":{"containers":[{"name":"z"}]}})");
  expect_strategic("Pod", R"({"spec":{"tolerations":[{"key":"a"}]}})",
                   R"({"spec":{"tolerations":[{"key":"b"}]}})",
                   R"({"spec":{"tolerations":[{"key":"b"}]}})");
}

TEST(StrategicMerge, TreatsFinalizersAsASet) {
  expect_strategic(
      "Pod", R"({"metadata":{"finalizers":["a","b"]}})",
      R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["c"]}})",
      R"({"metadata":{"finalizers":["b","c"]}})");
}

TEST(StrategicMerge, NullRemovesAndIsNotStored) {
  expect_strategic("Pod", R"({"metadata":{"labels":{"a":"1","b":"2"}}})",
                   R"({"metadata":{"labels":{"a":null},"annotations":{"x":null}}})",
                   R"({"metadata":{"labels":{"b":"2"},"annotations":{}}})");
}

TEST(StrategicMerge, SaysWhichKeyIsMissing) {
  const auto out =
      strategic_merge(json(R"({})"), json(R"({"spec":{"containers":[{"image":"x"}]}})"), "Pod");
  ASSERT_FALSE(out.ok());
  EXPECT_NE(out.error().message().find("does not contain declared merge key: name"),
            std::string::npos);
}

TEST(ListKinds, DifferBetweenStrategicAndApply) {
  EXPECT_EQ(strategic_list("Service", "spec.ports").keys, std::vector<std::string>{"port"});
  EXPECT_EQ(apply_list("Service", "spec.ports").keys,
            (std::vector<std::string>{"port", "protocol"}));
  EXPECT_EQ(apply_list("CronJob", "spec.jobTemplate.spec.template.spec.initContainers.env").keys,
            std::vector<std::string>{"name"});
  EXPECT_EQ(apply_list("Pod", "spec.tolerations").type, ListKind::Type::kAtomic);
  EXPECT_TRUE(is_atomic_object("Deployment", "spec.selector"));
  EXPECT_FALSE(is_atomic_object("Deployment", "spec.template.metadata.labels"));
}

}  // namespace
}  // namespace lateen::kube
