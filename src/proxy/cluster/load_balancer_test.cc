// Who gets how much: weights, priorities, localities, health, consistent hashing.

#include "proxy/cluster/load_balancer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace lateen::proxy {
namespace {

struct Fixture {
  std::shared_ptr<ClusterConfig> config = std::make_shared<ClusterConfig>();
  std::shared_ptr<EndpointSet> set = std::make_shared<EndpointSet>();
  std::unique_ptr<Random> random = seeded_random(7);

  Fixture() {
    config->state = std::make_shared<ClusterState>("c", "c");
    config->panic_percent = 0;
  }
  HostRef add(const std::string& ip, std::uint32_t weight = 1, std::size_t priority = 0,
              std::size_t locality = 0, std::uint32_t locality_weight = 1) {
    HostConfig host;
    host.address = net::Address(*net::Ip::parse(ip), 80);
    host.weight = weight;
    host.state = std::make_shared<HostState>();
    auto made = std::make_shared<const HostConfig>(std::move(host));
    if (set->priorities.size() <= priority) set->priorities.resize(priority + 1);
    auto& groups = set->priorities[priority];
    if (groups.size() <= locality) groups.resize(locality + 1);
    groups[locality].weight = locality_weight;
    groups[locality].hosts.push_back(made);
    return made;
  }
  std::map<std::string, int> shares(int picks, std::optional<std::uint64_t> hash = std::nullopt) {
    LoadBalancer balancer(config, set, *random);
    std::map<std::string, int> made;
    for (int i = 0; i < picks; ++i) {
      PickContext context;
      context.hash = hash;
      const auto host = balancer.pick(context, SteadyTime());
      ++made[host == nullptr ? "none" : host->address.ip().to_string()];
    }
    return made;
  }
};

TEST(LoadBalancer, RoundRobinIsEven) {
  Fixture f;
  for (const char* ip : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) f.add(ip);
  for (const auto& [ip, count] : f.shares(300)) EXPECT_EQ(count, 100) << ip;
}

TEST(LoadBalancer, RoundRobinFollowsWeights) {
  Fixture f;
  f.add("10.0.0.1", 1);
  f.add("10.0.0.2", 3);
  auto shares = f.shares(400);
  EXPECT_NEAR(shares["10.0.0.1"], 100, 2);
  EXPECT_NEAR(shares["10.0.0.2"], 300, 2);
}

TEST(LoadBalancer, LeastRequestAvoidsTheBusyHost) {
  Fixture f;
  f.config->policy = ClusterConfig::Policy::kLeastRequest;
  f.add("10.0.0.1")->state->rq_active.add(10);
  f.add("10.0.0.2");
  auto shares = f.shares(400);
  EXPECT_GT(shares["10.0.0.2"], 260);  // loses only when both choices are the busy one
}

TEST(LoadBalancer, EjectedHostsGetNothing) {
  Fixture f;
  f.add("10.0.0.1")->state->is_ejected = true;
  f.add("10.0.0.2");
  EXPECT_EQ(f.shares(100), (std::map<std::string, int>{{"10.0.0.2", 100}}));
}

TEST(LoadBalancer, NoHostAndNoHealthyHost) {
  Fixture f;
  EXPECT_EQ(f.shares(1), (std::map<std::string, int>{{"none", 1}}));
  f.add("10.0.0.1")->state->is_ejected = true;
  EXPECT_EQ(f.shares(1), (std::map<std::string, int>{{"none", 1}}));
}

TEST(LoadBalancer, PanicUsesAllHosts) {
  Fixture f;
  f.config->panic_percent = 50;
  f.add("10.0.0.1")->state->is_ejected = true;
  EXPECT_EQ(f.shares(10), (std::map<std::string, int>{{"10.0.0.1", 10}}));
}

TEST(LoadBalancer, PriorityOneTakesWhatZeroCannot) {
  Fixture f;
  f.add("10.0.0.1");
  f.add("10.0.0.2")->state->is_ejected = true;
  f.add("10.0.1.1", 1, 1);
  auto shares = f.shares(10'000);
  EXPECT_NEAR(shares["10.0.0.1"], 7000, 200);  // 50 % healthy times 1.4
  EXPECT_NEAR(shares["10.0.1.1"], 3000, 200);
}

TEST(LoadBalancer, LocalityWeights) {
  Fixture f;
  f.config->is_locality_weighted = true;
  f.add("10.0.0.1", 1, 0, 0, 80);
  f.add("10.0.1.1", 1, 0, 1, 20);
  auto shares = f.shares(1000);
  EXPECT_EQ(shares["10.0.0.1"], 800);
  EXPECT_EQ(shares["10.0.1.1"], 200);
}

TEST(LoadBalancer, HashingIsStableAndMovesLittle) {
  for (const auto policy : {ClusterConfig::Policy::kRingHash, ClusterConfig::Policy::kMaglev}) {
    Fixture f;
    f.config->policy = policy;
    for (int i = 1; i <= 5; ++i) f.add("10.0.0." + std::to_string(i));
    LoadBalancer before(f.config, f.set, *f.random);
    ASSERT_NE(before.pick({}, SteadyTime()), nullptr);  // builds it with the five
    f.add("10.0.0.6");
    LoadBalancer after(f.config, f.set, *f.random);
    LoadBalancer again(f.config, f.set, *f.random);
    int moved = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      PickContext context;
      context.hash = i * 0x9e3779b97f4a7c15ULL;
      const auto old = before.pick(context, SteadyTime())->address;
      const auto fresh = after.pick(context, SteadyTime())->address;
      EXPECT_EQ(fresh, again.pick(context, SteadyTime())->address);
      moved += old == fresh ? 0 : 1;
    }
    EXPECT_LT(moved, 300);  // a sixth, give or take
    EXPECT_GT(moved, 50);
  }
}

HostRef with(Fixture& f, const HostRef& host, const std::function<void(HostConfig&)>& change) {
  HostConfig copy = *host;
  change(copy);
  auto made = std::make_shared<const HostConfig>(std::move(copy));
  for (auto& priority : f.set->priorities)
    for (auto& group : priority)
      for (auto& one : group.hosts)
        if (one == host) one = made;
  return made;
}

void label(HostConfig& host, const std::string& name, const std::string& value) {
  host.metadata["envoy.lb"] = data::JsonObject{{name, value}};
}

TEST(LoadBalancer, ANewHostStartsSlowly) {
  Fixture f;
  f.config->slow_start.window = milliseconds(10'000);
  const auto old = f.add("10.0.0.1");
  const auto fresh = f.add("10.0.0.2");
  const SteadyTime now(seconds(100));
  old->state->available_at = nanoseconds(0).count();
  fresh->state->available_at = nanoseconds(seconds(99)).count();  // a tenth of the window
  LoadBalancer balancer(f.config, f.set, *f.random);
  const auto share = [&](SteadyTime at) {
    int count = 0;
    for (int i = 0; i < 1100; ++i) count += balancer.pick({}, at) == fresh ? 1 : 0;
    return count;
  };
  EXPECT_NEAR(share(now), 100, 10);                // weights 10 and 1
  EXPECT_NEAR(share(now + seconds(20)), 550, 10);  // grown up
}

TEST(LoadBalancer, DegradedHostsServeWhileThereIsNoHealthyOne) {
  Fixture f;
  const auto good = f.add("10.0.0.1");
  with(f, f.add("10.0.0.2"), [](HostConfig& h) { h.health = HostConfig::Health::kDegraded; });
  EXPECT_EQ(f.shares(100)["10.0.0.1"], 100);
  good->state->is_ejected = true;
  EXPECT_EQ(f.shares(100)["10.0.0.2"], 100);
}

TEST(LoadBalancer, AFailedHealthCheckTakesAHostOut) {
  Fixture f;
  f.add("10.0.0.1")->state->is_check_failed = true;
  f.add("10.0.0.2");
  EXPECT_EQ(f.shares(100)["10.0.0.2"], 100);
}

TEST(LoadBalancer, SubsetsByLabelsWithFallbacks) {
  using Fallback = SubsetSelector::Fallback;
  Fixture f;
  with(f, f.add("10.0.0.1"), [](HostConfig& h) { label(h, "version", "v1"); });
  with(f, f.add("10.0.0.2"), [](HostConfig& h) { label(h, "version", "v2"); });
  Subsets subsets;
  subsets.selectors.push_back({{"version"}, Fallback::kNotSaid, {}});
  subsets.default_subset = {{"version", "v2"}};
  const auto pick = [&](const data::JsonObject& wanted) {
    f.config->subsets = subsets;
    LoadBalancer balancer(f.config, f.set, *f.random);
    PickContext context;
    context.subset = &wanted;
    std::string seen;
    for (int i = 0; i < 20; ++i) {
      const auto host = balancer.pick(context, SteadyTime());
      const std::string ip = host == nullptr ? "none" : host->address.ip().to_string();
      if (seen.find(ip) == std::string::npos) seen += ip + " ";
    }
    return seen;
  };
  EXPECT_EQ(pick({{"version", "v1"}}), "10.0.0.1 ");
  EXPECT_EQ(pick({{"version", "v9"}}), "none ");
  subsets.fallback = Fallback::kDefaultSubset;
  EXPECT_EQ(pick({{"version", "v9"}}), "10.0.0.2 ");
  EXPECT_EQ(pick({}), "10.0.0.2 ");
  subsets.fallback = Fallback::kAny;
  EXPECT_EQ(pick({{"version", "v9"}}).size(), std::string("10.0.0.1 10.0.0.2 ").size());
}

TEST(LoadBalancer, RetriesStayAwayFromWhatTheyAreTold) {
  Fixture f;
  with(f, f.add("10.0.0.1"), [](HostConfig& h) {
    h.metadata["envoy.lb"] = data::JsonObject{{"canary", true}};
  });
  with(f, f.add("10.0.0.2"), [](HostConfig& h) { label(h, "zone", "a"); });
  const auto plain = f.add("10.0.0.3");
  LoadBalancer balancer(f.config, f.set, *f.random);
  const std::vector<data::JsonObject> zones = {{{"zone", "a"}}};
  PickContext context;
  context.avoids_canaries = true;
  context.avoided_metadata = &zones;
  context.avoid_attempts = 50;
  for (int i = 0; i < 30; ++i) EXPECT_EQ(balancer.pick(context, SteadyTime()), plain);
}

TEST(LoadBalancer, RetriesGoToAnotherPriority) {
  Fixture f;
  const auto first = f.add("10.0.0.1");
  auto second = f.add("10.0.0.2", 1, 1);
  second = with(f, second, [](HostConfig& h) { h.priority = 1; });
  LoadBalancer balancer(f.config, f.set, *f.random);
  const std::vector<HostRef> tried = {first};
  PickContext context;
  EXPECT_EQ(balancer.pick(context, SteadyTime()), first);
  context.tried = &tried;
  EXPECT_EQ(balancer.pick(context, SteadyTime()), second);
}

}  // namespace
}  // namespace lateen::proxy
