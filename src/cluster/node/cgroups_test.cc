// Finding control groups in file systems that are not the kernel's, and in this machine's.
#include "cluster/node/cgroups.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "linux/files.h"

namespace lateen::cluster::node {
namespace {

class CgroupsTest : public testing::Test {
 protected:
  CgroupsTest() {
    char name[] = "/tmp/lateen-cgroups-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~CgroupsTest() override { std::filesystem::remove_all(directory_); }
  void file(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(directory_ + path).parent_path());
    ASSERT_TRUE(os::write_file(directory_ + path, text).ok());
  }
  std::string directory_;
};

TEST_F(CgroupsTest, WithoutControllersItSaysWhatToDo) {
  file("/own", "0::/user.slice\n");
  file("/mount/cgroup.controllers", "cpuset pids\n");
  file("/mount/user.slice/cgroup.controllers", "pids\n");
  const auto cgroups = Cgroups::find("lateen-x", directory_ + "/mount", directory_ + "/own");
  EXPECT_FALSE(cgroups->is_enforcing());
  EXPECT_NE(cgroups->why_not().find("Delegate=yes"), std::string::npos);
  auto group = cgroups->make("c", {.memory_bytes = 1 << 20});
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(*group, nullptr);
}

TEST_F(CgroupsTest, NothingIsLeftBehind) {
  const std::string name = fmt::format("lateen-test-{}", ::getpid());
  {
    const auto cgroups = Cgroups::find(name);
    if (!cgroups->is_enforcing()) GTEST_SKIP() << cgroups->why_not();
    auto group = cgroups->make("c", {.memory_bytes = 64 << 20, .cpu_millis = 500});
    ASSERT_TRUE(group.ok()) << group.error().message();
    ASSERT_NE(*group, nullptr);
    EXPECT_FALSE((*group)->was_out_of_memory());
    EXPECT_TRUE((*group)->directory_fd() >= 0 || (*group)->procs().size() == 2);
    auto none = cgroups->make("free", {});
    ASSERT_TRUE(none.ok());
    EXPECT_EQ(*none, nullptr);
  }
  for (const std::string mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu"})
    EXPECT_FALSE(os::path_exists(mount + "/" + name)) << mount;
}

}  // namespace
}  // namespace lateen::cluster::node
