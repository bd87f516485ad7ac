#include "cluster/images/root.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "linux/files.h"

namespace lateen::cluster::images {
namespace {

TEST(Roots, AreUsedAgainUnlessTheirImageOrTheMachineChanged) {
  const std::string directory = testing::TempDir() + "lateen-roots-" + std::to_string(::getpid());
  Catalog catalog(directory + "/images.json");
  Image image = catalog.find("istio/proxyv2:1").value();
  const std::string of_before = directory + "/0123456789abcdef/istio_proxyv2";
  ASSERT_TRUE(os::make_directories(of_before).ok());
  std::string lower;
  {
    Roots roots(directory, "/opt/programs");
    const auto made = roots.root_of(image);
    ASSERT_TRUE(made.ok()) << made.error().message();
    lower = made->lower;
    ASSERT_TRUE(os::write_file(lower + "/made-once", "").ok());
  }
  Roots roots(directory, "/opt/programs");
  const auto again = roots.root_of(image);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->lower, lower);
  EXPECT_TRUE(os::path_exists(lower + "/made-once"));
  roots.remove_old();
  EXPECT_FALSE(os::path_exists(of_before));
  EXPECT_TRUE(os::path_exists(lower + "/made-once"));
  image.programs.emplace_back("another", "lateen");
  const auto changed = roots.root_of(image);
  ASSERT_TRUE(changed.ok()) << changed.error().message();
  EXPECT_NE(changed->lower, lower);
  EXPECT_TRUE(os::path_exists(changed->lower + "/usr-local/bin/another"));
  (void)os::remove_tree(directory);
}

}  // namespace
}  // namespace lateen::cluster::images
