// What `istioctl analyze` says of good and of mistaken sets of objects.
#include "mesh/analyze/analyze.h"

#include <gtest/gtest.h>

#include <set>

#include "data/yaml.h"

namespace lateen::mesh {
namespace {

constexpr const char* kGood = R"(
{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {istio-injection: enabled}}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {clusterIP: 10.0.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1-x, namespace: default, labels: {app: reviews, version: v1}}
spec: {containers: [{name: reviews}, {name: istio-proxy}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}
)";

std::vector<Finding> find(std::string_view more, std::string_view base = kGood) {
  std::vector<AnalysisObject> objects;
  for (const std::string_view text : {base, more}) {
    if (text.empty()) continue;
    auto documents = data::parse_yaml_stream(text);
    EXPECT_TRUE(documents.ok());
    for (auto& document : *documents) objects.push_back({document.value, "f.yaml", document.line});
  }
  return analyze(objects);
}

std::string codes(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& finding : findings) out += finding.code + " ";
  return out;
}

TEST(Analyze, NothingToSay) { EXPECT_EQ(codes(find("")), ""); }

TEST(Analyze, MissingHostSubsetGateway) {
  const auto findings = find(R"(
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: bad, namespace: default}
spec:
  hosts: [bad]
  gateways: [bogus-gateway]
  http:
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: ghost}}]
  - route: [{destination: {host: reviews, subset: v9}}]
)");
  EXPECT_EQ(codes(findings), "IST0101 IST0101 IST0101 IST0132 ");
  EXPECT_EQ(findings[0].to_string(),
            "Error [IST0101] (VirtualService default/bad f.yaml:1) Referenced gateway not found: "
            "\"bogus-gateway\"");
  EXPECT_EQ(findings[1].message, "Referenced host not found: \"ghost\"");
  EXPECT_EQ(findings[2].message,
            "Referenced host+subset in destinationrule not found: \"reviews+v9\"");
}

TEST(Analyze, NamespaceAndPodWithoutProxy) {
  EXPECT_EQ(codes(find("{apiVersion: v1, kind: Namespace, metadata: {name: apps}}")), "IST0102 ");
  const auto findings = find(R"(
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: default, labels: {app: reviews, version: v1}}
spec: {containers: [{name: reviews}]}
)");
  EXPECT_EQ(codes(findings), "IST0103 ");
  EXPECT_NE(findings[0].message.find("The pod default/old is missing the Istio proxy"),
            std::string::npos);
}

TEST(Analyze, ConflictsAndUnreachableRules) {
  EXPECT_EQ(codes(find(R"(
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: again, namespace: default}
spec: {hosts: [reviews.default.svc.cluster.local], http: [{route: [{destination: {host: reviews}}]}]}
)")),
            "IST0109 IST0109 ");
  EXPECT_EQ(codes(find(R"(
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: rules, namespace: default}
spec:
  hosts: [other]
  http:
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: reviews}}]
)")),
            "IST0130 IST0131 ");
}

TEST(Analyze, PortsAnnotationsSchema) {
  EXPECT_EQ(codes(find(R"(
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default, annotations: {sidecar.istio.io/inject: "true"}}
spec: {clusterIP: 10.0.0.2, ports: [{name: web, port: 80}]}
)")),
            "IST0107 IST0118 IST0135 ");
  EXPECT_EQ(codes(find(R"(
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: weights, namespace: default}
spec: {hosts: [other], http: [{route: [{destination: {host: reviews}, weight: -1}]}]}
)")),
            "IST0106 ");
}

TEST(Analyze, SuppressionAndNamespaceFilter) {
  EXPECT_EQ(codes(find(R"(
apiVersion: v1
kind: Namespace
metadata: {name: apps, annotations: {galley.istio.io/analyze-suppress: IST0102}}
)")),
            "");
  std::vector<AnalysisObject> objects{
      {*data::parse_yaml("{apiVersion: v1, kind: Namespace, metadata: {name: apps}}"), "", 0}};
  EXPECT_EQ(analyze(objects, {.namespace_only = "default"}).size(), 0u);
  EXPECT_EQ(analyze(objects, {.namespace_only = "apps"}).size(), 1u);
}

TEST(Analyze, EveryCodeIsListedOnce) {
  std::set<std::string_view> codes;
  for (const FindingKind& kind : finding_kinds()) {
    EXPECT_TRUE(codes.insert(kind.code).second) << kind.code;
    EXPECT_FALSE(kind.name.empty() || kind.description.empty()) << kind.code;
  }
  EXPECT_GE(codes.size(), 63u);
}

}  // namespace
}  // namespace lateen::mesh
