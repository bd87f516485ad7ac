// Clients of the discovery service that misbehave: none of them disturbs the others, and what the
// service keeps for them is bounded.
#include <fmt/core.h>

#include "discovery/ads_test_support.h"
#include "envoy/config/cluster/v3/cluster.pb.h"

namespace lateen::discovery {
namespace {

class AdsFaults : public AdsTest {
 protected:
  // A change that every proxy's clusters show; large, so that queues fill.
  void change(int turn) {
    mesh_.with(fmt::format(R"(
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: r, namespace: default}}
spec: {{host: reviews, trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {}}}}}}}}}
)",
                           turn + 1));
    mesh_.take_impact();
    publish(full());
  }
  static std::uint32_t limit_in(const xds_v3::DiscoveryResponse& response) {
    for (const auto& resource : response.resources()) {
      envoy::config::cluster::v3::Cluster cluster;
      if (!resource.UnpackTo(&cluster) || cluster.name() != kReviews) continue;
      return cluster.circuit_breakers().thresholds(0).max_connections().value();
    }
    return 0;
  }
  std::unique_ptr<Client> subscribed() {
    auto client = connect(plain_);
    send(*client, xds::kClusterType);
    return client;
  }
  void acknowledge(Client& client) {
    send(client, xds::kClusterType, {}, client.responses.back().nonce());
  }
  void many_services() {
    for (int i = 0; i < 200; ++i) {
      mesh_.service(fmt::format("filler-{}", i), fmt::format("10.97.0.{}", i + 1), 9080, "http",
                    {});
    }
    publish(full());
  }
};

TEST_F(AdsFaults, OneThatNeverAcknowledgesGetsEachChangeOnce) {
  auto silent = subscribed();
  auto good = subscribed();
  acknowledge(*good);
  for (int turn = 0; turn < 20; ++turn) {
    change(turn);
    acknowledge(*good);
  }
  EXPECT_EQ(good->responses.size(), 21u);
  EXPECT_EQ(silent->responses.size(), 21u);
  EXPECT_EQ(limit_in(good->responses.back()), 20u);
  EXPECT_EQ(ads_.distribution().total, 2u);
  EXPECT_EQ(ads_.distribution().current, 1u);
}

TEST_F(AdsFaults, OneThatDoesNotReadIsWaitedForAndGetsTheLast) {
  many_services();
  auto slow = subscribed();
  auto good = subscribed();
  acknowledge(*good);
  const std::size_t before = slow->responses.size();
  slow->stall.is_stalled = true;
  const int turns = 100;
  for (int turn = 0; turn < turns; ++turn) {
    change(turn);
    acknowledge(*good);
  }
  EXPECT_EQ(good->responses.size(), 1u + turns);
  EXPECT_EQ(limit_in(good->responses.back()), static_cast<std::uint32_t>(turns));
  EXPECT_EQ(metrics_.value("lateen_xds_unread_streams"), 1);
  // It reads again: a few responses were on their way, the next is the present.
  slow->stall.is_stalled = false;
  slow->stall.resume();
  loop_.run_for(seconds(2));
  EXPECT_EQ(metrics_.value("lateen_xds_unread_streams"), 0);
  EXPECT_LT(slow->responses.size(), before + turns / 2);
  EXPECT_EQ(limit_in(slow->responses.back()), static_cast<std::uint32_t>(turns));
}

TEST_F(AdsFaults, OneThatRejectsEverythingIsNotSentTheSameAgain) {
  auto picky = subscribed();
  auto good = subscribed();
  acknowledge(*good);
  for (int turn = 0; turn < 20; ++turn) {
    change(turn);
    acknowledge(*good);
    xds_v3::DiscoveryRequest nack;
    nack.set_type_url(std::string(xds::kClusterType));
    nack.set_response_nonce(picky->responses.back().nonce());
    nack.mutable_error_detail()->set_message("no");
    picky->call->send(nack.SerializeAsString());
    loop_.run_for(milliseconds(5));
  }
  EXPECT_EQ(picky->responses.size(), 21u);
  EXPECT_EQ(good->responses.size(), 21u);
  EXPECT_EQ(metrics_.value("pilot_total_xds_rejects", "type=\"cds\""), 20);
}

TEST_F(AdsFaults, OneThatOpensAThousandStreamsKeepsAHundred) {
  auto good = subscribed();
  auto greedy = connect(plain_);
  send(*greedy, xds::kClusterType);
  std::vector<std::unique_ptr<grpc::ClientCall>> calls;
  std::size_t refused = 0;
  for (int i = 0; i < 1000; ++i) {
    calls.push_back(grpc::start_call(
        loop_, *greedy->pool, "istiod",
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", {},
        {[](std::string) {},
         [&refused](grpc::Status status) {
           refused += status.code == Code::kResourceExhausted ? 1 : 0;
         }}));
  }
  loop_.run_for(milliseconds(200));
  EXPECT_GE(refused, 800u);
  EXPECT_LE(ads_.streams().size(), 102u);
  change(1);
  EXPECT_EQ(good->responses.size(), 2u);
  EXPECT_EQ(greedy->responses.size(), 2u);
}

TEST_F(AdsFaults, ATornMessageEndsItsStreamOnly) {
  auto good = subscribed();
  auto torn = subscribed();
  torn->call->send(std::string("\x0a\xff\xff"));
  loop_.run_for(milliseconds(5));
  ASSERT_TRUE(torn->ended);
  EXPECT_EQ(torn->ended->code, Code::kInvalidArgument);
  change(1);
  EXPECT_EQ(good->responses.size(), 2u);
}

// Asking for debug pages proves nothing: what follows is asked as a proxy, and checked as such.
TEST_F(AdsFaults, AToolsRequestDoesNotMakeItAProxy) {
  auto stranger = connect(secure_, "other/web");
  send(*stranger, "istio.io/debug/syncz");
  send(*stranger, xds::kClusterType);
  ASSERT_TRUE(stranger->ended);
  EXPECT_EQ(stranger->ended->code, Code::kPermissionDenied);
  auto nameless = connect(plain_);
  xds_v3::DiscoveryRequest request;
  request.set_type_url("istio.io/debug/syncz");
  nameless->call->send(request.SerializeAsString());
  loop_.run_for(milliseconds(5));
  request.set_type_url(std::string(xds::kClusterType));
  nameless->call->send(request.SerializeAsString());
  loop_.run_for(milliseconds(5));
  ASSERT_TRUE(nameless->ended);
  EXPECT_EQ(nameless->ended->code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace lateen::discovery
