// Configs as users write them: what is read, what is rejected and with which words.
#include <gtest/gtest.h>

#include "data/yaml.h"
#include "mesh/destination_rule.h"
#include "mesh/hostname.h"
#include "mesh/kinds.h"
#include "mesh/mesh_config.h"
#include "mesh/service.h"
#include "mesh/virtual_service.h"

namespace lateen::mesh {
namespace {

data::Json yaml(std::string_view text) {
  auto value = data::parse_yaml(text);
  EXPECT_TRUE(value.ok()) << (value.ok() ? "" : value.error().message());
  return value.ok() ? *value : data::Json();
}

TEST(VirtualService, ReadsWhatBookinfoUses) {
  Issues issues;
  const auto config = read_config<VirtualService>(yaml(R"(
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - match:
    - headers: {end-user: {exact: jason}}
      uri: {prefix: /reviews}
    route: [{destination: {host: reviews, subset: v2}}]
  - fault: {delay: {percentage: {value: 50.5}, fixedDelay: 7s}}
    route:
    - {destination: {host: reviews, subset: v1}, weight: 75}
    - {destination: {host: reviews, subset: v3, port: {number: 9080}}, weight: 25}
)"),
                                                  issues);
  EXPECT_TRUE(issues.ok()) << issues.to_string();
  ASSERT_EQ(config.spec.http.size(), 2u);
  EXPECT_EQ(config.spec.http[0].match[0].headers.at("end-user").value, "jason");
  EXPECT_EQ(config.spec.http[0].match[0].uri->kind, StringMatch::Kind::kPrefix);
  EXPECT_EQ(config.spec.http[1].fault->delay->fixed, seconds(7));
  EXPECT_DOUBLE_EQ(config.spec.http[1].fault->delay->percent, 50.5);
  EXPECT_EQ(config.spec.http[1].route[1].destination.port, 9080);
  Issues checked;
  check_spec(config.meta, config.spec, checked);
  EXPECT_TRUE(checked.ok()) << checked.to_string();
}

std::string problems(std::string_view kind_and_spec) {
  return validate(yaml(kind_and_spec)).to_string();
}

TEST(Validate, NamesThePathOfAnUnknownField) {
  EXPECT_EQ(problems(R"(
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: x, namespace: default}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {hosst: reviews, host: reviews}}]
)"),
            "unknown field \"spec.http[0].route[0].destination.hosst\"");
}

TEST(Validate, WeightsThatMakeNoSense) {
  const std::string text = problems(R"(
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: x, namespace: default}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews}, weight: -5}
    - {destination: {host: reviews}, weight: 5}
)");
  EXPECT_NE(text.find("weight -5 must not be negative"), std::string::npos) << text;
  EXPECT_NE(text.find("total destination weight = 0"), std::string::npos) << text;
}

TEST(Validate, WildcardHostNeedsAGateway) {
  EXPECT_NE(problems(R"(
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: x}
spec: {hosts: ["*"], http: [{route: [{destination: {host: a}}]}]}
)"),
            "");
  EXPECT_EQ(problems(R"(
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: x}
spec: {hosts: ["*"], gateways: [g], http: [{route: [{destination: {host: a}}]}]}
)"),
            "");
}

TEST(Validate, GatewayTlsNeedsACredential) {
  const std::string text = problems(R"(
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: g}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE}
  - port: {number: 80, name: https, protocol: HTPP}
    hosts: ["*"]
)");
  EXPECT_NE(text.find("SIMPLE TLS requires credentialName"), std::string::npos) << text;
  EXPECT_NE(text.find("invalid protocol \"HTPP\""), std::string::npos) << text;
  EXPECT_NE(text.find("duplicate name \"https\""), std::string::npos) << text;
}

TEST(Validate, PoliciesAndRegexes) {
  EXPECT_NE(problems(R"(
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: a}
spec: {rules: [{when: [{key: request.colour, values: [red]}]}]}
)")
                .find("unknown attribute \"request.colour\""),
            std::string::npos);
  EXPECT_NE(problems(R"(
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: x}
spec: {hosts: [a], http: [{match: [{uri: {regex: "*"}}], route: [{destination: {host: a}}]}]}
)")
                .find("missing argument to repetition operator"),
            std::string::npos);
}

TEST(DestinationRule, SubsetPolicyReplacesSections) {
  Issues issues;
  const auto config = read_config<DestinationRule>(yaml(R"(
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: reviews
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    connectionPool: {tcp: {maxConnections: 1}}
    portLevelSettings:
    - port: {number: 80}
      loadBalancer: {simple: ROUND_ROBIN}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}
)"),
                                                   issues);
  ASSERT_TRUE(issues.ok()) << issues.to_string();
  const TrafficPolicy merged =
      merge_policies(&*config.spec.policy, &*config.spec.find_subset("v1")->policy);
  EXPECT_EQ(merged.for_port(9080).load_balancer->simple, LoadBalancer::Simple::kLeastRequest);
  EXPECT_EQ(*merged.for_port(9080).connection_pool->max_connections, 1);
  EXPECT_EQ(merged.for_port(80).load_balancer->simple, LoadBalancer::Simple::kRoundRobin);
  EXPECT_FALSE(merged.for_port(80).connection_pool.has_value());
}

TEST(Hostname, CoversOverlapsResolves) {
  EXPECT_TRUE(host_covers("*.com", "a.b.com"));
  EXPECT_TRUE(host_covers("*", "x"));
  EXPECT_FALSE(host_covers("*.com", "com"));
  EXPECT_TRUE(host_covers("*.com", "*.b.com"));
  EXPECT_FALSE(host_covers("*.b.com", "*.com"));
  EXPECT_TRUE(hosts_overlap("*.b.com", "*.com"));
  EXPECT_EQ(resolve_host("reviews", "bookinfo", "cluster.local"),
            "reviews.bookinfo.svc.cluster.local");
  EXPECT_EQ(resolve_host("reviews.prod", "bookinfo", "cluster.local"), "reviews.prod");
  EXPECT_EQ(most_specific_match("a.b.com", {"*", "*.b.com", "*.com"}), 1);
}

TEST(Protocol, NamesPortsAppProtocol) {
  EXPECT_EQ(select_protocol(9080, "http", "TCP", ""), Protocol::kHttp);
  EXPECT_EQ(select_protocol(9080, "http2-web", "TCP", ""), Protocol::kHttp2);
  EXPECT_EQ(select_protocol(9080, "grpc-web-x", "TCP", ""), Protocol::kGrpcWeb);
  EXPECT_EQ(select_protocol(9080, "metrics", "TCP", "http"), Protocol::kHttp);
  EXPECT_EQ(select_protocol(3306, "db", "TCP", ""), Protocol::kTcp);
  EXPECT_EQ(select_protocol(9080, "web", "TCP", ""), Protocol::kUnsupported);
}

TEST(Service, OfKubernetesObjects) {
  const Service service = service_of_kube(yaml(R"(
metadata: {name: reviews, namespace: default, annotations: {networking.istio.io/exportTo: "., prod"}}
spec:
  clusterIP: 10.96.1.2
  selector: {app: reviews}
  ports: [{name: http, port: 9080, targetPort: web}]
)"),
                                          "cluster.local");
  EXPECT_EQ(service.host, "reviews.default.svc.cluster.local");
  EXPECT_EQ(service.export_to, (std::vector<std::string>{".", "prod"}));
  EXPECT_EQ(service.ports[0].protocol, Protocol::kHttp);
  EXPECT_EQ(service.ports[0].target_name, "web");

  const Workload pod = workload_of_pod(yaml(R"(
metadata:
  name: reviews-v1-6b7f-x
  namespace: default
  labels: {app: reviews, version: v1, pod-template-hash: 6b7f, security.istio.io/tlsMode: istio}
  ownerReferences: [{kind: ReplicaSet, name: reviews-v1-6b7f, controller: true, apiVersion: apps/v1}]
spec: {serviceAccountName: bookinfo-reviews, containers: [{ports: [{containerPort: 9080}]}]}
status: {podIP: 10.1.0.9}
)"));
  EXPECT_EQ(pod.workload_name, "reviews-v1");
  EXPECT_EQ(pod.spiffe_id("cluster.local"),
            "spiffe://cluster.local/ns/default/sa/bookinfo-reviews");
  EXPECT_EQ(pod.canonical_name(), "reviews");
  EXPECT_EQ(pod.canonical_revision(), "v1");
  EXPECT_TRUE(pod.has_mtls);

  std::vector<Endpoint> endpoints;
  append_slice(
      yaml(R"(
metadata: {namespace: default}
ports: [{name: http, port: 9080, protocol: TCP}]
endpoints:
- {addresses: [10.1.0.9], conditions: {ready: true}}
- {addresses: [10.1.0.10], conditions: {ready: false}}
)"),
      [&](const std::string& ip) { return ip == "10.1.0.9" ? &pod : nullptr; }, endpoints);
  ASSERT_EQ(endpoints.size(), 1u);
  EXPECT_EQ(endpoints[0].workload_name, "reviews-v1");
  EXPECT_TRUE(endpoints[0].has_mtls);
}

TEST(MeshConfig, DefaultsAndProviders) {
  Issues issues;
  auto config = parse_mesh_config(R"(
accessLogFile: /dev/stdout
enableTracing: true
defaultConfig:
  discoveryAddress: istiod-1-9-1.istio-system.svc:15012
  tracing: {sampling: 100, zipkin: {address: zipkin.istio-system:9411}}
extensionProviders:
- name: ext
  envoyExtAuthzGrpc: {service: ext-authz.foo.svc.cluster.local, port: 9000}
)",
                                  issues);
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(issues.ok()) << issues.to_string();
  EXPECT_EQ(config->proxy.zipkin_address, "zipkin.istio-system:9411");
  EXPECT_DOUBLE_EQ(*config->proxy.sampling_percent, 100);
  EXPECT_EQ(config->find_provider("ext")->kind, ExtensionProvider::Kind::kExtAuthzGrpc);
  EXPECT_EQ(config->find_provider("ext")->port, 9000);
  EXPECT_TRUE(config->allows_any_outbound);
  EXPECT_EQ(data::get_int(config->whole, {"defaultConfig", "statusPort"}), 15020);
}

}  // namespace
}  // namespace lateen::mesh
