// Subscriptions, ACK and NACK, removals and reconnects of both variants, against hand-made
// responses.

#include "xds/client.h"

#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/any.h"

namespace lateen::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;

struct Fixture {
  explicit Fixture(Client::Variant variant)
      : client(
            variant, node(), true,
            [this](const Update& update) -> Result<> {
              updates.push_back(update);
              if (!nack.empty()) return invalid(nack);
              return {};
            },
            [this](std::string message) { sent.push_back(std::move(message)); }) {}

  static envoy::config::core::v3::Node node() {
    envoy::config::core::v3::Node node;
    node.set_id("sidecar~1.2.3.4~a.b~b.svc.cluster.local");
    return node;
  }
  template <typename Request>
  Request request(std::size_t index) {
    Request made;
    EXPECT_LT(index, sent.size());
    EXPECT_TRUE(made.ParseFromString(sent[index]));
    return made;
  }

  std::string nack;
  std::vector<Update> updates;
  std::vector<std::string> sent;
  Client client;
};

google::protobuf::Any cluster(const std::string& name) {
  envoy::config::cluster::v3::Cluster made;
  made.set_name(name);
  return pack(made);
}

discovery::DiscoveryResponse sotw(const std::string& version,
                                  const std::vector<std::string>& names) {
  discovery::DiscoveryResponse made;
  made.set_type_url(std::string(kClusterType));
  made.set_version_info(version);
  made.set_nonce("n" + version);
  for (const auto& name : names) *made.add_resources() = cluster(name);
  return made;
}

TEST(XdsClient, AcksAndWorksOutRemovals) {
  Fixture f(Client::Variant::kStateOfTheWorld);
  f.client.subscribe_all(kClusterType);
  EXPECT_TRUE(f.sent.empty());
  f.client.on_stream_open();
  EXPECT_EQ(f.request<discovery::DiscoveryRequest>(0).node().id(), Fixture::node().id());

  ASSERT_TRUE(f.client.on_message(serialize(sotw("1", {"a", "b"}))).ok());
  auto ack = f.request<discovery::DiscoveryRequest>(1);
  EXPECT_EQ(ack.version_info(), "1");
  EXPECT_EQ(ack.response_nonce(), "n1");
  EXPECT_FALSE(ack.has_error_detail());
  EXPECT_FALSE(ack.has_node());

  ASSERT_TRUE(f.client.on_message(serialize(sotw("2", {"b"}))).ok());
  EXPECT_EQ(f.updates[1].removed, std::vector<std::string>{"a"});
}

TEST(XdsClient, NackKeepsTheOldVersion) {
  Fixture f(Client::Variant::kStateOfTheWorld);
  f.client.subscribe_all(kClusterType);
  f.client.on_stream_open();
  ASSERT_TRUE(f.client.on_message(serialize(sotw("1", {"a"}))).ok());
  f.nack = "cluster b: no";
  ASSERT_TRUE(f.client.on_message(serialize(sotw("2", {"b"}))).ok());
  auto nack = f.request<discovery::DiscoveryRequest>(2);
  EXPECT_EQ(nack.version_info(), "1");
  EXPECT_EQ(nack.response_nonce(), "n2");
  EXPECT_EQ(nack.error_detail().message(), "cluster b: no");
}

TEST(XdsClient, DeltaTellsDifferencesAndHeldVersions) {
  Fixture f(Client::Variant::kDelta);
  f.client.on_stream_open();
  f.client.subscribe(kEndpointType, {"a", "b"});
  f.client.subscribe(kEndpointType, {"b", "c"});
  auto second = f.request<discovery::DeltaDiscoveryRequest>(1);
  ASSERT_EQ(second.resource_names_subscribe_size(), 1);
  EXPECT_EQ(second.resource_names_subscribe(0), "c");
  ASSERT_EQ(second.resource_names_unsubscribe_size(), 1);
  EXPECT_EQ(second.resource_names_unsubscribe(0), "a");

  discovery::DeltaDiscoveryResponse response;
  response.set_type_url(std::string(kEndpointType));
  response.set_nonce("x");
  auto& one = *response.add_resources();
  one.set_name("b");
  one.set_version("7");
  response.add_removed_resources("c");
  ASSERT_TRUE(f.client.on_message(serialize(response)).ok());
  EXPECT_EQ(f.updates[0].removed, std::vector<std::string>{"c"});
  EXPECT_EQ(f.request<discovery::DeltaDiscoveryRequest>(2).response_nonce(), "x");

  f.client.on_stream_closed();
  f.client.on_stream_open();
  auto again = f.request<discovery::DeltaDiscoveryRequest>(3);
  EXPECT_EQ(again.resource_names_subscribe_size(), 2);
  EXPECT_EQ(again.initial_resource_versions().at("b"), "7");
  EXPECT_TRUE(again.has_node());
}

TEST(XdsClient, RefusesRubbish) {
  Fixture f(Client::Variant::kDelta);
  f.client.on_stream_open();
  EXPECT_FALSE(f.client.on_message("\xff\xff\xff").ok());
}

}  // namespace
}  // namespace lateen::xds
