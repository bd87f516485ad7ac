// Findings about what lies between clusters, versions and meshes; and the lines that findings name.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "data/yaml.h"
#include "mesh/analyze/analyze.h"

namespace lateen::mesh {
namespace {

std::vector<AnalysisObject> objects_of(std::string_view yaml, const std::string& cluster = {}) {
  std::vector<AnalysisObject> out;
  auto documents = data::parse_yaml_stream(yaml);
  EXPECT_TRUE(documents.ok());
  if (!documents.ok()) return out;
  for (auto& document : *documents) {
    auto lines = data::yaml_field_lines(yaml, document.line);
    EXPECT_TRUE(lines.ok());
    AnalysisObject object{std::move(document.value), "a.yaml", document.line};
    if (lines.ok()) object.fields = std::make_shared<const data::FieldLines>(*std::move(lines));
    object.cluster = cluster;
    out.push_back(std::move(object));
  }
  return out;
}

// "CODE:line message", of one code.
std::string found(const std::vector<AnalysisObject>& objects, std::string_view code,
                  const AnalysisOptions& options = {}) {
  std::string out;
  for (const Finding& each : analyze(objects, options)) {
    if (each.code == code) out += std::to_string(each.line) + " " + each.message + "\n";
  }
  return out;
}

TEST(AnalyzeNetworks, RegistriesMustBeKnown) {
  constexpr std::string_view kMap = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  meshNetworks: |
    networks:
      far: {endpoints: [{fromRegistry: far-cluster}, {fromRegistry: Kubernetes}]}
)";
  EXPECT_EQ(found(objects_of(kMap), "IST0126"),
            "1 Unknown service registry far-cluster in network far\n");
  const std::string with_secret = std::string(kMap) + R"(---
apiVersion: v1
kind: Secret
metadata: {name: far, namespace: istio-system, labels: {istio/multiCluster: "true"}}
data: {far-cluster: ""}
)";
  EXPECT_EQ(found(objects_of(with_secret), "IST0126"), "");
  const std::string broken = std::string(kMap.substr(0, kMap.find("    networks"))) + "    [\n";
  EXPECT_NE(found(objects_of(broken), "IST0001"), "");
}

TEST(AnalyzeClusters, OneServiceIsTheSameEverywhere) {
  constexpr std::string_view kHere =
      "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\n"
      "spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n";
  constexpr std::string_view kThere =
      "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\n"
      "spec: {clusterIP: None, ports: [{name: http, port: 81}]}\n";
  auto objects = objects_of(kHere, "one");
  for (auto& each : objects_of(kThere, "two")) objects.push_back(std::move(each));
  EXPECT_EQ(found(objects, "IST0170"),
            "1 The service a in namespace \"n\" is inconsistent across clusters [\"one\" \"two\"], "
            "which can lead to undefined behaviors. The inconsistent behaviors are: service has "
            "mixed mode like headless and clusterIP; service ports are inconsistent.\n");
  auto same = objects_of(kHere, "one");
  for (auto& each : objects_of(kHere, "two")) same.push_back(std::move(each));
  EXPECT_EQ(found(same, "IST0170"), "");
}

TEST(AnalyzeCrds, OldGatewayApiIsNotRead) {
  const auto crd = [](std::string_view version) {
    return objects_of(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: tlsroutes.gateway.networking.k8s.io, annotations: "
        "{gateway.networking.k8s.io/bundle-version: " +
        std::string(version) + "}}\n");
  };
  EXPECT_NE(found(crd("v1.4.1"), "IST0176")
                .find("is at version \"1.4.1\" but Istio requires at "
                      "least \"1.5.0\""),
            std::string::npos);
  EXPECT_EQ(found(crd("v1.5.0-rc.1"), "IST0176"), "");
  EXPECT_EQ(found(crd("monthly"), "IST0176"), "");
}

TEST(AnalyzeAnnotations, TellTheirAge) {
  const auto pod = objects_of(R"(
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: n, annotations: {sidecar.istio.io/inject: "true", sidecar.istio.io/logLevel: debug}}
)");
  EXPECT_EQ(found(pod, "IST0135"),
            "1 Annotation \"sidecar.istio.io/inject\" has been deprecated in favor of the "
            "\"sidecar.istio.io/inject\" label and may not work in future Istio versions.\n");
  EXPECT_EQ(found(pod, "IST0136"), "");  // only who is about to upgrade asks
  AnalysisOptions upgrade;
  upgrade.reports_alpha = true;
  EXPECT_EQ(found(pod, "IST0136", upgrade),
            "1 Annotation \"sidecar.istio.io/logLevel\" is part of an alpha-phase feature and may "
            "be incompletely supported.\n");
}

TEST(AnalyzeNamespaces, MayBeInjectedByDefault) {
  constexpr std::string_view kNamespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n";
  EXPECT_NE(found(objects_of(kNamespace), "IST0102"), "");
  const auto by_default = objects_of(std::string(kNamespace) + R"(---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system}
data: {values: '{"sidecarInjectorWebhook": {"enableNamespacesByDefault": true}}'}
)");
  EXPECT_EQ(found(by_default, "IST0102"), "");
  EXPECT_NE(found(by_default, "IST0148"), "");
}

TEST(AnalyzeSidecars, SelectSomethingThatHasOne) {
  constexpr std::string_view kSidecar = R"(apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s, namespace: n}
spec:
  workloadSelector:
    labels:
      app: a
  egress: [{hosts: ["./*"]}]
)";
  EXPECT_EQ(found(objects_of(kSidecar), "IST0101"), "7 Referenced selector not found: \"app=a\"\n");
  const std::string with_pod = std::string(kSidecar) + R"(---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: n, labels: {app: a}}
)";
  EXPECT_EQ(found(objects_of(with_pod), "IST0101"), "");
  const std::string ambient = with_pod + R"(---
apiVersion: v1
kind: Namespace
metadata: {name: n, labels: {istio.io/dataplane-mode: ambient}}
)";
  EXPECT_EQ(found(objects_of(ambient), "IST0167"),
            "1 The policy has no impact: selected workload is in ambient mode, the policy has no "
            "impact.\n");
}

TEST(AnalyzeRoutes, SubsetsInsideDoNotCountAtTheEdge) {
  constexpr std::string_view kRules = R"(apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inside, namespace: n}
spec: {hosts: [web], http: [{route: [{destination: {host: web, subset: v1}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: n}
spec:
  hosts: ["*"]
  gateways: [gate]
  http:
  - route:
    - destination:
        host: web
)";
  EXPECT_EQ(found(objects_of(kRules), "IST0140"),
            "15 Subset in virtual service n/inside has no effect on ingress gateway n/edge "
            "requests\n");
  EXPECT_EQ(found(objects_of(replace_all(kRules, "subset: v1", "subset: \"\"")), "IST0140"), "");
}

TEST(AnalyzeLines, AreTheFields) {
  constexpr std::string_view kRule = R"(# A comment before.
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: n}
spec:
  hosts: [x.example.com]
  gateways:
  - mesh
  - nowhere
  http:
  - route:
    - destination: {host: here.example.com}
      weight: 50
    - destination:
        host: there.example.com
      weight: 50
    mirror:
      host: copy.example.com
)";
  EXPECT_EQ(found(objects_of(kRule), "IST0101"),
            "9 Referenced gateway not found: \"nowhere\"\n"
            "12 Referenced host not found: \"here.example.com\"\n"
            "15 Referenced host not found: \"there.example.com\"\n"
            "18 Referenced mirror host not found: \"copy.example.com\"\n");
}

TEST(AnalyzeLines, CountFromTheStreamsStart) {
  const auto objects = objects_of(R"(apiVersion: v1
kind: Namespace
metadata: {name: n}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: n}
spec: {hosts: [x.example.com], http: [{route: [{destination: {host: x.example.com}}]}]}
)");
  EXPECT_EQ(found(objects, "IST0101"), "8 Referenced host not found: \"x.example.com\"\n");
}

}  // namespace
}  // namespace lateen::mesh
