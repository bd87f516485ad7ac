#include "cluster/images/catalog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "cluster/images/root.h"
#include "linux/files.h"

namespace lateen::cluster::images {
namespace {

TEST(Reference, LosesRegistryTagAndDigest) {
  EXPECT_EQ(repository_of("docker.io/istio/proxyv2:1.9.1").value(), "istio/proxyv2");
  EXPECT_EQ(repository_of("localhost:5000/a/b@sha256:00").value(), "a/b");
  EXPECT_EQ(repository_of("busybox").value(), "busybox");
  EXPECT_EQ(tag_of("localhost:5000/a/b"), "latest");
  EXPECT_EQ(tag_of("a/b:v1@sha256:00"), "v1");
  for (const char* bad : {"", "UPPER", "a//:", "a b", "/a", "https://x"})
    EXPECT_FALSE(repository_of(bad).ok() && repository_of(bad).value().empty()) << bad;
  EXPECT_FALSE(repository_of("UPPER/case").ok());
  EXPECT_FALSE(repository_of("").ok());
}

class CatalogTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "lateen-catalog-" + std::to_string(::getpid());
    ASSERT_TRUE(os::make_directories(directory_).ok());
  }
  void TearDown() override { (void)os::remove_tree(directory_); }
  std::string directory_;
};

TEST_F(CatalogTest, FindsIstioUnderAnyRegistryAndTag) {
  Catalog catalog(directory_ + "/images.json");
  EXPECT_EQ(catalog.find("gcr.io/istio-release/pilot:1.25-alpha")->entrypoint.front(),
            "/usr/local/bin/pilot-discovery");
  EXPECT_EQ(catalog.find("mirror.example:8443/x/istio/proxyv2")->entrypoint.front(),
            "/usr/local/bin/pilot-agent");
  EXPECT_EQ(catalog.find("busybox:1.28")->arguments.front(), "sh");
}

TEST_F(CatalogTest, SaysHowToMapAnUnknownImage) {
  Catalog catalog(directory_ + "/images.json");
  auto found = catalog.find("acme/shop:2");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code(), Code::kNotFound);
  EXPECT_NE(found.error().message().find("lateen image add acme/shop --root DIR"),
            std::string::npos);
}

TEST_F(CatalogTest, PrefersUserEntriesAndForgetsThem) {
  Catalog catalog(directory_ + "/images.json");
  Image image;
  image.repository = "busybox";
  image.root = directory_;
  image.entrypoint = {"/bin/own"};
  ASSERT_TRUE(catalog.add(image).ok());
  EXPECT_EQ(catalog.find("busybox")->entrypoint.front(), "/bin/own");
  ASSERT_TRUE(catalog.remove("busybox").ok());
  EXPECT_TRUE(catalog.find("busybox")->entrypoint.empty());
  EXPECT_EQ(catalog.remove("busybox").error().code(), Code::kNotFound);
}

TEST_F(CatalogTest, BuildsARootWithLinksToOurPrograms) {
  Roots roots(directory_ + "/roots", "/opt/programs");
  Catalog catalog(directory_ + "/images.json");
  auto root = roots.root_of(catalog.find("istio/proxyv2:1").value());
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_TRUE(os::path_exists(root->lower + "/usr-local/bin/pilot-agent"));
  EXPECT_NE(os::read_file(root->lower + "/etc/passwd")->find("istio-proxy:x:1337:1337"),
            std::string::npos);
  EXPECT_EQ(root->binds.front().target, "/usr");
  EXPECT_EQ(root->binds.back().target, "/opt/lateen");
}

}  // namespace
}  // namespace lateen::cluster::images
