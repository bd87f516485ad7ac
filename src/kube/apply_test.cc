// Server-side apply as kubectl and controllers use it: ownership, conflicts, removal, lists by key.
#include "kube/apply.h"

#include <gtest/gtest.h>

namespace lateen::kube {
namespace {

Json json(std::string_view text) {
  auto value = data::parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value ? std::move(value).value() : Json();
}

Writer writer(std::string manager, std::string now = "2026-01-01T00:00:00Z") {
  return {std::move(manager), "apps/v1", "", std::move(now), true};
}

Json apply(const Json* live, std::string_view applied, const Writer& by, bool is_forced = false) {
  const auto types = builtin_types("Deployment");
  auto out = server_side_apply(live, json(applied), *types, by, is_forced);
  EXPECT_TRUE(out.ok()) << out.error().message();
  if (!out) return {};
  EXPECT_TRUE(out->conflicts.empty()) << conflict_message(out->conflicts);
  return out->object;
}

std::string fields_of_manager(const Json& object, std::string_view manager) {
  for (const Json& entry : data::get_array(object, {"metadata", "managedFields"})) {
    if (data::get_string(entry, {"manager"}) == manager)
      return data::dump_json(*data::find(entry, {"fieldsV1"}));
  }
  return "none";
}

std::string without_managers(Json object) {
  data::erase(object, {"metadata", "managedFields"});
  return data::dump_json(object);
}

constexpr std::string_view kFirst =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"1","b":"2"}},
  "spec":{"replicas":1,"selector":{"matchLabels":{"x":"y"}},
          "template":{"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}]}]}}}})";

TEST(ServerSideApply, OwnsWhatItSets) {
  const Json object = apply(nullptr, kFirst, writer("kubectl"));
  EXPECT_EQ(
      fields_of_manager(object, "kubectl"),
      R"({"f:metadata":{"f:labels":{"f:a":{},"f:b":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}})");
}

TEST(ServerSideApply, RemovesWhatItNoLongerNames) {
  const Json first = apply(nullptr, kFirst, writer("kubectl"));
  const Json second = apply(
      &first,
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"1"}},
      "spec":{"selector":{"matchLabels":{"x":"y"}},"template":{"spec":{"containers":[{"name":"e","image":"i"}]}}}})",
      writer("kubectl"));
  EXPECT_EQ(
      without_managers(second),
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"1"}},"spec":{"selector":{"matchLabels":{"x":"y"}},"template":{"spec":{"containers":[{"name":"e","image":"i"}]}}}})");
}

TEST(ServerSideApply, KeepsWhatOthersOwn) {
  const Json first = apply(nullptr, kFirst, writer("kubectl"));
  const Json shared =
      apply(&first, R"({"metadata":{"name":"d","labels":{"b":"2","c":"3"}}})", writer("other"));
  const Json left =
      apply(&shared, R"({"metadata":{"name":"d","labels":{"a":"1"}}})", writer("kubectl"));
  EXPECT_EQ(
      without_managers(left),
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"1","b":"2","c":"3"}}})");
}

TEST(ServerSideApply, ReportsConflictsAndYieldsToForce) {
  Json live = apply(nullptr, kFirst, writer("kubectl"));
  Json scaled = live;
  data::set(scaled, {"spec", "replicas"}, 5);
  const auto types = builtin_types("Deployment");
  track_update(&live, scaled, *types, writer("hpa"));
  EXPECT_EQ(fields_of_manager(scaled, "hpa"), R"({"f:spec":{"f:replicas":{}}})");
  EXPECT_EQ(fields_of_manager(scaled, "kubectl").find("replicas"), std::string::npos);

  const auto refused = server_side_apply(&scaled, json(kFirst), *types, writer("kubectl"), false);
  ASSERT_TRUE(refused.ok());
  ASSERT_EQ(refused->conflicts.size(), 1u);
  EXPECT_EQ(conflict_message(refused->conflicts),
            R"(Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.replicas)");
  const Json forced = apply(&scaled, kFirst, writer("kubectl"), true);
  EXPECT_EQ(data::get_int(forced, {"spec", "replicas"}), 1);
  EXPECT_EQ(fields_of_manager(forced, "hpa"), "none");
}

TEST(ServerSideApply, NamesItemsInConflicts) {
  const Json live = apply(nullptr, kFirst, writer("one"));
  const auto types = builtin_types("Deployment");
  const auto out = server_side_apply(
      &live,
      json(
          R"({"metadata":{"name":"d","labels":{"a":"9"}},"spec":{"template":{"spec":{"containers":[{"name":"c","image":"j"}]}}}})"),
      *types, writer("two"), false);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(conflict_message(out->conflicts),
            "Apply failed with 2 conflicts: conflicts with \"one\":\n- .metadata.labels.a\n"
            "- .spec.template.spec.containers[name=\"c\"].image");
}

TEST(ServerSideApply, SameValueIsNoConflictAndSameApplyChangesNothing) {
  const Json first = apply(nullptr, kFirst, writer("kubectl", "2026-01-01T00:00:00Z"));
  const Json again = apply(&first, kFirst, writer("kubectl", "2026-02-01T00:00:00Z"));
  EXPECT_EQ(data::dump_json(again), data::dump_json(first));
  apply(&first, kFirst, writer("other"));
}

TEST(ServerSideApply, MergesSetsAndKeyedListsOfCrds) {
  const auto types =
      schema_types(json(R"({"type":"object","properties":{"spec":{"type":"object","properties":{
      "names":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}},
      "rules":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["id"],"items":{"type":"object","properties":{"id":{"type":"string"},"v":{"type":"integer"}}}},
      "plain":{"type":"array"}}}}})"));
  const auto first = server_side_apply(
      nullptr, json(R"({"spec":{"names":["a","b"],"rules":[{"id":"x","v":1}],"plain":[1]}})"),
      *types, writer("one"), false);
  ASSERT_TRUE(first.ok());
  const auto second = server_side_apply(
      &first->object, json(R"({"spec":{"names":["c"],"rules":[{"id":"y","v":2}]}})"), *types,
      writer("two"), false);
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->conflicts.empty());
  EXPECT_EQ(
      without_managers(second->object),
      R"({"spec":{"names":["a","b","c"],"rules":[{"id":"x","v":1},{"id":"y","v":2}],"plain":[1]},"metadata":{}})");
  EXPECT_FALSE(server_side_apply(nullptr, json(R"({"spec":{"rules":[{"v":1}]}})"), *types,
                                 writer("x"), false)
                   .ok());
  EXPECT_FALSE(server_side_apply(nullptr, json(R"({"spec":{"names":["a","a"]}})"), *types,
                                 writer("x"), false)
                   .ok());
}

TEST(ServerSideApply, RefusesManagedFieldsInTheBody) {
  const auto types = builtin_types("Pod");
  const auto out =
      server_side_apply(nullptr, json(R"({"metadata":{"managedFields":[{"manager":"x"}]}})"),
                        *types, writer("x"), false);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().message(), "metadata.managedFields must be nil");
}

TEST(TrackUpdate, RecordsCreationAndStatusApart) {
  const auto types = builtin_types("Pod");
  Json pod = json(
      R"({"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"containers":[{"name":"c"}]},"status":{"phase":"Pending"}})");
  track_update(nullptr, pod, *types, {"kubectl-create", "v1", "", "t1", true});
  EXPECT_EQ(
      fields_of_manager(pod, "kubectl-create"),
      R"({"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{}}}}})");
  Json running = pod;
  data::set(running, {"status", "phase"}, "Running");
  track_update(&pod, running, *types, {"kubelet", "v1", "status", "t2", true});
  EXPECT_EQ(fields_of_manager(running, "kubelet"), R"({"f:status":{"f:phase":{}}})");
  Json reset = running;
  data::set(reset, {"metadata", "managedFields"}, json("[{}]"));
  track_update(&running, reset, *types, {"kubectl", "v1", "", "t3", true});
  EXPECT_EQ(data::find(reset, {"metadata", "managedFields"}), nullptr);
}

TEST(TrackUpdate, BoundsTheNumberOfManagers) {
  const auto types = builtin_types("ConfigMap");
  Json object = json(R"({"metadata":{"name":"c"},"data":{}})");
  for (int i = 0; i < 30; ++i) {
    Json next = object;
    data::set(next, {"data", "k" + std::to_string(i)}, "v");
    track_update(&object, next, *types,
                 {"m" + std::to_string(i), "v1", "", "t" + std::to_string(100 + i), false});
    object = next;
  }
  EXPECT_LE(data::get_array(object, {"metadata", "managedFields"}).size(), 11u);
  EXPECT_NE(fields_of_manager(object, "ancient-changes").find("k0"), std::string::npos);
}

TEST(FieldSet, ReadsWhatItWrites) {
  const Json fields =
      json(R"({"f:a":{".":{},"k:{\"n\":1}":{".":{},"f:x":{}},"v:\"z\"":{}},"f:b":{}})");
  const auto set = FieldSet::from_json(fields);
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->to_json(), fields);
  EXPECT_EQ(set->paths(),
            (std::vector<std::string>{".a", ".a[n=1]", ".a[n=1].x", ".a[=\"z\"]", ".b"}));
  EXPECT_FALSE(FieldSet::from_json(json(R"({"nonsense":{}})")).ok());
}

}  // namespace
}  // namespace lateen::kube
