// Two candidates and one lease.
#include "operator/leader.h"

#include <gtest/gtest.h>

#include <thread>

#include "kube/memory_server.h"

namespace lateen::op {
namespace {

LeaderOptions as(std::string identity) {
  LeaderOptions options;
  options.lease = {"istio-operator", "lock"};
  options.identity = std::move(identity);
  options.duration = seconds(1);
  options.renew_every = milliseconds(50);
  options.retry_every = milliseconds(50);
  return options;
}

std::string holder(kube::Client& client) {
  const auto lease = client.get(kube::resources::leases(), {"istio-operator", "lock"});
  return lease ? std::string(data::get_string(*lease, {"spec", "holderIdentity"})) : "";
}

TEST(Leader, OnlyOneLeadsUntilItGivesBack) {
  SystemClock clock;
  kube::MemoryServer server;
  kube::Client client(server.transport());
  Leader first(client, clock, as("a")), second(client, clock, as("b"));
  const auto never = [] { return false; };
  ASSERT_TRUE(first.acquire(never));
  EXPECT_EQ(holder(client), "a");

  std::atomic<bool> is_over{false}, has_second{false};
  std::thread keeper([&] { EXPECT_TRUE(first.keep([&] { return is_over.load(); })); });
  std::thread waiter([&] { has_second = second.acquire(never); });
  // The first renews faster than its lease ends: the second must wait through more than one
  // duration.
  EXPECT_FALSE(server.wait_until([&] { return holder(client) == "b"; }, milliseconds(1'500)));
  is_over = true;
  keeper.join();
  waiter.join();
  EXPECT_TRUE(has_second);
  EXPECT_EQ(holder(client), "b");
}

TEST(Leader, ASilentLeaderIsReplaced) {
  SystemClock clock;
  kube::MemoryServer server;
  kube::Client client(server.transport());
  Leader first(client, clock, as("a")), second(client, clock, as("b"));
  const auto never = [] { return false; };
  ASSERT_TRUE(first.acquire(never));
  ASSERT_TRUE(second.acquire(never));
  EXPECT_EQ(holder(client), "b");
  // The old leader learns of it when it next renews.
  EXPECT_FALSE(first.keep(never));
}

TEST(Leader, ComesBackAtOnceUnderItsOwnName) {
  SystemClock clock;
  kube::MemoryServer server;
  kube::Client client(server.transport());
  ASSERT_TRUE(Leader(client, clock, as("a")).acquire([] { return false; }));
  const auto before = clock.steady();
  ASSERT_TRUE(Leader(client, clock, as("a")).acquire([] { return false; }));
  EXPECT_LT(clock.steady() - before, seconds(1));
}

}  // namespace
}  // namespace lateen::op
