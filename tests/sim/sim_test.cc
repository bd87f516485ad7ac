// A handful of seeds that always run; ./dev sim runs any other.
#include <gtest/gtest.h>

#include "base/log.h"
#include "simulation.h"

namespace lateen::mesh_test {
namespace {

std::string all(const std::vector<std::string>& problems) {
  std::string out;
  for (const auto& problem : problems) out += problem + "\n";
  return out;
}

class Seeds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Seeds, HoldsWhateverHappens) {
  log::set_level(log::Level::kNone);
  Simulation simulation(GetParam());
  simulation.run(seconds(20));
  EXPECT_EQ(all(simulation.problems()), "") << "./dev sim " << GetParam() << " 20";
  EXPECT_GT(simulation.counts().answers, 500);
  EXPECT_GT(simulation.counts().faults, 5);
}

TEST_P(Seeds, RepeatTheirTrace) {
  log::set_level(log::Level::kNone);
  const auto trace_of = [](std::uint64_t seed) {
    Simulation simulation(seed);
    simulation.run(seconds(5));
    return simulation.trace();
  };
  EXPECT_EQ(trace_of(GetParam()), trace_of(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Fixed, Seeds, testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace lateen::mesh_test
