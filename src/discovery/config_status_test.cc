// When an object's status says that it is live.
#include "discovery/config_status.h"

#include <gtest/gtest.h>

#include <atomic>

#include "discovery/test_mesh.h"
#include "kube/memory_server.h"
#include "mesh/kinds.h"

namespace lateen::discovery {
namespace {

using data::Json;

// As the control plane watches it.
const kube::Resource& rules() {
  static const mesh::Kind* kKind = mesh::find_kind("VirtualService", "networking.istio.io");
  static const kube::Resource kRules{std::string(kKind->group), std::string(kKind->version),
                                     std::string(kKind->plural), std::string(kKind->kind), true};
  return kRules;
}

Json rule(std::int64_t generation) {
  auto objects = data::parse_yaml_documents(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}
)");
  EXPECT_TRUE(objects.ok());
  Json out = objects.ok() ? objects->front() : Json();
  data::set(out, {"apiVersion"}, Json(rules().api_version()));
  data::set(out, {"metadata", "generation"}, Json(generation));
  return out;
}

class Statuses : public testing::Test {
 protected:
  Statuses()
      : server_({rules()}),
        client_(server_.transport()),
        status_(
            client_, clock_, [this] { ask(); }, options()) {}

  static ConfigStatus::Options options() {
    ConfigStatus::Options out;
    out.look_every = milliseconds(5);
    out.patience = milliseconds(20);
    out.writes_a_second = 1'000;
    return out;
  }
  // The discovery service: answers at once with what the test says.
  void ask() {
    ++asked_;
    const std::lock_guard lock(mutex_);
    if (snapshot_ != nullptr) status_.answer(snapshot_, distribution_);
  }
  void tell(const Json& config, Ads::Distribution distribution) {
    Store store(Store::Options{});
    store.put(config);
    const std::lock_guard lock(mutex_);
    snapshot_ = std::make_shared<const MeshSnapshot>(store.input("v1"));
    distribution_ = distribution;
  }
  void put(const Json& config) { status_.take(server_.put(config), false); }
  Json stored() { return server_.all(rules()).front(); }
  std::string condition(std::string_view field) {
    const Json object = stored();
    const Json* found = kube::condition(object, "Reconciled");
    return found == nullptr ? "" : std::string(data::get_string(*found, {field}));
  }
  bool wait_for(std::string_view field, std::string_view value) {
    return server_.wait_until([&] { return condition(field) == value; });
  }

  SystemClock clock_;
  kube::MemoryServer server_;
  kube::Client client_;
  std::mutex mutex_;
  SnapshotPtr snapshot_;
  Ads::Distribution distribution_;
  std::atomic<int> asked_{0};
  ConfigStatus status_;
};

TEST_F(Statuses, AreWrittenWhenAllProxiesHaveIt) {
  tell(rule(3), {2, 2});
  put(rule(3));
  EXPECT_EQ(asked_, 0);  // nobody asks for a follower
  status_.set_leading(true);
  ASSERT_TRUE(wait_for("status", "True"));
  EXPECT_EQ(condition("message"), "2/2 proxies up to date.");
  EXPECT_FALSE(condition("lastTransitionTime").empty());
  EXPECT_EQ(data::get_int(stored(), {"status", "observedGeneration"}), 3);
  EXPECT_TRUE(server_.wait_until([&] { return status_.waiting() == 0; }));
}

TEST_F(Statuses, TellThatSomeAreBehindAndThenThatNoneIs) {
  tell(rule(1), {3, 1});
  put(rule(1));
  status_.set_leading(true);
  ASSERT_TRUE(wait_for("status", "False"));
  EXPECT_EQ(condition("message"), "1/3 proxies up to date.");
  tell(rule(1), {3, 3});
  EXPECT_TRUE(wait_for("status", "True"));
  EXPECT_EQ(condition("message"), "3/3 proxies up to date.");
}

TEST_F(Statuses, WaitForTheSnapshotThatHasTheObject) {
  tell(rule(1), {1, 1});
  put(rule(2));
  status_.set_leading(true);
  // Generation 2 is in no snapshot yet: however often is asked, nothing is said.
  EXPECT_TRUE(server_.wait_until([&] { return asked_ > 20; }));
  EXPECT_EQ(condition("status"), "");
  tell(rule(2), {1, 1});
  EXPECT_TRUE(wait_for("status", "True"));
  EXPECT_EQ(data::get_int(stored(), {"status", "observedGeneration"}), 2);
}

TEST_F(Statuses, AreNotRepeated) {
  Json told = rule(5);
  data::set(told, {"status"}, *data::parse_json(R"({"observedGeneration": 5,
              "conditions": [{"type": "Reconciled", "status": "True"}]})"));
  tell(told, {1, 1});
  put(told);
  EXPECT_EQ(status_.waiting(), 0u);
  put(rule(6));  // a new generation waits, whatever the old status says
  EXPECT_EQ(status_.waiting(), 1u);
  status_.take(rule(6), true);
  EXPECT_EQ(status_.waiting(), 0u);
}

}  // namespace
}  // namespace lateen::discovery
