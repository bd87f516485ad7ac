// Each code by a small world that deserves it, and one that does not.
#include <gtest/gtest.h>

#include "cli/analysis/world.h"
#include "data/yaml.h"

namespace lateen::cli {
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

std::vector<Message> find_in(std::string_view more) {
  World world;
  for (const std::string_view text : {kBase, more}) {
    const auto documents = data::parse_yaml_stream(text).value();
    for (const auto& document : documents) world.add(document.value, "", "default");
  }
  return analyze(world);
}

std::string lines(std::string_view more) {
  std::string out;
  for (const Message& each : find_in(more)) out += to_line(each) + "\n";
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
            "\"reviews.default.svc.cluster.local:1\"\n");
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
                     "host reviews.default.svc.cluster.local"),
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
spec: {hosts: [b.com], gateways: [gate], http: [{route: [{destination: {host: reviews}}]}, {match: [{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}, {match: [{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}]}
)");
  EXPECT_NE(out.find("[IST0130] (VirtualService default/order) VirtualService rule #1 not used"),
            std::string::npos)
      << out;
  EXPECT_NE(out.find("[IST0131] (VirtualService default/order) VirtualService rule #2 match #0 is "
                     "not used (duplicate/overlapping match in rule #1)."),
            std::string::npos)
      << out;
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

}  // namespace
}  // namespace lateen::cli
