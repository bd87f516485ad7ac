// Injection as Kubernetes asks for it: an AdmissionReview in, a JSON patch out.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "data/yaml.h"
#include "discovery/inject/webhook.h"
#include "kube/object.h"
#include "kube/patch.h"

namespace lateen::discovery {
namespace {

using data::Json;

constexpr const char* kConfig = R"(
policy: enabled
defaultTemplates: [sidecar]
neverInjectSelector: [{matchLabels: {never: "yes"}}]
templates:
  sidecar: |
    metadata:
      labels:
        security.istio.io/tlsMode: istio
    spec:
      initContainers:
      - name: istio-init
        image: {{ .ProxyImage }}
      containers:
      - name: istio-proxy
        image: {{ .ProxyImage }}
        args: [proxy, sidecar]
        env:
        - {name: DEPLOY, value: "{{ .DeploymentMeta.Name }}"}
        - {name: MODE, value: "{{ .ProxyConfig.InterceptionMode }}"}
)";

WebhookState state() {
  WebhookState out;
  auto config =
      parse_injection_config(kConfig, R"({"global":{"hub":"docker.io/istio","tag":"1.9.1"}})");
  EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().message());
  if (config.ok()) out.injection = std::make_shared<const InjectionConfig>(*std::move(config));
  mesh::Issues issues;
  out.mesh = std::make_shared<const mesh::MeshConfig>(*mesh::parse_mesh_config("{}", issues));
  return out;
}

Json pod(std::string_view extra = "") {
  return *data::parse_yaml(R"(
apiVersion: v1
kind: Pod
metadata:
  generateName: reviews-v1-6b7f-
  labels: {app: reviews, pod-template-hash: 6b7f)" +
                           std::string(extra) + R"(}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: reviews-v1-6b7f, controller: true}]
spec:
  containers:
  - name: app
    image: app
    ports: [{name: web, containerPort: 9080}]
    readinessProbe: {httpGet: {path: /health, port: web}, timeoutSeconds: 3}
)");
}

Json review(const Json& object, std::string_view operation = "CREATE") {
  return data::JsonObject{
      {"apiVersion", "admission.k8s.io/v1"},
      {"kind", "AdmissionReview"},
      {"request",
       data::JsonObject{
           {"uid", "u1"}, {"namespace", "default"}, {"operation", operation}, {"object", object}}}};
}

Json injected(const Json& object, std::string_view path = "/inject") {
  Metrics metrics;
  auto answer = review_injection(state(), path, data::dump_json(review(object)), metrics);
  EXPECT_TRUE(answer.ok());
  const Json parsed = *data::parse_json(*answer);
  EXPECT_TRUE(data::get_bool(parsed, {"response", "allowed"}));
  EXPECT_EQ(data::get_string(parsed, {"response", "uid"}), "u1");
  const std::string_view patch = data::get_string(parsed, {"response", "patch"});
  if (patch.empty()) return object;
  auto patched = kube::json_patch(object, *data::parse_json(*base64_decode(patch)));
  EXPECT_TRUE(patched.ok()) << (patched.ok() ? "" : patched.error().message());
  return *std::move(patched);
}

const Json* container(const Json& pod, std::string_view name) {
  for (const Json& item : data::get_array(pod, {"spec", "containers"})) {
    if (data::get_string(item, {"name"}) == name) return &item;
  }
  return nullptr;
}

std::string env(const Json& container, std::string_view name) {
  for (const Json& item : data::get_array(container, {"env"})) {
    if (data::get_string(item, {"name"}) == name) {
      return std::string(data::get_string(item, {"value"}));
    }
  }
  return "(unset)";
}

TEST(Injection, AddsProxyStatusProbesMetrics) {
  const Json out = injected(pod(), "/inject/cluster/c1/net/n1");
  const Json* proxy = container(out, "istio-proxy");
  ASSERT_NE(proxy, nullptr);
  EXPECT_EQ(data::get_string(*proxy, {"image"}), "docker.io/istio/proxyv2:1.9.1");
  EXPECT_EQ(env(*proxy, "DEPLOY"), "reviews-v1");
  EXPECT_EQ(env(*proxy, "MODE"), "REDIRECT");
  EXPECT_EQ(env(*proxy, "ISTIO_META_CLUSTER_ID"), "c1");
  EXPECT_EQ(env(*proxy, "ISTIO_META_NETWORK"), "n1");
  const Json probers = *data::parse_json(env(*proxy, "ISTIO_KUBE_APP_PROBERS"));
  EXPECT_EQ(data::get_int(probers, {"/app-health/app/readyz", "httpGet", "port"}), 9080);
  EXPECT_EQ(data::get_string(*container(out, "app"), {"readinessProbe", "httpGet", "path"}),
            "/app-health/app/readyz");
  EXPECT_EQ(kube::annotation(out, "prometheus.io/port"), "15020");
  EXPECT_EQ(kube::label(out, "security.istio.io/tlsMode"), "istio");
  EXPECT_NE(kube::annotation(out, "sidecar.istio.io/status").find("istio-init"), std::string::npos);
}

TEST(Injection, AgainChangesNothing) {
  const Json once = injected(pod());
  EXPECT_TRUE(data::equal(injected(once), once)) << data::dump_json(injected(once));
}

TEST(Injection, DecisionsByLabelsAndPolicy) {
  EXPECT_EQ(container(injected(pod(", sidecar.istio.io/inject: \"false\"")), "istio-proxy"),
            nullptr);
  EXPECT_EQ(container(injected(pod(", never: \"yes\"")), "istio-proxy"), nullptr);
  EXPECT_NE(container(injected(pod(", never: \"yes\", sidecar.istio.io/inject: \"true\"")),
                      "istio-proxy"),
            nullptr);
  Json host_network = pod();
  data::set(host_network, {"spec", "hostNetwork"}, true);
  EXPECT_EQ(container(injected(host_network), "istio-proxy"), nullptr);
}

TEST(Injection, UsersSettingsOfTheProxyWin) {
  Json custom = pod();
  data::find(custom, {"spec", "containers"})
      ->if_array()
      ->push_back(data::JsonObject{
          {"name", "istio-proxy"},
          {"image", "auto"},
          {"resources", data::JsonObject{{"requests", data::JsonObject{{"cpu", "7m"}}}}}});
  const Json out = injected(custom);
  const Json* proxy = container(out, "istio-proxy");
  EXPECT_EQ(data::get_string(*proxy, {"image"}), "docker.io/istio/proxyv2:1.9.1");
  EXPECT_EQ(data::get_string(*proxy, {"resources", "requests", "cpu"}), "7m");
}

TEST(Injection, WithoutTemplateThePodIsRefusedWithAReason) {
  WebhookState none = state();
  none.injection = nullptr;
  Metrics metrics;
  const auto answer = review_injection(none, "/inject", data::dump_json(review(pod())), metrics);
  const Json parsed = *data::parse_json(*answer);
  EXPECT_FALSE(data::get_bool(parsed, {"response", "allowed"}));
  EXPECT_NE(
      data::get_string(parsed, {"response", "status", "message"}).find("istio-sidecar-injector"),
      std::string_view::npos);
  EXPECT_FALSE(review_injection(none, "/inject", "{}", metrics).ok());
}

TEST(Validation, RefusesWithTheReason) {
  Metrics metrics;
  const Json bad = *data::parse_yaml(R"(
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: x, namespace: default}
spec: {hosts: [a], http: [{route: [{destination: {host: a}, weight: -1}]}]}
)");
  const Json refused = *data::parse_json(*review_config(data::dump_json(review(bad)), metrics));
  EXPECT_FALSE(data::get_bool(refused, {"response", "allowed"}));
  EXPECT_EQ(
      data::get_string(refused, {"response", "status", "message"}),
      "configuration is invalid: spec.http[0].route[0].weight: weight -1 must not be negative");
  const Json gone =
      *data::parse_json(*review_config(data::dump_json(review(bad, "DELETE")), metrics));
  EXPECT_TRUE(data::get_bool(gone, {"response", "allowed"}));
}

}  // namespace
}  // namespace lateen::discovery
