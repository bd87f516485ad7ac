// The server machine against messages as clients send them.
#include "xds/server.h"

#include <gtest/gtest.h>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/any.h"

namespace lateen::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;

ServedPtr served(const std::string& name, const std::string& body) {
  return std::make_shared<const Served>(
      Served{name, std::hash<std::string>{}(body), std::make_shared<const std::string>(body)});
}

ClientRequest sotw(std::string_view type, std::vector<std::string> names, std::string nonce = "",
                   std::optional<std::string> error = std::nullopt) {
  discovery::DiscoveryRequest request;
  request.set_type_url(std::string(type));
  request.set_response_nonce(nonce);
  for (const auto& name : names) request.add_resource_names(name);
  if (error) request.mutable_error_detail()->set_message(*error);
  auto decoded = decode_request(Variant::kStateOfTheWorld, request.SerializeAsString());
  EXPECT_TRUE(decoded.ok());
  return *std::move(decoded);
}

class Stream {
 public:
  explicit Stream(Variant variant) : session(variant, replies) {}
  Session::Outcome request(const ClientRequest& request) { return session.on_request(request, {}); }
  std::optional<discovery::DiscoveryResponse> push(
      std::string_view type, const Resources& resources, const std::string& nonce,
      Session::Extent extent = Session::Extent::kComplete) {
    auto bytes = session.respond(
        {type, std::make_shared<const Resources>(resources), extent, "v", nonce, ""}, {});
    if (!bytes) return std::nullopt;
    discovery::DiscoveryResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes->to_string()));
    return response;
  }
  std::optional<discovery::DeltaDiscoveryResponse> push_delta(
      std::string_view type, const Resources& resources, const std::string& nonce,
      Session::Extent extent = Session::Extent::kComplete) {
    auto bytes = session.respond(
        {type, std::make_shared<const Resources>(resources), extent, "v", nonce, ""}, {});
    if (!bytes) return std::nullopt;
    discovery::DeltaDiscoveryResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes->to_string()));
    return response;
  }
  Replies replies;
  Session session;
};

using Kind = Session::Kind;

TEST(SotwSession, SubscribesAcksAndSendsOnlyChanges) {
  Stream stream(Variant::kStateOfTheWorld);
  auto outcome = stream.request(sotw(kClusterType, {}));
  EXPECT_EQ(outcome.kind, Kind::kSubscribe);
  EXPECT_TRUE(outcome.must_answer);
  EXPECT_TRUE(stream.session.find(kClusterType)->is_wildcard);

  ASSERT_TRUE(stream.push(kClusterType, {served("a", "1"), served("b", "1")}, "n1"));
  EXPECT_FALSE(stream.session.find(kClusterType)->is_synced());
  outcome = stream.request(sotw(kClusterType, {}, "n1"));
  EXPECT_EQ(outcome.kind, Kind::kAck);
  EXPECT_FALSE(outcome.must_answer);
  EXPECT_TRUE(stream.session.find(kClusterType)->is_synced());

  EXPECT_FALSE(stream.push(kClusterType, {served("a", "1"), served("b", "1")}, "n2"));
  const auto changed = stream.push(kClusterType, {served("a", "2"), served("b", "1")}, "n3");
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->resources_size(), 2);  // a wildcard's response is the whole state
  EXPECT_EQ(*stream.session.last_changed(), std::vector<std::string>{"a"});
  const auto fewer = stream.push(kClusterType, {served("a", "2")}, "n4");
  ASSERT_TRUE(fewer);
  EXPECT_EQ(fewer->resources_size(), 1);
}

TEST(SotwSession, StaleNonceAndNack) {
  Stream stream(Variant::kStateOfTheWorld);
  stream.request(sotw(kListenerType, {}));
  stream.push(kListenerType, {served("l", "1")}, "n1");
  stream.push(kListenerType, {served("l", "2")}, "n2");
  EXPECT_EQ(stream.request(sotw(kListenerType, {}, "n1")).kind, Kind::kStale);
  EXPECT_EQ(stream.request(sotw(kListenerType, {}, "n2", "bad listener")).kind, Kind::kNack);
  EXPECT_EQ(stream.session.find(kListenerType)->last_error, "bad listener");
  EXPECT_FALSE(stream.session.find(kListenerType)->is_synced());
  // The next change goes out and heals it.
  ASSERT_TRUE(stream.push(kListenerType, {served("l", "3")}, "n3"));
  stream.request(sotw(kListenerType, {}, "n3"));
  EXPECT_TRUE(stream.session.find(kListenerType)->is_synced());
  EXPECT_EQ(stream.session.find(kListenerType)->last_error, "");
}

TEST(SotwSession, NewNamesAreAnsweredAlone) {
  Stream stream(Variant::kStateOfTheWorld);
  stream.request(sotw(kEndpointType, {"a"}));
  stream.push(kEndpointType, {served("a", "1")}, "n1");
  const auto outcome = stream.request(sotw(kEndpointType, {"a", "b"}, "n1"));
  EXPECT_TRUE(outcome.must_answer);
  EXPECT_EQ(outcome.names, std::vector<std::string>{"b"});
  const auto more = stream.push(kEndpointType, {served("b", "1")}, "n2", Session::Extent::kPartial);
  ASSERT_TRUE(more);
  EXPECT_EQ(more->resources_size(), 1);
  // Nobody asked for "c".
  EXPECT_FALSE(stream.push(kEndpointType, {served("c", "1")}, "n3", Session::Extent::kPartial));
}

ClientRequest delta(std::string_view type, std::vector<std::string> subscribe,
                    std::vector<std::string> unsubscribe = {}, std::string nonce = "",
                    std::vector<std::pair<std::string, std::string>> held = {}) {
  discovery::DeltaDiscoveryRequest request;
  request.set_type_url(std::string(type));
  request.set_response_nonce(nonce);
  for (const auto& name : subscribe) request.add_resource_names_subscribe(name);
  for (const auto& name : unsubscribe) request.add_resource_names_unsubscribe(name);
  for (const auto& [name, version] : held) {
    (*request.mutable_initial_resource_versions())[name] = version;
  }
  auto decoded = decode_request(Variant::kDelta, request.SerializeAsString());
  EXPECT_TRUE(decoded.ok());
  return *std::move(decoded);
}

// What a response of clusters or listeners lacks does not exist: a gRPC client that names them gets
// all of them again.
TEST(SotwSession, NamedClustersAreAnsweredTogether) {
  Stream stream(Variant::kStateOfTheWorld);
  stream.request(sotw(kClusterType, {"a"}));
  EXPECT_FALSE(stream.session.find(kClusterType)->is_wildcard);
  ASSERT_TRUE(stream.push(kClusterType, {served("a", "1")}, "n1"));
  const auto outcome = stream.request(sotw(kClusterType, {"a", "b"}, "n1"));
  EXPECT_TRUE(outcome.must_answer);
  EXPECT_TRUE(outcome.names.empty());
  const auto both = stream.push(kClusterType, {served("a", "1"), served("b", "1")}, "n2");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->resources_size(), 2);
  stream.request(sotw(kClusterType, {"a", "b"}, "n2"));
  const auto changed = stream.push(kClusterType, {served("a", "2"), served("b", "1")}, "n3");
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->resources_size(), 2);
}

TEST(DeltaSession, SendsChangesAndRemovals) {
  Stream stream(Variant::kDelta);
  EXPECT_TRUE(stream.request(delta(kClusterType, {})).must_answer);
  auto first = stream.push_delta(kClusterType, {served("a", "1"), served("b", "1")}, "n1");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->resources_size(), 2);
  EXPECT_FALSE(stream.request(delta(kClusterType, {}, {}, "n1")).must_answer);
  EXPECT_TRUE(stream.session.find(kClusterType)->is_synced());
  auto second = stream.push_delta(kClusterType, {served("b", "2")}, "n2");
  ASSERT_TRUE(second);
  ASSERT_EQ(second->resources_size(), 1);
  EXPECT_EQ(second->resources(0).name(), "b");
  ASSERT_EQ(second->removed_resources_size(), 1);
  EXPECT_EQ(second->removed_resources(0), "a");
}

TEST(DeltaSession, ReconnectSaysWhatItHolds) {
  Stream stream(Variant::kDelta);
  const ServedPtr a = served("a", "1");
  const ServedPtr b = served("b", "2");
  stream.request(
      delta(kEndpointType, {"a", "b"}, {}, "", {{"a", std::to_string(a->version)}, {"b", "17"}}));
  const auto response = stream.push_delta(kEndpointType, {a, b}, "n1");
  ASSERT_TRUE(response);
  ASSERT_EQ(response->resources_size(), 1);
  EXPECT_EQ(response->resources(0).name(), "b");
}

TEST(DeltaSession, SubscribingAgainSendsAgain) {
  Stream stream(Variant::kDelta);
  stream.request(delta(kEndpointType, {"a"}));
  stream.push_delta(kEndpointType, {served("a", "1")}, "n1");
  stream.request(delta(kEndpointType, {}, {}, "n1"));
  const auto outcome = stream.request(delta(kEndpointType, {"a"}));
  EXPECT_TRUE(outcome.must_answer);
  EXPECT_TRUE(
      stream.push_delta(kEndpointType, {served("a", "1")}, "n2", Session::Extent::kPartial));
}

TEST(Session, RefusesTooManyTypes) {
  Stream stream(Variant::kStateOfTheWorld);
  for (std::size_t i = 0; i < Session::kMostTypes; ++i) {
    stream.request(sotw("t" + std::to_string(i), {"x"}));
  }
  EXPECT_EQ(stream.request(sotw("one more", {"x"})).kind, Kind::kRefused);
  EXPECT_FALSE(decode_request(Variant::kDelta, "\x0a\xff").ok());
}

}  // namespace
}  // namespace lateen::xds
