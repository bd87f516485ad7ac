// All controllers together against the in-memory API server: what a user applies must come to life.
#include "cluster/controllers/controllers.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "kube/memory_server.h"

namespace lateen::cluster::controllers {
namespace {

using data::Json;
namespace r = kube::resources;

Json json(std::string_view text) {
  auto value = data::parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value ? std::move(value).value() : Json();
}

// A cluster with one node whose "kubelet" makes bound pods ready and ends deleted ones.
class ControllersTest : public testing::Test {
 protected:
  ControllersTest()
      : client_(server_.transport()), controllers_(client_, clock_, {.root_ca_pem = "CA"}) {
    server_.put(json(
        R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"status":{"allocatable":{"cpu":"4","memory":"8Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}})"));
    create(r::namespaces(), R"({"metadata":{"name":"d"}})");
    const auto started = controllers_.start();
    EXPECT_TRUE(started.ok());
    kubelet_ = std::thread([this] {
      while (!is_done_) {
        for (const Json& pod : server_.all(r::pods())) {
          if (runs_pods_) run(pod);
        }
        std::this_thread::sleep_for(milliseconds(1));
      }
    });
  }
  ~ControllersTest() override {
    is_done_ = true;
    kubelet_.join();
    controllers_.stop();
  }

  void run(const Json& pod) {
    if (data::get_string(pod, {"spec", "nodeName"}).empty()) return;
    const kube::Key key = kube::key_of(pod);
    if (kube::is_deleting(pod)) {
      (void)client_.remove(r::pods(), key, {.grace_seconds = 0});
      return;
    }
    if (data::get_string(pod, {"status", "phase"}) != "Pending") return;
    const bool is_job = data::get_string(pod, {"spec", "restartPolicy"}) == "Never";
    Json next = pod;
    data::set(
        next, {"status"},
        json(
            is_job
                ? R"({"phase":"Succeeded","podIP":"10.0.0.9"})"
                : R"({"phase":"Running","podIP":"10.0.0.9","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]})"));
    (void)client_.update_status(r::pods(), next);
  }

  Json create(const kube::Resource& resource, std::string_view text) {
    Json object = json(text);
    if (resource.is_namespaced) data::set(object, {"metadata", "namespace"}, "d");
    auto created = client_.create(resource, object);
    EXPECT_TRUE(created.ok()) << created.error().message();
    return created ? *created : Json();
  }
  Json get(const kube::Resource& resource, std::string_view name) {
    return client_.get(resource, {resource.is_namespaced ? "d" : "", std::string(name)})
        .value_or(Json());
  }
  std::size_t count(const kube::Resource& resource) { return server_.all(resource).size(); }
  bool eventually(const std::function<bool()>& holds) { return server_.wait_until(holds); }

  static std::string deployment(std::string_view image, int replicas,
                                std::string_view strategy = "RollingUpdate") {
    return fmt::format(
        R"({{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"web"}},"spec":{{"replicas":{1},"progressDeadlineSeconds":600,
        "selector":{{"matchLabels":{{"app":"web"}}}},"strategy":{{"type":"{2}"}},"template":{{"metadata":{{"labels":{{"app":"web"}}}},
        "spec":{{"containers":[{{"name":"c","image":"{0}"}}]}}}}}}}})",
        image, replicas, strategy);
  }
  bool is_rolled_out(std::int64_t replicas, std::string_view image) {
    const Json web = get(r::deployments(), "web");
    if (data::get_int(web, {"status", "availableReplicas"}) != replicas) return false;
    if (data::get_int(web, {"status", "replicas"}) != replicas) return false;
    if (data::get_int(web, {"status", "updatedReplicas"}) != replicas) return false;
    if (data::get_int(web, {"status", "observedGeneration"}) !=
        data::get_int(web, {"metadata", "generation"}))
      return false;
    for (const Json& pod : server_.all(r::pods())) {
      if (data::get_string(data::get_array(pod, {"spec", "containers"})[0], {"image"}) != image)
        return false;
    }
    return true;
  }

  SystemClock clock_;
  kube::MemoryServer server_;
  kube::Client client_;
  Controllers controllers_;
  std::atomic<bool> is_done_{false};
  std::atomic<bool> runs_pods_{true};
  std::thread kubelet_;
};

TEST_F(ControllersTest, DeploymentRunsRollsAndRollsBack) {
  create(r::deployments(), deployment("a", 3));
  ASSERT_TRUE(eventually([&] { return is_rolled_out(3, "a"); }));
  EXPECT_EQ(kube::annotation(get(r::deployments(), "web"), "deployment.kubernetes.io/revision"),
            "1");

  const auto set_image = [&](std::string_view image) {
    ASSERT_TRUE(
        client_
            .patch(
                r::deployments(), {"d", "web"}, kube::Patch::kStrategic,
                json(fmt::format(
                    R"({{"spec":{{"template":{{"spec":{{"containers":[{{"name":"c","image":"{}"}}]}}}}}}}})",
                    image)))
            .ok());
  };
  set_image("b");
  ASSERT_TRUE(eventually([&] { return is_rolled_out(3, "b"); }));
  EXPECT_EQ(count(r::replica_sets()), 2u);
  ASSERT_TRUE(eventually([&] {
    const Json web = get(r::deployments(), "web");
    const Json* progress = kube::condition(web, "Progressing");
    return progress != nullptr &&
           data::get_string(*progress, {"reason"}) == "NewReplicaSetAvailable";
  }));
  set_image("a");
  ASSERT_TRUE(eventually([&] { return is_rolled_out(3, "a"); }));
  EXPECT_EQ(count(r::replica_sets()), 2u);
  EXPECT_EQ(kube::annotation(get(r::deployments(), "web"), "deployment.kubernetes.io/revision"),
            "3");
}

TEST_F(ControllersTest, DeploymentRecreatesScalesAndPauses) {
  create(r::deployments(), deployment("a", 2, "Recreate"));
  ASSERT_TRUE(eventually([&] { return is_rolled_out(2, "a"); }));
  ASSERT_TRUE(client_
                  .patch(r::deployments(), {"d", "web"}, kube::Patch::kMerge,
                         json(R"({"spec":{"replicas":4,"paused":true}})"))
                  .ok());
  ASSERT_TRUE(eventually([&] { return is_rolled_out(4, "a"); }));
  ASSERT_TRUE(
      client_
          .patch(
              r::deployments(), {"d", "web"}, kube::Patch::kMerge,
              json(
                  R"({"spec":{"paused":false,"template":{"spec":{"containers":[{"name":"c","image":"b"}]}}}})"))
          .ok());
  ASSERT_TRUE(eventually([&] { return is_rolled_out(4, "b"); }));
}

TEST_F(ControllersTest, DeletedDeploymentTakesItsPodsAlong) {
  create(r::deployments(), deployment("a", 2));
  ASSERT_TRUE(eventually([&] { return is_rolled_out(2, "a"); }));
  ASSERT_TRUE(client_.remove(r::deployments(), {"d", "web"}).ok());
  ASSERT_TRUE(eventually([&] { return count(r::replica_sets()) == 0 && count(r::pods()) == 0; }));
}

TEST_F(ControllersTest, ForegroundDeletionWaitsForDependents) {
  create(r::deployments(), deployment("a", 2));
  ASSERT_TRUE(eventually([&] { return is_rolled_out(2, "a"); }));
  runs_pods_ = false;
  ASSERT_TRUE(
      client_
          .remove(r::deployments(), {"d", "web"}, {.propagation = kube::Propagation::kForeground})
          .ok());
  ASSERT_TRUE(eventually([&] {
    const auto pods = server_.all(r::pods());
    return std::all_of(pods.begin(), pods.end(),
                       [](const Json& pod) { return kube::is_deleting(pod); });
  }));
  EXPECT_EQ(count(r::deployments()), 1u);
  runs_pods_ = true;
  ASSERT_TRUE(eventually([&] { return count(r::deployments()) == 0 && count(r::pods()) == 0; }));
}

TEST_F(ControllersTest, OrphansStay) {
  create(r::deployments(), deployment("a", 1));
  ASSERT_TRUE(eventually([&] { return is_rolled_out(1, "a"); }));
  ASSERT_TRUE(
      client_.remove(r::deployments(), {"d", "web"}, {.propagation = kube::Propagation::kOrphan})
          .ok());
  ASSERT_TRUE(eventually([&] { return count(r::deployments()) == 0; }));
  const auto sets = server_.all(r::replica_sets());
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_EQ(kube::controller_of(sets[0]), nullptr);
}

TEST_F(ControllersTest, ServiceGetsEndpointsAndLosesThem) {
  create(r::services(),
         R"({"metadata":{"name":"web"},"spec":{"selector":{"app":"web"},"ports":[{"port":80}]}})");
  create(r::deployments(), deployment("a", 2));
  ASSERT_TRUE(eventually([&] {
    const auto slices = server_.all(r::endpoint_slices());
    return slices.size() == 1 && data::get_array(slices[0], {"endpoints"}).size() == 2 &&
           data::get_bool(data::get_array(slices[0], {"endpoints"})[0], {"conditions", "ready"});
  }));
  ASSERT_TRUE(eventually([&] {
    const Json endpoints = get(r::endpoints(), "web");
    const auto& subsets = data::get_array(endpoints, {"subsets"});
    return subsets.size() == 1 && data::get_array(subsets[0], {"addresses"}).size() == 2;
  }));
  ASSERT_TRUE(client_.remove(r::services(), {"d", "web"}).ok());
  ASSERT_TRUE(
      eventually([&] { return count(r::endpoint_slices()) == 0 && count(r::endpoints()) == 0; }));
}

TEST_F(ControllersTest, JobCompletesAndExpires) {
  create(
      r::jobs(),
      R"({"metadata":{"name":"j"},"spec":{"completions":3,"parallelism":2,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c"}]}}}})");
  ASSERT_TRUE(
      eventually([&] { return kube::condition(get(r::jobs(), "j"), "Complete") != nullptr; }));
  EXPECT_EQ(data::get_int(get(r::jobs(), "j"), {"status", "succeeded"}), 3);
  EXPECT_EQ(count(r::pods()), 3u);
  ASSERT_TRUE(client_
                  .patch(r::jobs(), {"d", "j"}, kube::Patch::kMerge,
                         json(R"({"spec":{"ttlSecondsAfterFinished":0}})"))
                  .ok());
  ASSERT_TRUE(eventually([&] { return count(r::jobs()) == 0 && count(r::pods()) == 0; }));
}

TEST_F(ControllersTest, NamespaceIsFurnishedAndEmptied) {
  ASSERT_TRUE(eventually([&] { return !get(r::service_accounts(), "default").is_null(); }));
  ASSERT_TRUE(eventually([&] {
    return data::get_string(get(r::config_maps(), "kube-root-ca.crt"), {"data", "ca.crt"}) == "CA";
  }));
  create(r::deployments(), deployment("a", 2));
  create(r::config_maps(), R"({"metadata":{"name":"x"}})");
  ASSERT_TRUE(eventually([&] { return is_rolled_out(2, "a"); }));
  ASSERT_TRUE(client_.remove(r::namespaces(), {"", "d"}).ok());
  ASSERT_TRUE(eventually([&] { return count(r::namespaces()) == 0; }));
  // This server lets a controller that is not up to date make a pod in a namespace that goes: then
  // the pod goes with its owner.
  EXPECT_TRUE(eventually([&] { return count(r::pods()) == 0; }));
  EXPECT_TRUE(eventually([&] { return count(r::config_maps()) == 0; }));
}

TEST_F(ControllersTest, SchedulerWaitsForRoomAndSaysSo) {
  const Json big = create(
      r::pods(),
      R"({"metadata":{"name":"big"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"3"}}}]}})");
  ASSERT_TRUE(eventually([&] {
    return data::get_string(get(r::pods(), "big"), {"spec", "nodeName"}) == "n";
  }));
  create(
      r::pods(),
      R"({"metadata":{"name":"too"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"2"}}}]}})");
  ASSERT_TRUE(eventually(
      [&] { return kube::condition(get(r::pods(), "too"), "PodScheduled") != nullptr; }));
  EXPECT_TRUE(eventually([&] {
    const auto events = server_.all(r::events());
    return std::any_of(events.begin(), events.end(), [](const Json& e) {
      return data::get_string(e, {"reason"}) == "FailedScheduling";
    });
  }));
  ASSERT_TRUE(client_.remove(r::pods(), {"d", "big"}).ok());
  ASSERT_TRUE(eventually([&] {
    return data::get_string(get(r::pods(), "too"), {"spec", "nodeName"}) == "n";
  }));
}

TEST_F(ControllersTest, SurvivesRestartAndExpiredWatches) {
  create(r::deployments(), deployment("a", 2));
  ASSERT_TRUE(eventually([&] { return is_rolled_out(2, "a"); }));
  controllers_.stop();
  ASSERT_TRUE(client_
                  .patch(r::deployments(), {"d", "web"}, kube::Patch::kMerge,
                         json(R"({"spec":{"replicas":3}})"))
                  .ok());
  ASSERT_TRUE(controllers_.start().ok());
  ASSERT_TRUE(eventually([&] { return is_rolled_out(3, "a"); }));
  server_.expire();
  ASSERT_TRUE(client_
                  .patch(r::deployments(), {"d", "web"}, kube::Patch::kMerge,
                         json(R"({"spec":{"replicas":1}})"))
                  .ok());
  ASSERT_TRUE(eventually([&] { return is_rolled_out(1, "a"); }));
}

TEST_F(ControllersTest, StatefulSetStartsInOrderAndReplacesFromTheTop) {
  create(
      r::stateful_sets(),
      R"({"metadata":{"name":"db"},"spec":{"replicas":3,"serviceName":"db","selector":{"matchLabels":{"app":"db"}},
      "volumeClaimTemplates":[{"metadata":{"name":"data"},"spec":{}}],
      "template":{"metadata":{"labels":{"app":"db"}},"spec":{"containers":[{"name":"c","image":"a"}]}}}})");
  const auto is_ready = [&](std::int64_t replicas, std::string_view image) {
    const Json set = get(r::stateful_sets(), "db");
    const auto pods = server_.all(r::pods());
    return data::get_int(set, {"status", "readyReplicas"}) == replicas &&
           data::get_int(set, {"status", "updatedReplicas"}) == replicas &&
           std::all_of(pods.begin(), pods.end(), [&](const Json& pod) {
             return data::get_string(data::get_array(pod, {"spec", "containers"})[0], {"image"}) ==
                    image;
           });
  };
  ASSERT_TRUE(eventually([&] { return is_ready(3, "a"); }));
  const Json last = get(r::pods(), "db-2");
  EXPECT_EQ(kube::label(last, "apps.kubernetes.io/pod-index"), "2");
  EXPECT_EQ(data::get_string(last, {"spec", "subdomain"}), "db");
  EXPECT_EQ(count(r::persistent_volume_claims()), 3u);
  ASSERT_TRUE(
      client_
          .patch(
              r::stateful_sets(), {"d", "db"}, kube::Patch::kMerge,
              json(
                  R"({"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"c","image":"b"}]}}}})"))
          .ok());
  ASSERT_TRUE(eventually([&] { return is_ready(2, "b") && count(r::pods()) == 2; }));
  EXPECT_EQ(count(r::controller_revisions()), 2u);
  EXPECT_EQ(count(r::persistent_volume_claims()), 3u);
}

TEST_F(ControllersTest, DaemonSetRunsOnTheNodeAndUpdates) {
  create(r::daemon_sets(),
         R"({"metadata":{"name":"ds"},"spec":{"selector":{"matchLabels":{"app":"ds"}},
      "template":{"metadata":{"labels":{"app":"ds"}},"spec":{"containers":[{"name":"c","image":"a"}]}}}})");
  const auto runs = [&](std::string_view image) {
    const Json set = get(r::daemon_sets(), "ds");
    const auto pods = server_.all(r::pods());
    return pods.size() == 1 && data::get_int(set, {"status", "numberAvailable"}) == 1 &&
           data::get_int(set, {"status", "updatedNumberScheduled"}) == 1 &&
           data::get_string(data::get_array(pods[0], {"spec", "containers"})[0], {"image"}) ==
               image;
  };
  ASSERT_TRUE(eventually([&] { return runs("a"); }));
  ASSERT_TRUE(
      client_
          .patch(
              r::daemon_sets(), {"d", "ds"}, kube::Patch::kMerge,
              json(R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"b"}]}}}})"))
          .ok());
  ASSERT_TRUE(eventually([&] { return runs("b"); }));
}

TEST_F(ControllersTest, AutoscalerKeepsBoundsWithoutMetrics) {
  create(r::deployments(), deployment("a", 1));
  create(
      r::hpas(),
      R"({"metadata":{"name":"h"},"spec":{"minReplicas":2,"maxReplicas":4,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},
      "metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}]}})");
  ASSERT_TRUE(eventually([&] { return is_rolled_out(2, "a"); }));
  ASSERT_TRUE(
      client_
          .patch(r::hpas(), {"d", "h"}, kube::Patch::kMerge, json(R"({"spec":{"maxReplicas":5}})"))
          .ok());
  ASSERT_TRUE(eventually([&] {
    const Json hpa = get(r::hpas(), "h");
    const Json* active = kube::condition(hpa, "ScalingActive");
    return active != nullptr && data::get_string(*active, {"reason"}) == "FailedGetResourceMetric";
  }));
}

TEST_F(ControllersTest, BudgetTellsWhatMayGo) {
  create(r::deployments(), deployment("a", 3));
  create(
      r::pdbs(),
      R"({"metadata":{"name":"b"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"web"}}}})");
  ASSERT_TRUE(eventually([&] {
    return data::get_int(get(r::pdbs(), "b"), {"status", "disruptionsAllowed"}) == 2;
  }));
}

TEST_F(ControllersTest, CronJobStartsWhatIsDue) {
  server_.put(json(
      R"({"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"c","namespace":"d","creationTimestamp":"2026-01-01T00:00:00Z"},
      "spec":{"schedule":"* * * * *","startingDeadlineSeconds":120,"jobTemplate":{"spec":{"completions":1,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c"}]}}}}}})"));
  ASSERT_TRUE(eventually([&] {
    return !data::get_string(get(r::cron_jobs(), "c"), {"status", "lastSuccessfulTime"}).empty();
  }));
  EXPECT_EQ(count(r::jobs()), 1u);
}

TEST_F(ControllersTest, CordonTaintsAndBlocks) {
  ASSERT_TRUE(client_
                  .patch(r::nodes(), {"", "n"}, kube::Patch::kMerge,
                         json(R"({"spec":{"unschedulable":true}})"))
                  .ok());
  ASSERT_TRUE(eventually([&] {
    return data::get_array(get(r::nodes(), "n"), {"spec", "taints"}).size() == 1;
  }));
  create(r::pods(), R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c"}]}})");
  ASSERT_TRUE(
      eventually([&] { return kube::condition(get(r::pods(), "p"), "PodScheduled") != nullptr; }));
  ASSERT_TRUE(client_
                  .patch(r::nodes(), {"", "n"}, kube::Patch::kMerge,
                         json(R"({"spec":{"unschedulable":null}})"))
                  .ok());
  ASSERT_TRUE(eventually([&] {
    return data::get_string(get(r::pods(), "p"), {"spec", "nodeName"}) == "n";
  }));
}

}  // namespace
}  // namespace lateen::cluster::controllers
