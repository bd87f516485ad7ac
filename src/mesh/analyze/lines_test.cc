// The lines of istioctl analyze: each code by a small mesh that deserves it, and one that does not.
#include <gtest/gtest.h>

#include "data/yaml.h"
#include "mesh/analyze/analyze.h"

namespace lateen::mesh {
namespace {

// A healthy mesh; tests add their mistake.
constexpr std::string_view kBase = R"(
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: default, labels: {app: reviews, version: v1}}
spec: {containers: [{name: app}, {name: istio-proxy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gw-1, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy}]}
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, ports: [{name: http2, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], gateways: [gate, mesh], http: [{route: [{destination: {host: reviews, subset: v1, port: {number: 9080}}}]}]}
)";

std::string lines(std::string_view more) {
  std::vector<AnalysisObject> objects;
  for (const std::string_view text : {kBase, more}) {
    auto documents = data::parse_yaml_stream(text);
    EXPECT_TRUE(documents.ok());
    if (!documents.ok()) continue;
    for (auto& document : *documents) objects.push_back({std::move(document.value), "", 0});
  }
  std::string out;
  for (const Finding& each : analyze(objects)) out += each.to_string() + "\n";
  return out;
}

TEST(Analysis, AHealthyMeshHasNoMessages) { EXPECT_EQ(lines(""), ""); }

TEST(Analysis, DestinationsThatDoNotExist) {
  EXPECT_EQ(lines(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: x, namespace: default}
spec: {hosts: [x.com], gateways: [nope, gate], http: [{route: [{destination: {host: reviwes}, weight: 50}, {destination: {host: reviews, subset: v9}, weight: 25}, {destination: {host: reviews.default.svc.cluster.local, port: {number: 1}}, weight: 25}]}]}
)"),
            "Error [IST0101] (VirtualService default/x) Referenced gateway not found: \"nope\"\n"
            "Error [IST0101] (VirtualService default/x) Referenced host not found: \"reviwes\"\n"
            "Error [IST0101] (VirtualService default/x) Referenced host+subset in destinationrule "
            "not found: \"reviews+v9\"\n"
            "Error [IST0101] (VirtualService default/x) Referenced host:port not found: "
            "\"reviews.default.svc.cluster.local:1\"\n"
            "Warning [IST0132] (VirtualService default/x) one or more host [x.com] defined in "
            "VirtualService default/x not found in Gateway default/nope.\n");
}

TEST(Analysis, ServiceEntriesMakeHosts) {
  EXPECT_EQ(lines(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e, namespace: default}
spec: {hosts: ["*.example.com"], ports: [{number: 443, name: https, protocol: HTTPS}], resolution: NONE}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: e, namespace: default}
spec: {hosts: [a.example.com], http: [{route: [{destination: {host: a.example.com}}]}]}
)"),
            "");
}

TEST(Analysis, NamespacesAndPodsWithoutInjection) {
  EXPECT_EQ(lines("apiVersion: v1\nkind: Namespace\nmetadata: {name: bare}\n"),
            "Info [IST0102] (Namespace bare) The namespace is not enabled for Istio injection. Run "
            "'kubectl label namespace bare istio-injection=enabled' to enable it, or "
            "'kubectl label namespace bare istio-injection=disabled' to explicitly mark it as not "
            "needing injection.\n");
  EXPECT_EQ(lines("apiVersion: v1\nkind: Pod\nmetadata: {name: old, namespace: default}\nspec: "
                  "{containers: [{name: a}]}\n"),
            "Warning [IST0103] (Pod default/old) The pod default/old is missing the Istio proxy. "
            "This can often be resolved by restarting or redeploying the workload.\n");
}

TEST(Analysis, ConflictsOfMeshHostsAndGateways) {
  const std::string out = lines(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: twin, namespace: default}
spec: {hosts: [reviews.default.svc.cluster.local], http: [{route: [{destination: {host: reviews}}]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate2, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}, {port: {number: 99, name: h, protocol: HTTP}, hosts: [a.com]}]}
)");
  EXPECT_NE(out.find("[IST0109] (VirtualService default/twin) The VirtualServices "
                     "default/reviews,default/twin associated with mesh gateway define the same "
                     "host */reviews.default.svc.cluster.local"),
            std::string::npos)
      << out;
  EXPECT_NE(out.find("[IST0145] (Gateway default/gate2) Conflict with gateways default/gate "),
            std::string::npos)
      << out;
  EXPECT_NE(
      out.find(
          "[IST0162] (Gateway default/gate2) The gateway is listening on a target port (port 99)"),
      std::string::npos)
      << out;
}

TEST(Analysis, RoutesThatAreNeverReached) {
  const std::string out = lines(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: order, namespace: default}
spec: {hosts: [b.com], gateways: [gate], http: [{match: [{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}, {match: [{uri: {prefix: /a}}, {uri: {prefix: /ab}}], route: [{destination: {host: reviews}}]}, {route: [{destination: {host: reviews}}]}, {match: [{uri: {prefix: /c}}], route: [{destination: {host: reviews}}]}, {route: [{destination: {host: reviews}}]}]}
)");
  for (const std::string_view wanted :
       {"[IST0131] (VirtualService default/order) VirtualService rule #1 match #0 is not used "
        "(duplicate/overlapping match in rule #0).",
        "[IST0131] (VirtualService default/order) VirtualService rule #1 match #1 of prefix /ab is "
        "not used (duplicate/overlapping match in rule #0 of prefix /a on #0).",
        "[IST0130] (VirtualService default/order) VirtualService rule #3 not used (route without "
        "matches defined before).",
        "[IST0130] (VirtualService default/order) VirtualService rule #4 not used (only the last "
        "rule can have no matches)."}) {
    EXPECT_NE(out.find(wanted), std::string::npos) << wanted << "\n" << out;
  }
}

TEST(Analysis, SchemasSelectorsPortsAndTls) {
  const std::string out = lines(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: weights, namespace: default}
spec: {hosts: [c.com], gateways: [gate], http: [{route: [{destination: {host: reviews}, weight: -5}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: default}
spec: {selector: {matchLabels: {app: nobody}}, rules: [{from: [{source: {namespaces: [void]}}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: odd, namespace: default}
spec: {selector: {app: odd}, ports: [{name: strange, port: 5}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ext, namespace: default}
spec: {host: ext.com, trafficPolicy: {tls: {mode: SIMPLE}}}
)");
  for (const std::string_view wanted :
       {"Error [IST0106] (VirtualService default/weights) Schema validation error: ",
        "Error [IST0101] (AuthorizationPolicy default/p) Referenced namespace not found: \"void\"",
        "Warning [IST0127] (AuthorizationPolicy default/p) No matching workloads for this resource "
        "with the following labels: app=nobody",
        "Info [IST0118] (Service default/odd) Port name strange (port: 5, targetPort: 5)",
        "Warning [IST0128] (DestinationRule default/ext) DestinationRule ext in namespace default "
        "has TLS mode set to SIMPLE"}) {
    EXPECT_NE(out.find(wanted), std::string::npos) << wanted << "\n" << out;
  }
}

TEST(Analysis, AnnotationsSuppress) {
  EXPECT_EQ(lines("apiVersion: v1\nkind: Namespace\nmetadata: {name: bare, annotations: "
                  "{galley.istio.io/analyze-suppress: IST0102}}\n"),
            "");
}

TEST(Analysis, TelemetriesFiltersAndClaims) {
  const std::string out = lines(R"(
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: one, namespace: default}
spec: {accessLogging: [{}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: two, namespace: default}
spec: {tracing: [{randomSamplingPercentage: 1}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patches, namespace: default}
spec:
  configPatches:
  - {applyTo: HTTP_ROUTE, patch: {operation: ADD, value: {name: a}}}
  - {applyTo: HTTP_ROUTE, patch: {operation: REMOVE}}
  - {applyTo: CLUSTER, patch: {operation: REPLACE, value: {name: b}}}
  - {applyTo: HTTP_FILTER, match: {proxy: {proxyVersion: '^1'}}, patch: {operation: INSERT_BEFORE, value: {name: f}}}
  - {applyTo: HTTP_FILTER, patch: {operation: INSERT_BEFORE, value: {name: f}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: claims, namespace: default}
spec: {hosts: [d.com], gateways: [gate], http: [{match: [{headers: {"@request.auth.claims.sub": {exact: a}}}], route: [{destination: {host: reviews}}]}]}
)");
  for (const std::string_view wanted :
       {"Warning [IST0157] (Telemetry default/one) The Telemetry one in namespace \"default\" with "
        "empty providers will be ignored.",
        "Error [IST0160] (Telemetry default/two) The Telemetries [one two] in namespace "
        "\"default\" have no workload selector",
        "Error [IST0153] (EnvoyFilter default/patches) The ADD operation will be ignored",
        "Error [IST0154] (EnvoyFilter default/patches) The REMOVE operation will be ignored",
        "Error [IST0152] (EnvoyFilter default/patches) The REPLACE operation is only valid",
        "Warning [IST0151] (EnvoyFilter default/patches) ",
        "Warning [IST0155] (EnvoyFilter default/patches) ",
        "Error [IST0149] (VirtualService default/claims) The virtual service uses the JWT claim "
        "based routing (key: @request.auth.claims.sub) but found no request authentication for "
        "the gateway (default/gate) pod (gw-1)."}) {
    EXPECT_NE(out.find(wanted), std::string::npos) << wanted << "\n" << out;
  }
}

TEST(Analysis, EntriesCertificatesAndCredentials) {
  const std::string out = lines(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: default}
spec: {hosts: [api.com], ports: [{number: 80, name: h, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: b, namespace: default}
spec: {hosts: [api.com], ports: [{number: 80, name: t, protocol: TLS}], resolution: DNS}
---
apiVersion: v1
kind: Secret
metadata: {name: cert, namespace: istio-system}
data: {tls.crt: bm90LWEtY2VydA==}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: s1, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: a, protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: cert}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: s2, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: a, protocol: HTTPS}, hosts: [b.com], tls: {mode: SIMPLE, credentialName: cert}}]}
)");
  for (const std::string_view wanted :
       {"Warning [IST0177] (ServiceEntry default/a) Multiple ServiceEntries (default/a, default/b) "
        "define the same host \"api.com\" and port 80 with conflicting protocols (HTTP, TLS).",
        "Warning [IST0138] (Gateway default/s1) Duplicate certificate in multiple gateways "
        "[default/s1 default/s2]",
        "Error [IST0161] (Gateway default/s1) The credential referenced by the Gateway s1 in "
        "namespace istio-system is invalid"}) {
    EXPECT_NE(out.find(wanted), std::string::npos) << wanted << "\n" << out;
  }
}

TEST(Analysis, WebhooksImagesAndAnnotations) {
  const std::string out = lines(R"(
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: w1, labels: {istio.io/rev: default}}
webhooks: [{name: ns.istio.io, namespaceSelector: {matchLabels: {istio-injection: enabled}}, clientConfig: {service: {name: gone, namespace: istio-system}}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: w2, labels: {istio.io/rev: default}}
webhooks: [{name: ns.istio.io, namespaceSelector: {matchLabels: {istio-injection: enabled}}, clientConfig: {url: "https://10.0.0.1:15017/inject"}}]
---
apiVersion: v1
kind: Namespace
metadata: {name: dark, labels: {istio-injection: disabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: auto, namespace: dark, annotations: {sidecar.istio.io/inject: maybe}}
spec: {containers: [{name: a, image: auto}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system}
data: {values: '{"global": {"hub": "h", "tag": "9", "proxy": {"image": "proxyv2"}}}'}
---
apiVersion: v1
kind: Pod
metadata: {name: older, namespace: default, labels: {app: reviews, version: v1}}
spec: {containers: [{name: app}, {name: istio-proxy, image: "h/proxyv2:8"}]}
)");
  for (const std::string_view wanted :
       {"Error [IST0139] (MutatingWebhookConfiguration w1) Webhook overlaps with others: "
        "[w2/ns.istio.io]. This may cause injection to occur twice.",
        "Error [IST0139] (MutatingWebhookConfiguration w1) Injector refers to a control plane "
        "service that does not exist: istio-system/gone.",
        "Info [IST0164] (MutatingWebhookConfiguration w2) The address (https://10.0.0.1",
        "Error [IST0147] (Pod dark/auto) Pod auto contains `image: auto`",
        "Warning [IST0125] (Pod dark/auto) Invalid annotation sidecar.istio.io/inject: ",
        "Warning [IST0158] (Namespace default) "}) {
    EXPECT_NE(out.find(wanted), std::string::npos) << wanted << "\n" << out;
  }
  EXPECT_NE(out.find("older"), std::string::npos) << out;
}

}  // namespace
}  // namespace lateen::mesh
