// The addon's prometheus.yml made fit for Debian's Prometheus, and the targets that it asks for.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "console/prometheus/scrape_config.h"
#include "console/prometheus/target_groups.h"
#include "data/yaml.h"

namespace lateen::console {
namespace {

std::string addon_config() {
  std::ifstream file("samples/addons/prometheus.yaml");
  std::stringstream text;
  text << file.rdbuf();
  const auto documents = data::parse_yaml_documents(text.str());
  EXPECT_TRUE(documents.ok());
  for (const auto& one : documents.value()) {
    const auto config = data::get_string(one, {"data", "prometheus.yml"});
    if (!config.empty()) return std::string(config);
  }
  return "";
}

TEST(ScrapeConfigTest, TurnsTheAddonsDiscoveryIntoHttp) {
  const auto rewritten = rewrite_scrape_config(addon_config(), "http://127.0.0.1:1/targets");
  ASSERT_TRUE(rewritten.ok());
  ASSERT_EQ(rewritten.value().queries.size(), 3u);
  EXPECT_EQ(rewritten.value().queries[2].role, "pod");
  EXPECT_EQ(rewritten.value().yaml.find("kubernetes_sd_configs"), std::string::npos);
  EXPECT_NE(rewritten.value().yaml.find("http://127.0.0.1:1/targets/2"), std::string::npos);
  const auto root = data::parse_yaml(rewritten.value().yaml);
  ASSERT_TRUE(root.ok());
  // Relabelling stays as it was: regular expressions with backslashes and all.
  EXPECT_NE(data::dump_json(root.value()).find(R"((\\d+);)"), std::string::npos);
}

TEST(ScrapeConfigTest, ReadsNamespacesAndSelectors) {
  const auto rewritten = rewrite_scrape_config(R"(
scrape_configs:
- job_name: istiod
  kubernetes_sd_configs:
  - role: endpoints
    namespaces:
      names: [istio-system]
    selectors:
    - role: endpoints
      label: app=istiod
)",
                                               "http://x");
  ASSERT_TRUE(rewritten.ok());
  EXPECT_EQ(rewritten.value().queries.at(0).namespaces, (std::set<std::string>{"istio-system"}));
  EXPECT_EQ(rewritten.value().queries[0].label_selector, "app=istiod");
  EXPECT_FALSE(rewrite_scrape_config("a: [", "http://x").ok());
}

data::Json yaml(std::string_view text) {
  auto parsed = data::parse_yaml(text);
  EXPECT_TRUE(parsed.ok());
  return std::move(parsed).value();
}

ClusterObjects bookinfo() {
  ClusterObjects objects;
  objects.pods.push_back(yaml(R"(
apiVersion: v1
kind: Pod
metadata:
  name: ratings-v1-x
  namespace: default
  labels: {app: ratings, app.kubernetes.io/name: r}
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "15020"}
  ownerReferences: [{kind: ReplicaSet, name: ratings-v1, controller: true}]
spec:
  nodeName: n
  containers:
  - {name: ratings, image: i, ports: [{containerPort: 9080, name: http}]}
  - {name: istio-proxy, image: p}
status: {podIP: 10.1.0.7, phase: Running, conditions: [{type: Ready, status: "True"}]}
)"));
  objects.services.push_back(
      yaml("{metadata: {name: ratings, namespace: default, labels: {app: ratings}}, spec: {type: "
           "ClusterIP, clusterIP: 10.2.0.1, ports: [{port: 9080, name: http}]}}"));
  objects.endpoints.push_back(yaml(R"(
metadata: {name: ratings, namespace: default}
subsets:
- addresses: [{ip: 10.1.0.7, targetRef: {kind: Pod, name: ratings-v1-x, namespace: default}}]
  ports: [{port: 9080, name: http}]
)"));
  return objects;
}

TEST(TargetGroupsTest, PodsHaveATargetPerContainerPort) {
  const auto groups = pod_targets(bookinfo());
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(data::as_string(data::get_array(groups[0], {"targets"})[0]), "10.1.0.7:9080");
  EXPECT_EQ(data::as_string(data::get_array(groups[1], {"targets"})[0]), "10.1.0.7");
  const auto label = [&](std::string_view name) {
    return data::get_string(groups[0], {"labels", name});
  };
  EXPECT_EQ(label("__meta_kubernetes_pod_annotation_prometheus_io_port"), "15020");
  EXPECT_EQ(label("__meta_kubernetes_pod_label_app_kubernetes_io_name"), "r");
  EXPECT_EQ(label("__meta_kubernetes_pod_labelpresent_app"), "true");
  EXPECT_EQ(label("__meta_kubernetes_pod_controller_name"), "ratings-v1");
  EXPECT_EQ(label("__meta_kubernetes_pod_ready"), "true");
  EXPECT_EQ(label("__meta_kubernetes_namespace"), "default");
}

TEST(TargetGroupsTest, EndpointsKnowTheirServiceAndPod) {
  const auto groups = endpoints_targets(bookinfo());
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(data::as_string(data::get_array(groups[0], {"targets"})[0]), "10.1.0.7:9080");
  EXPECT_EQ(data::get_string(groups[0], {"labels", "__meta_kubernetes_service_name"}), "ratings");
  EXPECT_EQ(data::get_string(groups[0], {"labels", "__meta_kubernetes_endpoint_port_name"}),
            "http");
  EXPECT_EQ(data::get_string(groups[0], {"labels", "__meta_kubernetes_pod_name"}), "ratings-v1-x");
  EXPECT_EQ(data::get_string(groups[0], {"labels", "__meta_kubernetes_pod_container_name"}),
            "ratings");
  const auto services = service_targets(bookinfo());
  EXPECT_EQ(data::as_string(data::get_array(services[0], {"targets"})[0]),
            "ratings.default.svc:9080");
}

}  // namespace
}  // namespace lateen::console
