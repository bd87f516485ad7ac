// The entries that ship with Lateen: Istio's, Bookinfo's, the addons' and common sample images, run
// by our own programs and by what Debian has under /usr.
#include "cluster/images/catalog.h"

namespace lateen::cluster::images {
namespace {

using Programs = std::vector<std::pair<std::string, std::string>>;

Image ours(std::string repository, std::vector<std::string> entrypoint, Programs programs,
           std::vector<std::string> arguments = {}) {
  Image image;
  image.repository = std::move(repository);
  image.entrypoint = std::move(entrypoint);
  image.arguments = std::move(arguments);
  image.programs = std::move(programs);
  return image;
}

// What only has a shell and Debian's tools.
Image plain(std::string repository, std::vector<std::string> arguments) {
  return ours(std::move(repository), {}, {}, std::move(arguments));
}

void add_istio(std::vector<Image>& images) {
  const Programs control = {{"pilot-discovery", "lateen"}, {"lateen", "lateen"}};
  const Programs proxy = {{"pilot-agent", "lateen"},
                          {"istio-iptables", "lateen"},
                          {"envoy", "lateen-proxy"},
                          {"lateen-proxy", "lateen-proxy"},
                          {"lateen", "lateen"}};
  // Names that nobody else uses are known under any path, so that a mirror needs no entry.
  images.push_back(ours("pilot", {"/usr/local/bin/pilot-discovery"}, control));
  images.push_back(ours("proxyv2", {"/usr/local/bin/pilot-agent"}, proxy));
  images.push_back(ours("istioctl", {"/usr/local/bin/istioctl"}, {{"istioctl", "lateen"}}));
  images.push_back(
      ours("install-cni", {"install-cni"}, {{"install-cni", "lateen"}, {"lateen", "lateen"}}));
  for (const std::string project : {"istio", "istio-release", "istio-testing", "release"})
    images.push_back(ours(project + "/operator", {"operator"},
                          {{"operator", "lateen"}, {"istioctl", "lateen"}, {"lateen", "lateen"}}));
}

void add_samples(std::vector<Image>& images) {
  const Programs sample = {{"bookinfo", "bookinfo"}};
  const auto bookinfo = [&](const std::string& name, const std::string& service,
                            const std::string& version) {
    images.push_back(
        ours("examples-bookinfo-" + name, {"/usr/local/bin/bookinfo", service}, sample));
    images.back().environment = {{"SERVICE_VERSION", version}};
  };
  bookinfo("details-v1", "details", "v1");
  bookinfo("details-v2", "details", "v2");
  bookinfo("ratings-v1", "ratings", "v1");
  bookinfo("ratings-v2", "ratings", "v2");
  for (const std::string bad : {"v-faulty", "v-delayed", "v-unavailable", "v-unhealthy"}) {
    bookinfo("ratings-" + bad, "ratings", bad);
  }
  bookinfo("productpage-v1", "productpage", "v1");
  bookinfo("reviews-v1", "reviews", "v1");
  images.back().environment.emplace_back("ENABLE_RATINGS", "false");
  bookinfo("reviews-v2", "reviews", "v2");
  images.back().environment.insert(images.back().environment.end(),
                                   {{"ENABLE_RATINGS", "true"}, {"STAR_COLOR", "black"}});
  bookinfo("reviews-v3", "reviews", "v3");
  images.back().environment.insert(images.back().environment.end(),
                                   {{"ENABLE_RATINGS", "true"}, {"STAR_COLOR", "red"}});
  for (const std::string version : {"v1", "v2"}) {
    images.push_back(
        ours("examples-helloworld-" + version, {"/usr/local/bin/bookinfo", "helloworld"}, sample));
    images.back().environment = {{"SERVICE_VERSION", version}};
  }
  for (const std::string httpbin : {"kennethreitz/httpbin", "kong/httpbin", "mccutchen/go-httpbin"})
    images.push_back(ours(httpbin, {}, sample, {"/usr/local/bin/bookinfo", "httpbin"}));
  images.push_back(
      ours("tcp-echo-server", {"/usr/local/bin/bookinfo", "tcp-echo"}, sample, {"9000", "hello"}));
}

void add_addons(std::vector<Image>& images) {
  const auto console = [&](const std::string& repository, const std::string& role,
                           Programs programs) {
    programs.emplace_back("lateen", "lateen");
    images.push_back(
        ours(repository, {"/usr/local/bin/lateen", "console", role}, std::move(programs)));
  };
  console("kiali/kiali", "kiali", {{"/opt/kiali/kiali", "lateen"}});
  console("jaegertracing/all-in-one", "jaeger", {});
  console("jaegertracing/jaeger", "jaeger", {});
  console("grafana/grafana", "grafana", {});
  console("openzipkin/zipkin", "zipkin", {});
  console("openzipkin/zipkin-slim", "zipkin", {});
  // Debian's Prometheus, with the Kubernetes service discovery that Debian leaves out.
  console("prom/prometheus", "prometheus", {});
  console("jimmidyson/configmap-reload", "configmap-reload", {});
  console("prometheus-operator/prometheus-config-reloader", "configmap-reload", {});
}

std::vector<Image> make_images() {
  std::vector<Image> images;
  add_istio(images);
  add_samples(images);
  add_addons(images);
  images.push_back(plain("curlimages/curl", {"curl"}));
  images.push_back(plain("governmentpaas/curl-ssl", {"/bin/sh"}));
  images.push_back(plain("tutum/curl", {"/bin/bash"}));
  images.push_back(plain("busybox", {"sh"}));
  images.push_back(plain("alpine", {"/bin/sh"}));
  images.push_back(plain("debian", {"bash"}));
  images.push_back(plain("ubuntu", {"/bin/bash"}));
  images.push_back(plain("fortio/fortio", {"fortio", "server"}));
  images.push_back(plain("nginx", {"nginx", "-g", "daemon off;"}));
  images.push_back(ours("pause", {"/usr/bin/sleep"}, {}, {"infinity"}));
  return images;
}

}  // namespace

const std::vector<Image>& built_in_images() {
  static const std::vector<Image> kImages = make_images();
  return kImages;
}

}  // namespace lateen::cluster::images
