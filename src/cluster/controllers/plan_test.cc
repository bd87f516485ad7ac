// The pure parts: rollout sizes, job plans, endpoints, placement, hashes.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "cluster/controllers/cron.h"
#include "cluster/controllers/endpoints.h"
#include "cluster/controllers/job_plan.h"
#include "cluster/controllers/placement.h"
#include "cluster/controllers/pods.h"
#include "cluster/controllers/rollout.h"
#include "kube/patch.h"

namespace lateen::cluster::controllers {
namespace {

Json json(std::string_view text) {
  auto value = data::parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value ? std::move(value).value() : Json();
}
ObjectPtr object(std::string_view text) { return std::make_shared<const Json>(json(text)); }

using Sizes = std::vector<std::int64_t>;

TEST(Rollout, ResolvesPercentagesAndNeverBothZero) {
  auto limits = limits_of(json(
      R"({"spec":{"replicas":10,"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}}})"));
  EXPECT_EQ(limits.max_surge, 3);
  EXPECT_EQ(limits.max_unavailable, 2);
  limits = limits_of(json(
      R"({"spec":{"replicas":1,"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":"25%"}}}})"));
  EXPECT_EQ(limits.max_unavailable, 1);
  limits = limits_of(json(R"({"spec":{"replicas":1}})"));
  EXPECT_EQ(limits.max_surge, 1);
  EXPECT_EQ(limits.max_unavailable, 0);
}

TEST(Rollout, GrowsTheNewSetWithinTheSurge) {
  EXPECT_EQ(next_new_size({3, 1, 0}, 0, 0), 3);
  EXPECT_EQ(next_new_size({3, 1, 0}, 0, 3), 1);
  EXPECT_EQ(next_new_size({3, 1, 0}, 1, 4), 1);
  EXPECT_EQ(next_new_size({3, 1, 0}, 5, 5), 3);
  EXPECT_EQ(next_new_size({0, 1, 0}, 2, 2), 0);
}

TEST(Rollout, ShrinksOldSetsOnlyAsAvailabilityAllows) {
  EXPECT_EQ(next_old_sizes({3, 1, 0}, {1, 0}, {{3, 3}}),
            Sizes{3});  // the new pod is not available yet
  EXPECT_EQ(next_old_sizes({3, 1, 0}, {1, 1}, {{3, 3}}), Sizes{2});
  EXPECT_EQ(next_old_sizes({3, 1, 1}, {1, 0}, {{3, 3}}), Sizes{2});
  EXPECT_EQ(next_old_sizes({3, 1, 0}, {1, 0}, {{2, 0}, {3, 3}}),
            (Sizes{0, 3}));  // broken ones first
  EXPECT_EQ(next_old_sizes({3, 3, 0}, {3, 3}, {{1, 1}, {2, 2}}), (Sizes{0, 0}));
}

TEST(Rollout, SimulatedRolloutNeverDropsBelowItsFloor) {
  for (const RolloutLimits limits : {RolloutLimits{5, 1, 0}, {5, 0, 1}, {5, 2, 2}, {4, 4, 0}}) {
    SetSize fresh{0, 0}, old{limits.replicas, limits.replicas};
    int steps = 0;
    while ((fresh.available < limits.replicas || old.wanted > 0) && ++steps < 100) {
      const auto size = next_new_size(limits, fresh.wanted, fresh.wanted + old.wanted);
      if (size != fresh.wanted) fresh.wanted = size;
      else if (const auto shrunk = next_old_sizes(limits, fresh, {old}); shrunk[0] != old.wanted)
        old.wanted = shrunk[0];
      else if (fresh.available < fresh.wanted) ++fresh.available;
      old.available = std::min(old.available, old.wanted);
      EXPECT_LE(fresh.wanted + old.wanted, limits.replicas + limits.max_surge);
      EXPECT_GE(fresh.available + old.available, limits.replicas - limits.max_unavailable);
    }
    EXPECT_LT(steps, 100);
  }
}

TEST(Rollout, TemplatesCompareWithoutTheirHash) {
  const Json a =
      json(R"({"metadata":{"labels":{"app":"x","pod-template-hash":"abc"}},"spec":{"a":1,"b":2}})");
  const Json b = json(R"({"metadata":{"labels":{"app":"x"}},"spec":{"b":2,"a":1}})");
  EXPECT_TRUE(is_same_template(a, b));
  EXPECT_EQ(template_hash(a, 0), template_hash(b, 0));
  EXPECT_NE(template_hash(a, 0), template_hash(a, 1));
  EXPECT_FALSE(
      is_same_template(a, json(R"({"metadata":{"labels":{"app":"x"}},"spec":{"b":3,"a":1}})")));
}

TEST(Pods, LeastUsefulGoFirst) {
  const auto order = by_deletion_order({
      object(
          R"({"metadata":{"name":"ready"},"spec":{"nodeName":"n"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}})"),
      object(
          R"({"metadata":{"name":"cheap","annotations":{"controller.kubernetes.io/pod-deletion-cost":"-5"}},"spec":{"nodeName":"n"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}})"),
      object(
          R"({"metadata":{"name":"unready"},"spec":{"nodeName":"n"},"status":{"phase":"Running"}})"),
      object(R"({"metadata":{"name":"unassigned"},"spec":{},"status":{"phase":"Pending"}})"),
      object(
          R"({"metadata":{"name":"pending"},"spec":{"nodeName":"n"},"status":{"phase":"Pending"}})"),
  });
  std::string names;
  for (const auto& pod : order) names += std::string(kube::name_of(*pod)) + " ";
  EXPECT_EQ(names, "unassigned pending unready cheap ready ");
}

JobPlan plan(std::string_view spec, JobCounts counts,
             std::optional<WallTime> failure = std::nullopt) {
  return plan_job(json(R"({"spec":)" + std::string(spec) +
                       R"(,"status":{"startTime":"2026-01-01T00:00:00Z"}})"),
                  counts, failure, *parse_rfc3339("2026-01-01T00:01:00Z"));
}

TEST(JobPlan, KeepsToParallelismAndCompletions) {
  EXPECT_EQ(plan(R"({"completions":5,"parallelism":2})", {}).create, 2);
  EXPECT_EQ(plan(R"({"completions":5,"parallelism":2})", {.succeeded = 4}).create, 1);
  EXPECT_EQ(plan(R"({"completions":5,"parallelism":2})", {.active = 2, .succeeded = 4}).remove, 1);
  EXPECT_EQ(plan(R"({"completions":5})", {.succeeded = 5}).end, JobPlan::End::kComplete);
  EXPECT_EQ(plan(R"({"parallelism":3})", {.active = 2, .succeeded = 1}).create, 0);
  EXPECT_EQ(plan(R"({"completions":5,"suspend":true})", {.active = 1}).remove, 1);
}

TEST(JobPlan, BacksOffAndGivesUp) {
  EXPECT_EQ(plan(R"({"completions":1,"backoffLimit":1})", {.failed = 2}).end,
            JobPlan::End::kBackoffLimit);
  EXPECT_EQ(plan(R"({"completions":1,"activeDeadlineSeconds":30})", {.active = 1}).end,
            JobPlan::End::kDeadline);
  const auto waiting =
      plan(R"({"completions":1})", {.failed = 1}, *parse_rfc3339("2026-01-01T00:00:55Z"));
  EXPECT_EQ(waiting.create, 0);
  EXPECT_EQ(waiting.look_again, nanoseconds(seconds(5)));
  EXPECT_EQ(
      plan(R"({"completions":1})", {.failed = 1}, *parse_rfc3339("2026-01-01T00:00:40Z")).create,
      1);
}

TEST(JobPlan, FillsGapsOfIndexes) {
  JobCounts counts;
  counts.done_indexes = {0, 2};
  counts.active_indexes = {1};
  counts.succeeded = 2;
  counts.active = 1;
  EXPECT_EQ(plan(R"({"completions":5,"parallelism":3,"completionMode":"Indexed"})", counts)
                .create_indexes,
            (Sizes{3, 4}));
  EXPECT_EQ(format_indexes({0, 1, 2, 5, 7, 8}), "0-2,5,7,8");
}

constexpr std::string_view kService =
    R"({"metadata":{"name":"s","namespace":"d"},"spec":{"selector":{"app":"x"},
    "ports":[{"name":"http","port":80,"targetPort":"web"},{"name":"raw","port":9,"protocol":"UDP"}]}})";
ObjectPtr backend(std::string_view name, std::string_view ip, bool is_ready,
                  std::string_view extra = "") {
  return object(fmt::format(
      R"({{"metadata":{{"name":"{0}","namespace":"d","labels":{{"app":"x"}}{3}}},"spec":{{"nodeName":"n","containers":[{{"ports":[{{"name":"web","containerPort":8080}}]}}]}},
          "status":{{"phase":"Running","podIP":"{1}","conditions":[{{"type":"Ready","status":"{2}"}}]}}}})",
      name, ip, is_ready ? "True" : "False", extra));
}

TEST(Endpoints, SortReadyFromNotReady) {
  const Json service = json(kService);
  const auto pods = backends_of(service, {backend("b", "10.0.0.2", false),
                                          backend("a", "10.0.0.1", true), backend("c", "", true)});
  ASSERT_EQ(pods.size(), 2u);
  const auto subsets = subsets_for(service, pods);
  ASSERT_EQ(subsets.size(), 1u);
  EXPECT_EQ(data::get_string(data::get_array(subsets[0], {"addresses"})[0], {"ip"}), "10.0.0.1");
  EXPECT_EQ(data::get_string(data::get_array(subsets[0], {"notReadyAddresses"})[0],
                             {"targetRef", "name"}),
            "b");
  EXPECT_EQ(
      data::dump_json(Json(data::get_array(subsets[0], {"ports"}))),
      R"([{"name":"http","port":8080,"protocol":"TCP"},{"name":"raw","port":9,"protocol":"UDP"}])");
}

TEST(Endpoints, SlicesTellTerminating) {
  const Json service = json(kService);
  const auto slices = slices_for(
      service, backends_of(service, {backend("a", "10.0.0.1", true,
                                             R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")")}));
  ASSERT_EQ(slices.size(), 1u);
  const Json& endpoint = data::get_array(slices[0], {"endpoints"})[0];
  EXPECT_EQ(data::dump_json(*data::find(endpoint, {"conditions"})),
            R"({"ready":false,"serving":true,"terminating":true})");
  EXPECT_EQ(data::get_string(slices[0], {"addressType"}), "IPv4");
  EXPECT_EQ(slices_for(service, {}).size(), 1u);
}

TEST(Endpoints, SlicesHoldAHundredEach) {
  std::vector<ObjectPtr> pods;
  for (int i = 0; i < 250; ++i)
    pods.push_back(backend("p" + std::to_string(i), "10.0.1." + std::to_string(i), true));
  const auto slices = slices_for(json(kService), pods);
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(data::get_array(slices[2], {"endpoints"}).size(), 50u);
}

TEST(Endpoints, HeadlessPublishesEarlyWhenAsked) {
  Json service = json(
      R"({"metadata":{"name":"s","namespace":"d"},"spec":{"clusterIP":"None","publishNotReadyAddresses":true,"selector":{"app":"x"}}})");
  const auto subsets = subsets_for(service, {backend("a", "10.0.0.1", false)});
  ASSERT_EQ(subsets.size(), 1u);
  EXPECT_EQ(data::get_array(subsets[0], {"addresses"}).size(), 1u);
  EXPECT_EQ(data::find(subsets[0], {"ports"}), nullptr);
}

TEST(Endpoints, MirrorsHandWrittenOnes) {
  const auto slices = mirrored_slices(json(
      R"({"subsets":[{"addresses":[{"ip":"1.2.3.4"},{"ip":"fd00::1"}],"ports":[{"port":80}]}]})"));
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(data::get_string(slices[1], {"addressType"}), "IPv6");
}

NodeView node(std::string_view extra = "{}", std::vector<ObjectPtr> pods = {}) {
  Json base = json(
      R"({"metadata":{"name":"n","labels":{"kubernetes.io/hostname":"n","disk":"ssd"}},"spec":{},"status":{"allocatable":{"cpu":"2","memory":"4Gi","pods":"110"}}})");
  return {std::make_shared<const Json>(kube::merge_patch(base, json(extra))), std::move(pods)};
}
std::vector<std::string> blocked(std::string_view pod, const NodeView& view) {
  return obstacles(json(pod), view, {view});
}
using Texts = std::vector<std::string>;

TEST(Placement, ChecksResources) {
  const auto big =
      R"({"spec":{"containers":[{"resources":{"requests":{"cpu":"1500m","memory":"1Gi"}}}]}})";
  EXPECT_EQ(blocked(big, node()), Texts{});
  EXPECT_EQ(blocked(big, node("{}", {object(big)})), Texts{"Insufficient cpu"});
  EXPECT_EQ(blocked(R"({"spec":{"containers":[{"resources":{"requests":{"gpu":"1"}}}]}})", node()),
            Texts{"Insufficient gpu"});
  EXPECT_EQ(blocked("{}", node(R"({"status":{"allocatable":{"pods":"0"}}})")),
            Texts{"Too many pods"});
}

TEST(Placement, InitContainersCountAsAPeak) {
  const auto requests = requests_of(json(
      R"({"spec":{"initContainers":[{"resources":{"requests":{"cpu":"3"}}},{"restartPolicy":"Always","resources":{"requests":{"cpu":"500m"}}}],
      "containers":[{"resources":{"requests":{"cpu":"1"}}}]}})"));
  EXPECT_EQ(requests.find("cpu")->second.milli_value(), 3000);
}

TEST(Placement, RespectsTaintsSelectorsAndCordon) {
  const auto tainted =
      node(R"({"spec":{"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]}})");
  EXPECT_EQ(blocked("{}", tainted), Texts{"node(s) had untolerated taint {a: b}"});
  EXPECT_EQ(blocked(R"({"spec":{"tolerations":[{"operator":"Exists"}]}})", tainted), Texts{});
  EXPECT_EQ(blocked(R"({"spec":{"tolerations":[{"key":"a","value":"c"}]}})", tainted).size(), 1u);
  EXPECT_EQ(blocked("{}", node(R"({"spec":{"unschedulable":true}})")),
            Texts{"node(s) were unschedulable"});
  EXPECT_EQ(blocked(R"({"spec":{"nodeSelector":{"disk":"hdd"}}})", node()),
            Texts{"node(s) didn't match Pod's node affinity/selector"});
  EXPECT_EQ(
      blocked(
          R"({"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"disk","operator":"In","values":["ssd"]}],"matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]}]}}}}})",
          node()),
      Texts{});
}

TEST(Placement, KeepsAntiAffinePodsApart) {
  const auto shy =
      R"({"metadata":{"namespace":"d","labels":{"app":"x"}},"spec":{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"x"}}}]}}}})";
  const auto other = object(R"({"metadata":{"namespace":"d","uid":"u","labels":{"app":"x"}}})");
  EXPECT_EQ(blocked(shy, node()), Texts{});
  EXPECT_EQ(blocked(shy, node("{}", {other})),
            Texts{"node(s) didn't match pod anti-affinity rules"});
}

TEST(Placement, SaysWhyLikeKubeScheduler) {
  EXPECT_EQ(unschedulable_message(1, {{"Insufficient cpu", 1}}),
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 "
            "No preemption victims found for incoming pod.");
}

std::string next_of(std::string_view schedule, std::string_view after) {
  const auto parsed = CronSchedule::parse(schedule);
  if (!parsed) return "bad";
  const auto next = parsed->next(*parse_rfc3339(after));
  return next ? format_rfc3339(*next) : "never";
}

TEST(Cron, FindsTheNextTime) {
  EXPECT_EQ(next_of("*/5 * * * *", "2026-11-24T10:03:30Z"), "2026-11-24T10:05:00Z");
  EXPECT_EQ(next_of("0 0 1 1 *", "2026-11-24T10:03:30Z"), "2027-01-01T00:00:00Z");
  EXPECT_EQ(next_of("30 9 * * mon-fri", "2026-11-27T10:00:00Z"), "2026-11-30T09:30:00Z");
  EXPECT_EQ(next_of("0 0 29 2 *", "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00Z");
  EXPECT_EQ(next_of("0 0 13 * 5", "2026-11-24T00:00:00Z"), "2026-11-27T00:00:00Z");
  EXPECT_EQ(next_of("@hourly", "2026-11-24T23:00:00Z"), "2026-11-25T00:00:00Z");
  EXPECT_EQ(next_of("5/20 * * * 7", "2026-11-28T23:59:59Z"), "2026-11-29T00:05:00Z");
  EXPECT_EQ(next_of("0 0 31 2 *", "2026-11-24T00:00:00Z"), "never");
  for (const auto bad :
       {"* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "5-1 * * * *", "*/0 * * * *"}) {
    EXPECT_EQ(next_of(bad, "2026-11-24T00:00:00Z"), "bad") << bad;
  }
}

}  // namespace
}  // namespace lateen::cluster::controllers
