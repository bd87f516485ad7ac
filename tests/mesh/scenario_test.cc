// Every file of tests/mesh/scenarios is a test.
#include "scenario.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/log.h"

namespace lateen::mesh_test {
namespace {

class Scenario : public testing::TestWithParam<std::string> {};

TEST_P(Scenario, Holds) {
  log::set_level(std::getenv("LATEEN_TEST_LOG") != nullptr ? log::Level::kDebug
                                                           : log::Level::kNone);
  std::string all;
  for (const auto& problem : run_scenario(GetParam())) all += problem + "\n";
  EXPECT_EQ(all, "") << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Mesh, Scenario, testing::ValuesIn(scenario_files()),
                         [](const testing::TestParamInfo<std::string>& info) {
                           return std::filesystem::path(info.param).stem().string();
                         });

TEST(Scenarios, AreMany) { EXPECT_GE(scenario_files().size(), 40u); }

}  // namespace
}  // namespace lateen::mesh_test
