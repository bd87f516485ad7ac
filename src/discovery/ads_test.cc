// The discovery service as a client sees it.
#include "discovery/ads_test_support.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/service/status/v3/csds.pb.h"

namespace lateen::discovery {
namespace {

TEST_F(AdsTest, AnswersAcksAndPushesOnlyWhatChanged) {
  auto client = connect(plain_);
  send(*client, xds::kClusterType);
  ASSERT_EQ(client->responses.size(), 1u);
  EXPECT_GT(client->responses[0].resources_size(), 3);
  send(*client, xds::kClusterType, {}, client->responses[0].nonce());
  send(*client, xds::kEndpointType, {kReviews});
  ASSERT_EQ(client->responses.size(), 2u);
  send(*client, xds::kEndpointType, {kReviews}, client->responses[1].nonce());

  publish(full());  // nothing differs
  EXPECT_EQ(client->responses.size(), 2u);

  // The pod's address goes: only endpoints are sent.
  mesh_.take_impact();
  mesh_.with(R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: default, labels: {kubernetes.io/service-name: reviews}}
ports: [{name: http, port: 9080}]
endpoints: [{addresses: [10.1.1.1]}, {addresses: [10.1.1.77]}]
)");
  Impact impact = mesh_.take_impact();
  impact.is_full = false;
  publish(impact);
  ASSERT_EQ(client->responses.size(), 3u);
  EXPECT_EQ(client->responses[2].type_url(), xds::kEndpointType);
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  ASSERT_TRUE(client->responses[2].resources(0).UnpackTo(&assignment));
  EXPECT_EQ(assignment.endpoints(0).lb_endpoints_size(), 2);
}

TEST_F(AdsTest, ChangedClusterGetsItsEndpointsAgain) {
  auto client = connect(plain_);
  send(*client, xds::kClusterType);
  send(*client, xds::kEndpointType, {kReviews});
  mesh_.with(R"(
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: r, namespace: default}
spec: {host: reviews, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}
)");
  publish(full());
  ASSERT_EQ(client->responses.size(), 4u);
  EXPECT_EQ(client->responses[2].type_url(), xds::kClusterType);
  EXPECT_EQ(client->responses[3].type_url(), xds::kEndpointType);
}

TEST_F(AdsTest, SecureDoorWantsAFittingIdentity) {
  auto nobody = connect(secure_);
  send(*nobody, xds::kClusterType);
  ASSERT_TRUE(nobody->ended);
  EXPECT_EQ(nobody->ended->code, Code::kUnauthenticated);
  auto stranger = connect(secure_, "other/web");
  send(*stranger, xds::kClusterType);
  ASSERT_TRUE(stranger->ended);
  EXPECT_EQ(stranger->ended->code, Code::kPermissionDenied);
  auto owner = connect(secure_, "default/web");
  send(*owner, xds::kClusterType);
  EXPECT_FALSE(owner->ended);
  EXPECT_EQ(owner->responses.size(), 1u);
}

TEST_F(AdsTest, SyncStatusAndRejections) {
  auto client = connect(plain_);
  send(*client, xds::kClusterType);
  send(*client, xds::kClusterType, {}, client->responses[0].nonce());
  auto tool = connect(plain_);
  xds_v3::DiscoveryRequest request;
  request.set_type_url("istio.io/debug/syncz");
  tool->call->send(request.SerializeAsString());
  loop_.run_for(milliseconds(5));
  ASSERT_EQ(tool->responses.size(), 1u);
  EXPECT_NE(tool->responses[0].control_plane().identifier().find("\"istiod\""), std::string::npos);
  envoy::service::status::v3::ClientConfig config;
  ASSERT_TRUE(tool->responses[0].resources(0).UnpackTo(&config));
  EXPECT_EQ(config.generic_xds_configs(0).config_status(), envoy::service::status::v3::SYNCED);

  xds_v3::DiscoveryRequest nack;
  nack.set_type_url(std::string(xds::kClusterType));
  nack.set_response_nonce(client->responses[0].nonce());
  nack.mutable_error_detail()->set_message("no such thing");
  client->call->send(nack.SerializeAsString());
  loop_.run_for(milliseconds(5));
  EXPECT_EQ(metrics_.value("pilot_total_xds_rejects", "type=\"cds\""), 1);
  EXPECT_EQ(ads_.streams()[0].session->find(xds::kClusterType)->last_error, "no such thing");
}

TEST_F(AdsTest, ForgetsStreamsThatEnd) {
  auto client = connect(plain_);
  send(*client, xds::kClusterType);
  EXPECT_NE(ads_.find_proxy("web-x.default"), nullptr);
  client->call.reset();
  client->pool.reset();
  loop_.run_for(milliseconds(50));
  EXPECT_EQ(ads_.find_proxy("web-x.default"), nullptr);
}

}  // namespace
}  // namespace lateen::discovery
