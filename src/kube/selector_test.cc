// Selectors: grammar, meaning and error texts.
#include "kube/selector.h"

#include <gtest/gtest.h>

#include "kube/names.h"
#include "kube/object.h"

namespace lateen::kube {
namespace {

Json json(std::string_view text) { return data::parse_json(text).value_or(Json()); }

bool selects(std::string_view selector, std::string_view labels) {
  auto parsed = LabelSelector::parse(selector);
  EXPECT_TRUE(parsed.ok()) << selector;
  return parsed.ok() && parsed->matches(*json(labels).if_object());
}

TEST(LabelSelector, MatchesByOperator) {
  EXPECT_TRUE(selects("", R"({"a":"b"})"));
  EXPECT_TRUE(selects("app=web, tier != db", R"({"app":"web"})"));
  EXPECT_FALSE(selects("app==web,tier!=db", R"({"app":"web","tier":"db"})"));
  EXPECT_TRUE(selects("env in (prod, dev)", R"({"env":"dev"})"));
  EXPECT_FALSE(selects("env in (prod)", R"({})"));
  EXPECT_TRUE(selects("env notin (prod)", R"({})"));
  EXPECT_TRUE(selects("example.com/x,!old", R"({"example.com/x":""})"));
  EXPECT_FALSE(selects("!old", R"({"old":"1"})"));
  EXPECT_TRUE(selects("n>3,n<9", R"({"n":"5"})"));
  EXPECT_FALSE(selects("n>3", R"({"n":"x"})"));
  EXPECT_TRUE(selects("a=", R"({"a":""})"));
  EXPECT_TRUE(selects("in=x", R"({"in":"x"})"));
}

TEST(LabelSelector, RefusesWhatDoesNotParse) {
  for (const auto text :
       {"a=b,", "=b", "a in b", "a in (b", "a b", "a=b c", "a>x", "-a=b", "a=-"}) {
    EXPECT_FALSE(LabelSelector::parse(text).ok()) << text;
  }
}

TEST(LabelSelector, PrintsWhatItParses) {
  const std::string text = "app=web,tier!=db,env in (a,b),x notin (c),!old,new,n>3";
  EXPECT_EQ(LabelSelector::parse(text)->to_string(), text);
}

TEST(LabelSelector, ComesFromObjects) {
  const auto selector = LabelSelector::from_object(
      json(R"({"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"Exists"}]})"));
  ASSERT_TRUE(selector.ok());
  EXPECT_TRUE(selector->matches(*json(R"({"a":"b","c":"d"})").if_object()));
  EXPECT_FALSE(selector->matches(*json(R"({"a":"b"})").if_object()));
  EXPECT_TRUE(LabelSelector::from_object(json("{}"))->matches({}));
  EXPECT_FALSE(LabelSelector::from_object(Json())->matches({}));
  EXPECT_FALSE(
      LabelSelector::from_object(json(R"({"matchExpressions":[{"key":"c","operator":"In"}]})"))
          .ok());
}

TEST(FieldSelector, ReadsAnyPath) {
  const Json pod = json(
      R"({"metadata":{"name":"x"},"spec":{"nodeName":"n","hostNetwork":true},"status":{"phase":"Running"}})");
  const auto matches = [&](std::string_view text) {
    return FieldSelector::parse(text)->matches(pod);
  };
  EXPECT_TRUE(matches("metadata.name=x,status.phase!=Failed"));
  EXPECT_FALSE(matches("spec.nodeName==m"));
  EXPECT_TRUE(matches("spec.hostNetwork=true"));
  EXPECT_TRUE(matches("spec.unschedulable=false"));
  EXPECT_TRUE(matches("status.nominatedNodeName="));
  EXPECT_EQ(FieldSelector::parse("a=b\\,c,metadata.name=y")->required("a"), "b,c");
  EXPECT_EQ(FieldSelector::parse("metadata.name!=y")->required("metadata.name"), std::nullopt);
  EXPECT_FALSE(FieldSelector::parse("nonsense").ok());
}

TEST(Names, FollowTheirRules) {
  EXPECT_EQ(check_dns1123_label("a-b1"), "");
  EXPECT_NE(check_dns1123_label("a.b"), "");
  EXPECT_NE(check_dns1123_label("-a"), "");
  EXPECT_NE(check_dns1123_label(std::string(64, 'a')), "");
  EXPECT_EQ(check_dns1123_subdomain("a.b-c.d"), "");
  EXPECT_NE(check_dns1123_subdomain("a..b"), "");
  EXPECT_NE(check_dns1123_subdomain("Upper"), "");
  EXPECT_NE(check_dns1035_label("1a"), "");
  EXPECT_EQ(check_qualified_name("example.com/My_Name"), "");
  EXPECT_NE(check_qualified_name("a/b/c"), "");
  EXPECT_EQ(check_label_value(""), "");
  EXPECT_NE(check_label_value("a b"), "");
  EXPECT_EQ(check_port_name("http-web"), "");
  EXPECT_NE(check_port_name("80"), "");
}

TEST(Object, ConditionsTurnOnlyWithStatus) {
  Json object = json(R"({"metadata":{"name":"x"}})");
  EXPECT_TRUE(set_condition(object, "Ready", "True", "A", "m", "t1"));
  EXPECT_FALSE(set_condition(object, "Ready", "True", "A", "m", "t2"));
  EXPECT_TRUE(set_condition(object, "Ready", "True", "B", "m", "t3"));
  EXPECT_EQ(data::get_string(*condition(object, "Ready"), {"lastTransitionTime"}), "t1");
  EXPECT_TRUE(set_condition(object, "Ready", "False", "B", "m", "t4"));
  EXPECT_EQ(data::get_string(*condition(object, "Ready"), {"lastTransitionTime"}), "t4");
}

TEST(Object, PathsNameTheirPlace) {
  EXPECT_EQ(resources::pods().path("default", "x", "status"),
            "/api/v1/namespaces/default/pods/x/status");
  EXPECT_EQ(resources::deployments().path(""), "/apis/apps/v1/deployments");
  EXPECT_EQ(resources::nodes().path("", "n"), "/api/v1/nodes/n");
}

}  // namespace
}  // namespace lateen::kube
