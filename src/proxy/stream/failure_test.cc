// Each kind of failure names the object that decided it, in the store and in the log.

#include "proxy/stream/failure.h"

#include <fstream>

#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

using testing::filter;
using testing::FilterBench;
using testing::Reply;

constexpr const char* kVirtualService =
    R"("metadata": {"filter_metadata": {"istio": {"config":
    "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews"}}})";

Failure last_of(const FilterBench& bench) {
  const auto all = bench.shared.failures.last(1);
  return all.empty() ? Failure() : all.front();
}

void put_cluster(FilterBench& bench, const std::string& name, const std::string& more,
                 const std::vector<HostConfig::Health>& hosts) {
  envoy::config::cluster::v3::Cluster config;
  FilterBench::read(R"({"name": ")" + name + R"(", "connect_timeout": "2s")" + more + "}", config);
  auto made = ClusterConfig::compile(config);
  ASSERT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
  auto set = std::make_shared<EndpointSet>();
  set->priorities.resize(1);
  set->priorities[0].resize(1);
  for (const auto health : hosts) {
    HostConfig host;
    host.address = *net::Address::parse("127.0.0.1:1");
    host.state = std::make_shared<HostState>();
    host.health = health;
    set->priorities[0][0].hosts.push_back(std::make_shared<const HostConfig>(std::move(host)));
  }
  bench.worker.put_cluster(*made, set);
}

TEST(Failure, NamesOfConfigsAreForPeople) {
  EXPECT_EQ(name_of_config("/apis/networking.istio.io/v1/namespaces/a/destination-rule/b"),
            "DestinationRule a/b");
  EXPECT_EQ(name_of_config("something else"), "something else");
}

TEST(Failure, AnUnknownClusterNamesItsVirtualService) {
  FilterBench bench;
  ASSERT_EQ(
      bench.configure("", kVirtualService, R"("route": {"cluster": "outbound|80|v9|reviews"})"),
      "");
  const Reply reply = bench.call("GET", "/a?secret=1");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.body, "");  // nothing of it goes to the client
  const Failure failure = last_of(bench);
  EXPECT_EQ(failure.object, "VirtualService shop/reviews");
  EXPECT_EQ(failure.object_path,
            "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews");
  EXPECT_EQ(failure.cluster, "outbound|80|v9|reviews");
  EXPECT_NE(failure.reason.find("does not exist"), std::string::npos) << failure.reason;
  EXPECT_EQ(failure.path, "/a");
  EXPECT_EQ(failure.flags, "NC");
  EXPECT_EQ(failure.status, 503);
}

TEST(Failure, NoHostCountsWhyAndNamesTheDestinationRule) {
  FilterBench bench;
  using Health = HostConfig::Health;
  put_cluster(bench, "app",
              R"(, "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
              "metadata": {"filter_metadata": {"istio": {"config":
              "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/app"}}})",
              {Health::kUnhealthy, Health::kUnhealthy});
  ASSERT_EQ(bench.configure(""), "");
  EXPECT_EQ(bench.call("GET", "/").status, 503);
  const Failure failure = last_of(bench);
  EXPECT_EQ(failure.object, "DestinationRule shop/app");
  EXPECT_NE(failure.reason.find("none of the 2 endpoints"), std::string::npos) << failure.reason;
  EXPECT_NE(failure.reason.find("2 reported unhealthy"), std::string::npos) << failure.reason;
}

TEST(Failure, ARefusedConnectionNamesHostAndCause) {
  FilterBench bench;
  put_cluster(bench, "app", "", {HostConfig::Health::kHealthy});
  ASSERT_EQ(bench.configure(""), "");
  EXPECT_EQ(bench.call("GET", "/").status, 503);
  const Failure failure = last_of(bench);
  EXPECT_EQ(failure.object, "cluster app");
  EXPECT_EQ(failure.host, "127.0.0.1:1");
  EXPECT_NE(failure.reason.find("refused"), std::string::npos) << failure.reason;
}

TEST(Failure, AnAuthorizationPolicyIsNamed) {
  FilterBench bench;
  ASSERT_EQ(bench.configure(filter("rbac", "envoy.extensions.filters.http.rbac.v3.RBAC",
                                   R"("rules": {"action": "DENY", "policies": {
                                   "ns[shop]-policy[no-get]-rule[2]": {
                                   "permissions": [{"any": true}], "principals": [{"any": true}]}}})")),
            "");
  EXPECT_EQ(bench.call("GET", "/").status, 403);
  const Failure failure = last_of(bench);
  EXPECT_EQ(failure.object, "AuthorizationPolicy shop/no-get");
  EXPECT_EQ(failure.reason, "rule 2 denies it");
}

TEST(Failure, WithoutAMatchingAllowRuleItSaysSo) {
  FilterBench bench;
  ASSERT_EQ(bench.configure(filter("rbac", "envoy.extensions.filters.http.rbac.v3.RBAC",
                                   R"("rules": {"action": "ALLOW", "policies": {}})")),
            "");
  EXPECT_EQ(bench.call("GET", "/").status, 403);
  EXPECT_EQ(last_of(bench).reason, "no policy allows it, and there are policies that allow");
}

TEST(Failure, WhatTheApplicationAnswersIsNoneOfOurs) {
  FilterBench bench;
  testing::Seen seen;
  testing::App app(testing::answering(seen, {}, "no", 500));
  bench.serve("app", app);
  ASSERT_EQ(bench.configure(""), "");
  EXPECT_EQ(bench.call("GET", "/").status, 500);
  EXPECT_TRUE(bench.shared.failures.last(1).empty());
}

TEST(Failure, TheLogShowsIt) {
  FilterBench bench;
  const std::string path = ::testing::TempDir() + "/failure_" + std::to_string(getpid()) + ".log";
  ASSERT_EQ(bench.configure("", kVirtualService, R"("route": {"cluster": "gone"})",
                            R"("access_log": [{"name": "f", "typed_config": {"@type":
      "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": ")" +
                                path + R"(", "log_format": {"text_format_source": {"inline_string":
      "%RESPONSE_CODE%|%FAILURE%|%FAILURE(config)%|%DYNAMIC_METADATA(lateen.failure:object)%\n"}}}}])"),
            "");
  EXPECT_EQ(bench.call("GET", "/").status, 503);
  bench.logs.flush_all();
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  EXPECT_TRUE(line.starts_with("503|VirtualService shop/reviews: cluster 'gone'")) << line;
  EXPECT_TRUE(
      line.ends_with("|/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews|"
                     "VirtualService shop/reviews"))
      << line;
  std::remove(path.c_str());
}

TEST(Failure, TheStoreIsBounded) {
  FailureStore store;
  const SteadyTime now{seconds(1000)};
  std::uint32_t taken = 0;
  for (std::uint32_t i = 0; i < 3 * FailureStore::kMostPerSecond; ++i)
    if (store.admits(now)) ++taken;
  EXPECT_EQ(taken, FailureStore::kMostPerSecond);
  EXPECT_EQ(store.skipped(), 2 * FailureStore::kMostPerSecond);
  EXPECT_TRUE(store.admits(now + seconds(1)));
  for (std::size_t i = 0; i < FailureStore::kMost + 10; ++i) {
    Failure failure;
    failure.object = std::to_string(i);
    store.add(failure);
  }
  const auto all = store.last(100'000);
  ASSERT_EQ(all.size(), FailureStore::kMost);
  EXPECT_EQ(all.front().object, std::to_string(FailureStore::kMost + 9));
}

}  // namespace
}  // namespace lateen::proxy
