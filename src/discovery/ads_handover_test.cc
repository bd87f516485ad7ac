// Streams handed over between replicas: one that goes away ends its streams one after the other,
// and one that is new sends a client that knows what it holds nothing of it again.
#include <fmt/core.h>

#include <map>

#include "discovery/ads_test_support.h"

namespace lateen::discovery {
namespace {

class AdsHandover : public AdsTest {
 protected:
  static void take(const xds_v3::DeltaDiscoveryResponse& response, Held& held) {
    for (const auto& resource : response.resources()) held[resource.name()] = resource.version();
    for (const auto& name : response.removed_resources()) held.erase(name);
  }
};

TEST_F(AdsHandover, AReplicaThatGoesEndsItsStreamsOneAfterTheOther) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(connect(plain_));
    send(*clients.back(), xds::kClusterType);
    ASSERT_EQ(clients.back()->responses.size(), 1u);
  }
  const auto ended = [&] {
    return std::count_if(clients.begin(), clients.end(),
                         [](const auto& client) { return client->ended.has_value(); });
  };
  bool is_done = false;
  ads_.drain(seconds(1), [&] { is_done = true; });
  loop_.run_for(milliseconds(20));
  EXPECT_EQ(ended(), 1);
  loop_.run_for(milliseconds(500));
  EXPECT_GE(ended(), 4);
  EXPECT_LE(ended(), 7);
  EXPECT_FALSE(is_done);
  // Those that are left still get what changes.
  mesh_.service("ratings", "10.96.0.2", 9080, "http", {"v1"});
  publish(full());
  ASSERT_FALSE(clients.back()->ended);
  EXPECT_EQ(clients.back()->responses.size(), 2u);
  EXPECT_EQ(clients.front()->responses.size(), 1u);
  // New ones are to go elsewhere.
  auto late = connect(plain_);
  send(*late, xds::kClusterType);
  ASSERT_TRUE(late->ended);
  EXPECT_EQ(late->ended->code, Code::kUnavailable);
  EXPECT_TRUE(late->responses.empty());
  loop_.run_for(seconds(1));
  EXPECT_EQ(ended(), 10);
  EXPECT_TRUE(is_done);
  for (const auto& client : clients) EXPECT_EQ(client->ended->code, Code::kUnavailable);
}

TEST_F(AdsHandover, WithoutStreamsItIsOverAtOnce) {
  bool is_done = false;
  ads_.drain(seconds(1), [&] { is_done = true; });
  EXPECT_TRUE(is_done);
}

TEST_F(AdsHandover, ANewReplicaSendsNothingThatIsHeldAlready) {
  const std::string_view types[] = {xds::kClusterType, xds::kListenerType};
  std::map<std::string, Held> held;
  auto before = connect_delta(plain_);
  for (const std::string_view type : types) ask(*before, type, {}, {});
  ask(*before, xds::kEndpointType, {kReviews}, {});
  ask(*before, xds::kRouteType, {"9080"}, {});
  ASSERT_EQ(before->responses.size(), 4u);
  for (const auto& response : before->responses) {
    EXPECT_GT(response.resources_size(), 0) << response.type_url();
    take(response, held[response.type_url()]);
  }

  // Another process: its own catalog, versions and pushes, from the same objects.
  Metrics metrics;
  Ads other(loop_, loop_.clock(), {}, nullptr, metrics);
  grpc::Service door;
  other.attach(door, Door::kPlain);
  TestMesh mesh;
  mesh.service("reviews", "10.96.0.1", 9080, "http", {"v1"});
  const auto publish_other = [&](const std::string& version) {
    other.publish(std::make_shared<const MeshSnapshot>(mesh.store().input(version)), full(),
                  loop_.now());
    loop_.run_for(milliseconds(5));
  };
  publish_other("other/1");
  auto after = connect_delta(door);
  for (const std::string_view type : types) ask(*after, type, {}, held[std::string(type)]);
  ask(*after, xds::kEndpointType, {kReviews}, held[std::string(xds::kEndpointType)]);
  ask(*after, xds::kRouteType, {"9080"}, held[std::string(xds::kRouteType)]);
  ASSERT_EQ(after->responses.size(), 4u);  // each is answered, which ends a proxy's waiting
  for (const auto& response : after->responses) {
    EXPECT_EQ(response.resources_size(), 0) << response.type_url();
    EXPECT_EQ(response.removed_resources_size(), 0) << response.type_url();
  }

  // What it lost meanwhile it is told, and only that.
  Held stale = held[std::string(xds::kClusterType)];
  stale["outbound|9080||gone.default.svc.cluster.local"] = "1";
  stale[kReviews] = "2";
  auto third = connect_delta(door);
  ask(*third, xds::kClusterType, {}, stale);
  ASSERT_EQ(third->responses.size(), 1u);
  ASSERT_EQ(third->responses[0].resources_size(), 1);
  EXPECT_EQ(third->responses[0].resources(0).name(), kReviews);
  ASSERT_EQ(third->responses[0].removed_resources_size(), 1);
  EXPECT_EQ(third->responses[0].removed_resources(0),
            "outbound|9080||gone.default.svc.cluster.local");

  // And the next change reaches all of them as a difference.
  mesh.service("ratings", "10.96.0.2", 9080, "http", {"v1"});
  publish_other("other/2");
  const auto& change = after->responses.back();
  EXPECT_GT(after->responses.size(), 4u);
  for (std::size_t i = 4; i < after->responses.size(); ++i) {
    EXPECT_LE(after->responses[i].resources_size(), 2) << change.type_url();
  }
  after.reset();
  third.reset();
  loop_.run_for(milliseconds(5));
  served_.clear();  // they look at `door`
}

}  // namespace
}  // namespace lateen::discovery
