// The server machine against a model: a client that applies whatever it is sent holds, after each
// push, exactly what there is of what it wants, and is sent nothing when it holds that already.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/any.h"
#include "xds/server.h"

namespace lateen::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;

// Names long enough for their lists to be recognised instead of read.
std::string name_of(int number) {
  return fmt::format("outbound|{}||a-service-with-a-long-name.some-namespace.svc.cluster.local",
                     9000 + number);
}

class Model {
 public:
  Model(Variant variant, std::string_view type, unsigned seed)
      : random_(seed), type_(type), variant_(variant), session_(variant, replies_) {}

  void run(int turns) {
    ask({});
    for (int i = 0; i < turns; ++i) {
      if (roll(3) == 0) change_names();
      if (roll(2) == 0) change_resources();
      push();
      ASSERT_EQ(held_, wanted()) << "turn " << i;
      // Nothing changed: nothing is sent, also when the lists are made anew.
      if (roll(2) == 0) current_ = std::make_shared<const Resources>(*current_);
      ASSERT_FALSE(respond(Session::Extent::kComplete)) << "turn " << i;
      if (roll(3) == 0) replies_.clear();
    }
  }

 private:
  int roll(int sides) { return static_cast<int>(random_() % static_cast<unsigned>(sides)); }
  bool is_wildcard() const { return type_ == kClusterType; }
  std::map<std::string, std::string> wanted() const {
    std::map<std::string, std::string> out;
    for (const ServedPtr& one : *current_) {
      if (is_wildcard() || names_.count(one->name) > 0) out[one->name] = *one->body;
    }
    return out;
  }

  void change_resources() {
    std::map<int, int>& made = made_;
    for (int i = roll(4); i >= 0; --i) {
      const int number = roll(40);
      if (roll(3) == 0) made.erase(number);
      else ++made[number];
    }
    std::map<std::string, ServedPtr> before;
    for (const ServedPtr& one : *current_) before[one->name] = one;
    Resources now;
    for (const auto& [number, version] : made) {
      const std::string body = fmt::format("{}: {}", number, version);
      ServedPtr& known = before[name_of(number)];
      // Often the same object, sometimes one that says the same.
      if (known == nullptr || *known->body != body || roll(4) == 0) {
        known = std::make_shared<const Served>(Served{name_of(number),
                                                      static_cast<std::uint64_t>(version),
                                                      std::make_shared<const std::string>(body)});
      }
      now.push_back(known);
    }
    if (roll(2) == 0) std::shuffle(now.begin(), now.end(), random_);
    current_ = std::make_shared<const Resources>(std::move(now));
  }

  void change_names() {
    if (is_wildcard()) return;
    std::vector<std::string> more, fewer;
    for (int i = 0; i < 40; ++i) {
      const std::string name = name_of(i);
      if (roll(8) != 0) continue;
      if (names_.erase(name) > 0) {
        fewer.push_back(name);
        held_.erase(name);
      } else {
        names_.insert(name);
        more.push_back(name);
      }
    }
    ask(more, fewer);
  }

  void ask(const std::vector<std::string>& more, const std::vector<std::string>& fewer = {}) {
    std::string bytes;
    if (variant_ == Variant::kDelta) {
      discovery::DeltaDiscoveryRequest request;
      request.set_type_url(type_);
      request.set_response_nonce(nonce_);
      for (const auto& name : more) request.add_resource_names_subscribe(name);
      for (const auto& name : fewer) request.add_resource_names_unsubscribe(name);
      bytes = request.SerializeAsString();
    } else {
      discovery::DiscoveryRequest request;
      request.set_type_url(type_);
      request.set_response_nonce(nonce_);
      for (const auto& name : names_) request.add_resource_names(name);
      bytes = request.SerializeAsString();
    }
    const auto request = decode_request(variant_, bytes, &session_);
    ASSERT_TRUE(request.ok());
    if (variant_ == Variant::kStateOfTheWorld && more.empty() && fewer.empty() && !nonce_.empty()) {
      repeated_ += request->same_names != nullptr ? 1 : 0;
    }
    const auto outcome = session_.on_request(*request, {});
    ASSERT_NE(outcome.kind, Session::Kind::kRefused);
    if (outcome.must_answer && !outcome.names.empty()) {
      respond(Session::Extent::kPartial);
    } else if (outcome.must_answer) {
      respond(Session::Extent::kComplete);
    }
    const Watch* watch = session_.find(type_);
    const auto all = watch->all_names();
    ASSERT_EQ(std::set<std::string>(all.begin(), all.end()), names_);
  }

  void push() {
    if (respond(Session::Extent::kComplete)) ask({});  // the acknowledgement
  }

  bool respond(Session::Extent extent) {
    const std::string nonce = std::to_string(++turn_);
    const auto bytes = session_.respond({type_, current_, extent, "v", nonce, ""}, {});
    if (!bytes) return false;
    nonce_ = nonce;
    if (variant_ == Variant::kDelta) {
      discovery::DeltaDiscoveryResponse response;
      EXPECT_TRUE(response.ParseFromString(bytes->to_string()));
      for (const auto& one : response.resources()) held_[one.name()] = one.resource().value();
      for (const auto& name : response.removed_resources()) held_.erase(name);
      return true;
    }
    discovery::DiscoveryResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes->to_string()));
    // Bodies do not name themselves here: find them by what there is. A client of named resources
    // keeps what a response lacks, until its clusters are gone.
    std::map<std::string, std::string> sent;
    for (const auto& any : response.resources()) {
      bool is_known = false;
      for (const ServedPtr& one : *current_) {
        if (*one->body != any.value() || sent.count(one->name) > 0) continue;
        if (!is_wildcard() && names_.count(one->name) == 0) continue;
        if (held_[one->name] == any.value() && !is_wildcard()) continue;
        sent[one->name] = any.value();
        is_known = true;
        break;
      }
      EXPECT_TRUE(is_known);
    }
    if (is_wildcard()) held_.clear();
    for (const auto& [name, body] : sent) held_[name] = body;
    const auto there = wanted();
    std::erase_if(held_, [&](const auto& entry) { return there.count(entry.first) == 0; });
    return true;
  }

 public:
  int repeated_ = 0;  // requests whose names were recognised

 private:
  std::mt19937 random_;
  std::string type_;
  Variant variant_;
  Replies replies_;
  Session session_;
  std::map<int, int> made_;
  ResourcesPtr current_ = no_resources();
  std::set<std::string> names_;
  std::map<std::string, std::string> held_;
  std::string nonce_;
  int turn_ = 0;
};

class SessionModel : public ::testing::TestWithParam<unsigned> {};

TEST_P(SessionModel, AClientHoldsWhatItWantsAfterEachPush) {
  for (const Variant variant : {Variant::kStateOfTheWorld, Variant::kDelta}) {
    for (const std::string_view type : {kClusterType, kEndpointType}) {
      Model model(variant, type, GetParam());
      model.run(200);
      if (variant == Variant::kStateOfTheWorld && type == kEndpointType) {
        EXPECT_GT(model.repeated_, 20);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, SessionModel, ::testing::Range(1u, 11u));

// A request that only begins as the one before is read whole.
TEST(KnownNames, AreNotMistaken) {
  Replies replies;
  Session session(Variant::kStateOfTheWorld, replies);
  const auto ask = [&](std::string_view type, int from, int to, const std::string& nonce,
                       bool is_type_first = false) {
    discovery::DiscoveryRequest names, rest;
    for (int i = from; i < to; ++i) names.add_resource_names(name_of(i));
    rest.set_type_url(std::string(type));
    rest.set_response_nonce(nonce);
    std::string bytes = names.SerializeAsString();
    bytes = is_type_first ? rest.SerializeAsString() + bytes : bytes + rest.SerializeAsString();
    auto request = decode_request(Variant::kStateOfTheWorld, bytes, &session);
    EXPECT_TRUE(request.ok());
    return *std::move(request);
  };
  const auto answer = [&](std::string_view type, const std::string& nonce) {
    session.respond({type, no_resources(), Session::Extent::kComplete, "v", nonce, ""}, {});
  };
  session.on_request(ask(kEndpointType, 0, 20, ""), {});
  answer(kEndpointType, "1");
  EXPECT_EQ(ask(kEndpointType, 0, 20, "1").same_names, session.find(kEndpointType)->names);
  EXPECT_TRUE(ask(kEndpointType, 0, 20, "1").names.empty());
  EXPECT_NE(ask(kEndpointType, 0, 20, "1", true).same_names, nullptr);
  // More, fewer, others, and the same ones of another type.
  for (const auto& [from, to] : {std::pair(0, 21), std::pair(0, 19), std::pair(1, 21)}) {
    const auto other = ask(kEndpointType, from, to, "1");
    EXPECT_EQ(other.same_names, nullptr);
    EXPECT_EQ(other.names.size(), static_cast<std::size_t>(to - from));
  }
  EXPECT_EQ(ask(kRouteType, 0, 20, "").same_names, nullptr);
  EXPECT_EQ(ask(kRouteType, 0, 20, "").names.size(), 20u);
  session.on_request(ask(kEndpointType, 5, 25, "1"), {});
  EXPECT_EQ(session.find(kEndpointType)->names->size(), 20u);
  EXPECT_TRUE(session.find(kEndpointType)->names->contains(name_of(24)));
  EXPECT_EQ(ask(kEndpointType, 0, 20, "1").same_names, nullptr);
}

}  // namespace
}  // namespace lateen::xds
