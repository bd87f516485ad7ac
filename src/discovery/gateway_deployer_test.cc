// Gateways of the Gateway API get what serves them: as objects, and in a cluster.
#include "discovery/gateway_deployer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "data/yaml.h"
#include "kube/memory_server.h"

namespace lateen::discovery {
namespace {

using data::Json;
using data::JsonObject;

const kube::Resource kGateways{"gateway.networking.k8s.io", "v1", "gateways", "Gateway", true};
const kube::Resource kClasses{"gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass",
                              false};
const kube::Resource kBudgets{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true};

constexpr const char* kTemplates = R"(templates:
  kube-gateway: |
    apiVersion: v1
    kind: ServiceAccount
    metadata: {name: {{ .ServiceAccount }}, namespace: {{ .Namespace }}, labels: {gateway.networking.k8s.io/gateway-name: {{ .Name }}}}
    ---
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: {{ .DeploymentName }}
      namespace: {{ .Namespace }}
      labels: {{ toJsonMap .InfrastructureLabels (strdict "gateway.networking.k8s.io/gateway-name" .Name) }}
    spec:
      template: {spec: {containers: [{name: istio-proxy, image: {{ .ProxyImage }}}]}}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: {{ .DeploymentName }}, namespace: {{ .Namespace }}, labels: {gateway.networking.k8s.io/gateway-name: {{ .Name }}}}
    spec:
      type: {{ .ServiceType }}
      ports:
      {{- range $p := .Ports }}
      - {name: {{ $p.Name }}, port: {{ $p.Port }}, appProtocol: {{ $p.AppProtocol }}}
      {{- end }}
    ---
    apiVersion: policy/v1
    kind: PodDisruptionBudget
    metadata: {name: {{ .DeploymentName }}, namespace: {{ .Namespace }}, labels: {gateway.networking.k8s.io/gateway-name: {{ .Name }}}}
)";

Json gateway(const std::string& more = {}) {
  auto made = data::parse_yaml(R"({apiVersion: gateway.networking.k8s.io/v1, kind: Gateway,
    metadata: {name: edge, namespace: shop, uid: u1, generation: 1, labels: {team: blue}},
    spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}, {name: again, port: 80, protocol: HTTP},
      {name: tls.one, port: 443, protocol: HTTPS}]}})");
  Json out = made.value();
  if (!more.empty()) {
    const auto over = data::parse_yaml(more);
    for (const auto& entry : *over->if_object())
      data::set(out, {"spec", entry.key()}, entry.value());
  }
  return out;
}

std::shared_ptr<const WebhookState> state() {
  auto injection = parse_injection_config(
      kTemplates, R"({"global": {"hub": "h", "tag": "t", "proxy": {"image": "proxyv2"}}})");
  EXPECT_TRUE(injection.ok()) << injection.error().message();
  auto made = std::make_shared<WebhookState>();
  made->injection = std::make_shared<const InjectionConfig>(*std::move(injection));
  made->mesh = std::make_shared<const mesh::MeshConfig>();
  return made;
}

std::vector<Json> deployed(const Json& what, JsonObject overlays = {}) {
  const auto with = state();
  auto made = deployment_of({what, *with, "Kubernetes", 132, std::move(overlays)});
  EXPECT_TRUE(made.ok()) << made.error().message();
  return made.ok() ? *std::move(made) : std::vector<Json>();
}

TEST(GatewayDeployer, MakesAccountDeploymentAndService) {
  const auto objects = deployed(gateway());
  ASSERT_EQ(objects.size(), 3u);  // a budget only where parameters ask for one
  EXPECT_EQ(kube::name_of(objects[0]), "edge-istio");
  EXPECT_EQ(kube::label(objects[1], "team"), "blue");
  EXPECT_EQ(kube::label(objects[1], "gateway.networking.k8s.io/gateway-name"), "edge");
  const auto& containers = data::get_array(objects[1], {"spec", "template", "spec", "containers"});
  ASSERT_EQ(containers.size(), 1u);
  EXPECT_EQ(data::get_string(containers[0], {"image"}), "h/proxyv2:t");
  EXPECT_EQ(data::get_string(objects[2], {"spec", "type"}), "LoadBalancer");
  std::string ports;
  for (const Json& port : data::get_array(objects[2], {"spec", "ports"}))
    ports += std::string(data::get_string(port, {"name"})) + ":" +
             std::to_string(data::get_int(port, {"port"})) + " ";
  EXPECT_EQ(ports, "status-port:15021 http:80 tls-one:443 ");
}

TEST(GatewayDeployer, AnnotationsNameWhatIsMade) {
  Json named = gateway();
  kube::set_annotation(named, "gateway.istio.io/name-override", "front");
  kube::set_annotation(named, "gateway.istio.io/service-account", "robot");
  kube::set_annotation(named, "networking.istio.io/service-type", "ClusterIP");
  const auto objects = deployed(named);
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_EQ(kube::name_of(objects[0]), "robot");
  EXPECT_EQ(kube::name_of(objects[1]), "front");
  EXPECT_EQ(data::get_string(objects[2], {"spec", "type"}), "ClusterIP");
}

TEST(GatewayDeployer, ParametersAreLaidOver) {
  const auto objects = deployed(gateway(), {{"deployment", "spec: {replicas: 3}"},
                                            {"podDisruptionBudget", "spec: {minAvailable: 1}"}});
  ASSERT_EQ(objects.size(), 4u);
  EXPECT_EQ(data::get_int(objects[1], {"spec", "replicas"}), 3);
  EXPECT_EQ(data::get_int(objects[3], {"spec", "minAvailable"}), 1);
  const auto with = state();
  EXPECT_FALSE(deployment_of({gateway(), *with, "Kubernetes", 132, {{"daemonSet", "{}"}}}).ok());
  EXPECT_FALSE(
      deployment_of({gateway(), *with, "Kubernetes", 132, {{"service", "metadata: {name: other}"}}})
          .ok());
}

TEST(GatewayDeployer, KnowsWhatIsItsOwn) {
  EXPECT_TRUE(is_deployed(gateway(), nullptr, "", "default"));
  EXPECT_TRUE(is_deployed(gateway("addresses: [{value: 10.0.0.1}]"), nullptr, "", ""));
  EXPECT_FALSE(is_deployed(gateway("addresses: [{type: Hostname, value: svc}]"), nullptr, "", ""));
  EXPECT_FALSE(is_deployed(gateway("gatewayClassName: other"), nullptr, "", ""));
  const Json ours =
      data::parse_yaml("{spec: {controllerName: istio.io/gateway-controller}}").value();
  const Json theirs = data::parse_yaml("{spec: {controllerName: example.com/x}}").value();
  EXPECT_TRUE(is_deployed(gateway("gatewayClassName: other"), &ours, "", ""));
  EXPECT_FALSE(is_deployed(gateway(), &theirs, "", ""));
  Json revised = gateway();
  EXPECT_FALSE(is_deployed(revised, nullptr, "canary", "default"));
  EXPECT_TRUE(is_deployed(revised, nullptr, "canary", "canary"));
  kube::set_label(revised, "istio.io/rev", "default");
  EXPECT_TRUE(is_deployed(revised, nullptr, "canary", "default"));
  kube::set_annotation(revised, "gateway.istio.io/controller-version", "6");
  EXPECT_FALSE(is_deployed(revised, nullptr, "", "default"));
}

TEST(GatewayDeployer, ATemplateThatIsMissingIsToldByName) {
  auto without = std::make_shared<WebhookState>(*state());
  without->injection = std::make_shared<const InjectionConfig>(*parse_injection_config("{}", "{}"));
  const auto made = deployment_of({gateway(), *without, "Kubernetes", 132, {}});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("kube-gateway"), std::string::npos);
}

// In a cluster.
class Deployed : public testing::Test {
 protected:
  Deployed() : server_({kGateways, kClasses, kBudgets}), client_(server_.transport()) {}
  bool has(const kube::Resource& resource, const std::string& name) {
    for (const Json& each : server_.all(resource)) {
      if (kube::name_of(each) == name) return true;
    }
    return false;
  }
  kube::MemoryServer server_;
  kube::Client client_;
};

TEST_F(Deployed, OnlyTheLeaderDeploysAndRepairs) {
  GatewayDeployer deployer(client_, state, {"default", "Kubernetes", milliseconds(20)});
  deployer.take(server_.put(gateway()), false);
  deployer.set_leading(true);
  ASSERT_TRUE(server_.wait_until([&] { return has(kube::resources::services(), "edge-istio"); }));
  EXPECT_TRUE(has(kube::resources::deployments(), "edge-istio"));
  EXPECT_TRUE(has(kClasses, "istio"));
  EXPECT_TRUE(has(kClasses, "istio-remote"));
  ASSERT_TRUE(client_.remove(kube::resources::services(), {"shop", "edge-istio"}).ok());
  EXPECT_TRUE(server_.wait_until([&] { return has(kube::resources::services(), "edge-istio"); }));
}

TEST_F(Deployed, WhatSomebodyElseMadeIsLeftAlone) {
  const Json foreign = data::parse_yaml(
                           "{apiVersion: apps/v1, kind: Deployment, metadata: {name: edge-istio, "
                           "namespace: shop}, spec: {replicas: 7}}")
                           .value();
  server_.put(foreign);
  GatewayDeployer deployer(client_, state, {"default", "Kubernetes", milliseconds(20)});
  deployer.take(server_.put(gateway()), false);
  deployer.set_leading(true);
  ASSERT_TRUE(
      server_.wait_until([&] { return has(kube::resources::service_accounts(), "edge-istio"); }));
  const auto before = server_.requests();
  ASSERT_TRUE(server_.wait_until([&] { return server_.requests() > before + 10; }));
  const auto kept = client_.get(kube::resources::deployments(), {"shop", "edge-istio"});
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(data::get_int(*kept, {"spec", "replicas"}), 7);
  EXPECT_FALSE(has(kube::resources::services(), "edge-istio"));
}

}  // namespace
}  // namespace lateen::discovery
