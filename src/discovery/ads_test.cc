// The discovery service as a client sees it: gRPC over HTTP/2 on in-memory pipes and a simulated
// loop.
#include "discovery/ads.h"

#include <gtest/gtest.h>

#include "discovery/test_mesh.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "envoy/service/status/v3/csds.pb.h"
#include "event/sim_loop.h"
#include "grpc/client.h"
#include "http/server.h"
#include "net/pipe.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::discovery {
namespace {

namespace xds_v3 = envoy::service::discovery::v3;

// Each connection is a pipe whose other end the service serves.
class PipeConnector final : public http::Connector {
 public:
  PipeConnector(event::Loop& loop, http::Service& service,
                std::vector<std::unique_ptr<http::ServerConnection>>& served)
      : loop_(loop), service_(service), served_(served) {}
  void connect(event::Scope& scope, milliseconds,
               event::Completion<std::unique_ptr<net::Stream>> done) override {
    event::after(scope, loop_, nanoseconds(0), [this, done = std::move(done)]() mutable {
      auto [client, server] = net::make_pipe(loop_);
      http::ServerOptions options;
      options.codec = http::Codec::kHttp2;
      http::ConnectionInfo info;
      info.remote = server->remote_address();
      served_.push_back(http::serve(loop_, std::move(server), info, service_, options,
                                    [](http::ServerConnection&) {}));
      done(std::move(client));
    });
  }

 private:
  event::Loop& loop_;
  http::Service& service_;
  std::vector<std::unique_ptr<http::ServerConnection>>& served_;
};

class FakeAuthenticator final : public Authenticator {
 public:
  void authenticate(event::Scope& scope, event::Loop& loop, Credentials credentials,
                    event::Completion<Identity> done) override {
    event::after(scope, loop, milliseconds(1),
                 [done = std::move(done), token = credentials.token]() mutable {
                   const auto parts = split_once(token, "/");
                   if (!parts) return done(Error(Code::kUnauthenticated, "bad token"));
                   done(Identity{std::string(parts->first), std::string(parts->second)});
                 });
  }
};

class AdsTest : public ::testing::Test {
 protected:
  AdsTest() : ads_(loop_, loop_.clock(), {}, &authenticator_, metrics_) {
    ads_.attach(plain_, Door::kPlain);
    ads_.attach(secure_, Door::kTls);
    mesh_.service("reviews", "10.96.0.1", 9080, "http", {"v1"});
    publish(full());
  }

  static Impact full() {
    Impact impact;
    impact.is_full = true;
    impact.reason = "config";
    return impact;
  }
  void publish(Impact impact) {
    ads_.publish(
        std::make_shared<const MeshSnapshot>(mesh_.store().input("v" + std::to_string(++version_))),
        std::move(impact), loop_.now());
    loop_.run_for(milliseconds(5));
  }

  // One client stream, state of the world.
  struct Client {
    std::unique_ptr<http::ClientPool> pool;
    std::unique_ptr<grpc::ClientCall> call;
    std::vector<xds_v3::DiscoveryResponse> responses;
    std::optional<grpc::Status> ended;
  };
  std::unique_ptr<Client> connect(grpc::Service& service, const std::string& token = "") {
    auto client = std::make_unique<Client>();
    http::ClientOptions options;
    options.protocol = http::ClientOptions::Protocol::kHttp2;
    client->pool = http::make_client_pool(
        loop_, std::make_unique<PipeConnector>(loop_, service, served_), options);
    grpc::Metadata metadata;
    if (!token.empty()) metadata.emplace_back("authorization", "Bearer " + token);
    Client* raw = client.get();
    client->call = grpc::start_call(
        loop_, *client->pool, "istiod",
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
        metadata,
        {[raw](std::string message) {
           raw->responses.emplace_back();
           EXPECT_TRUE(raw->responses.back().ParseFromString(message));
         },
         [raw](grpc::Status status) { raw->ended = status; }});
    return client;
  }
  void send(Client& client, std::string_view type, std::vector<std::string> names = {},
            const std::string& nonce = "", const std::string& ns = "default") {
    xds_v3::DiscoveryRequest request;
    request.mutable_node()->set_id("sidecar~10.1.9.9~web-x." + ns + "~" + ns +
                                   ".svc.cluster.local");
    *request.mutable_node()->mutable_metadata() = xds::json_to_struct(
        {{"NAMESPACE", ns}, {"SERVICE_ACCOUNT", "web"}, {"PROXY_CONFIG", data::JsonObject{}}});
    request.set_type_url(std::string(type));
    request.set_response_nonce(nonce);
    for (const auto& name : names) request.add_resource_names(name);
    client.call->send(request.SerializeAsString());
    loop_.run_for(milliseconds(5));
  }
  static constexpr const char* kReviews = "outbound|9080||reviews.default.svc.cluster.local";

  event::SimLoop loop_;
  Metrics metrics_;
  FakeAuthenticator authenticator_;
  grpc::Service plain_, secure_;
  Ads ads_;
  TestMesh mesh_;
  int version_ = 0;
  std::vector<std::unique_ptr<http::ServerConnection>> served_;
};

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
