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

TEST_F(CatalogTest, KnowsWhatIstiosFilesName) {
  Catalog catalog(directory_ + "/images.json");
  for (const char* reference : {"docker.io/istio/pilot:1.9.1",
                                "gcr.io/istio-release/pilot:1.25.0-distroless",
                                "registry.istio.io/release/pilot:1.29",
                                "registry.istio.io/release/proxyv2:1.29.1",
                                "localhost:5000/proxyv2:dev",
                                "docker.io/istio/operator:1.9.2",
                                "registry.istio.io/release/operator:1.23",
                                "registry.istio.io/release/examples-bookinfo-productpage-v1:1.20.3",
                                "docker.io/istio/examples-bookinfo-details-v2:1.16.2",
                                "registry.istio.io/release/examples-bookinfo-ratings-v2:1.20.3",
                                "docker.io/istio/examples-bookinfo-reviews-v3:1.16.2",
                                "registry.istio.io/release/examples-helloworld-v1:1.0",
                                "docker.io/istio/examples-helloworld-v2",
                                "registry.istio.io/release/tcp-echo-server:1.3",
                                "docker.io/istio/tcp-echo-server:1.2",
                                "quay.io/kiali/kiali:v1.29",
                                "quay.io/kiali/kiali:v2.27",
                                "docker.io/grafana/grafana:12.0.1",
                                "grafana/grafana:7.2.1",
                                "docker.io/prom/prometheus:v3.10.0",
                                "prom/prometheus:v2.21.0",
                                "ghcr.io/prometheus-operator/prometheus-config-reloader:v0.89.0",
                                "jimmidyson/configmap-reload:v0.4.0",
                                "docker.io/jaegertracing/all-in-one:1.20",
                                "docker.io/jaegertracing/jaeger:2.17.0",
                                "openzipkin/zipkin-slim:2.21.0",
                                "docker.io/openzipkin/zipkin:3",
                                "curlimages/curl",
                                "docker.io/curlimages/curl:8.16.0",
                                "docker.io/kennethreitz/httpbin",
                                "docker.io/kong/httpbin:0.1.0",
                                "docker.io/mccutchen/go-httpbin:v2.15.0",
                                "governmentpaas/curl-ssl",
                                "docker.io/library/busybox:1.28",
                                "docker.io/library/alpine:3"}) {
    const auto image = catalog.find(reference);
    ASSERT_TRUE(image.ok()) << reference;
    EXPECT_FALSE(image->entrypoint.empty() && image->arguments.empty()) << reference;
  }
  // A name that others use too is ours only under Istio's path.
  EXPECT_FALSE(catalog.find("acme/operator:1").ok());
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
