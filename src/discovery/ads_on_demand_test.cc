// On demand: a delta client that names what it wants, and changes its mind, instead of taking all.
#include "discovery/ads_test_support.h"

namespace lateen::discovery {
namespace {

constexpr const char* kRatings = "outbound|9080||ratings.default.svc.cluster.local";

class AdsOnDemand : public AdsTest {
 protected:
  using Names = std::set<std::string>;
  static Names sent(const xds_v3::DeltaDiscoveryResponse& response) {
    Names out;
    for (const auto& resource : response.resources()) out.insert(resource.name());
    return out;
  }
  static Names removed(const xds_v3::DeltaDiscoveryResponse& response) {
    return {response.removed_resources().begin(), response.removed_resources().end()};
  }
  void change(DeltaClient& client, std::string_view type, const std::vector<std::string>& more,
              const std::vector<std::string>& fewer) {
    xds_v3::DeltaDiscoveryRequest request;
    request.set_type_url(std::string(type));
    for (const auto& name : more) request.add_resource_names_subscribe(name);
    for (const auto& name : fewer) request.add_resource_names_unsubscribe(name);
    client.call->send(request.SerializeAsString());
    loop_.run_for(milliseconds(5));
  }
  void add(const std::string& name, const std::string& ip) {
    mesh_.service(name, ip, 9080, "http", {"v1"});
    publish(full());
  }
};

TEST_F(AdsOnDemand, ClustersByName) {
  auto client = connect_delta(plain_);
  ask(*client, xds::kClusterType, {kReviews, kRatings}, {});
  ASSERT_EQ(client->responses.size(), 1u);
  EXPECT_EQ(sent(client->responses[0]), Names{kReviews});
  EXPECT_EQ(removed(client->responses[0]), Names{kRatings});  // there is none yet

  // It comes with its service; what was not named does not.
  add("ratings", "10.96.0.2");
  add("details", "10.96.0.3");
  ASSERT_EQ(client->responses.size(), 2u);
  EXPECT_EQ(sent(client->responses[1]), Names{kRatings});

  change(*client, xds::kClusterType, {}, {kReviews});
  EXPECT_EQ(client->responses.size(), 2u);
  mesh_.with(R"(
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: all, namespace: default}
spec: {host: '*.default.svc.cluster.local', trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}
)");
  publish(full());
  ASSERT_EQ(client->responses.size(), 3u);
  EXPECT_EQ(sent(client->responses[2]), Names{kRatings});

  // Then everything, and back.
  change(*client, xds::kClusterType, {"*"}, {});
  ASSERT_EQ(client->responses.size(), 4u);
  EXPECT_EQ(sent(client->responses[3]).count(kReviews), 1u);
  EXPECT_GT(sent(client->responses[3]).size(), 3u);
  change(*client, xds::kClusterType, {}, {"*"});
  add("more", "10.96.0.4");
  // It may be told that the others are gone for it, and nothing new.
  for (std::size_t i = 4; i < client->responses.size(); ++i) {
    EXPECT_EQ(sent(client->responses[i]), Names{});
    EXPECT_EQ(removed(client->responses[i]).count(kRatings), 0u);
  }
}

TEST_F(AdsOnDemand, RoutesByName) {
  auto client = connect_delta(plain_);
  ask(*client, xds::kRouteType, {"9080"}, {});
  ASSERT_EQ(client->responses.size(), 1u);
  EXPECT_EQ(sent(client->responses[0]), Names{"9080"});
  // Another one later, by itself.
  change(*client, xds::kRouteType, {"80"}, {});
  ASSERT_EQ(client->responses.size(), 2u);
  EXPECT_EQ(sent(client->responses[1]), Names{"80"});
  change(*client, xds::kRouteType, {}, {"9080"});
  add("ratings", "10.96.0.2");  // on port 9080 only
  for (std::size_t i = 2; i < client->responses.size(); ++i) {
    EXPECT_EQ(sent(client->responses[i]).count("9080"), 0u);
  }
}

}  // namespace
}  // namespace lateen::discovery
