// What holds for the whole mesh: networks, namespaces that are watched, trust domains, addresses
// for hosts without one, health of machines.
#include <gtest/gtest.h>

#include <algorithm>

#include "discovery/test_mesh.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "istio/name_table.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

using envoy::config::endpoint::v3::ClusterLoadAssignment;

std::string addresses(const ClusterLoadAssignment& assignment) {
  std::string out;
  for (const auto& group : assignment.endpoints()) {
    for (const auto& item : group.lb_endpoints()) {
      const auto& at = item.endpoint().address().socket_address();
      out += at.address() + ":" + std::to_string(at.port_value()) + "/" +
             std::to_string(group.priority()) + " ";
    }
  }
  return out;
}

constexpr const char* kTwoNetworks = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: default}
spec:
  hosts: [far.example.com]
  addresses: [10.7.0.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 10.1.0.1, labels: {security.istio.io/tlsMode: istio}}
  - {address: 10.2.0.1, network: other, labels: {security.istio.io/tlsMode: istio}}
  - {address: 10.2.0.2, network: other, labels: {security.istio.io/tlsMode: istio}}
  - {address: 10.2.0.3, network: other}
)";

TEST(MeshWide, AnotherNetworkIsReachedThroughItsGateway) {
  TestMesh mesh;
  mesh.with(kTwoNetworks);
  const Proxy client = TestMesh::sidecar("web");
  const std::string cluster = "outbound|80||far.example.com";
  EXPECT_EQ(addresses(mesh.get<ClusterLoadAssignment>(client, xds::kEndpointType, cluster)),
            "10.1.0.1:80/0 10.2.0.1:80/0 10.2.0.2:80/0 10.2.0.3:80/0 ");
  mesh.with(R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {meshNetworks: "networks: {other: {gateways: [{address: 192.0.2.9, port: 15443}]}}"}
)");
  // Both endpoints that speak mutual TLS, behind one gateway; the plain one cannot be reached.
  const auto made = mesh.get<ClusterLoadAssignment>(client, xds::kEndpointType, cluster);
  EXPECT_EQ(addresses(made), "10.1.0.1:80/0 192.0.2.9:15443/0 ");
  EXPECT_EQ(made.endpoints(0).lb_endpoints(1).load_balancing_weight().value(), 2u);
}

// Which endpoints a client's automatic mutual TLS is for, by address.
std::string mutual_addresses(const ClusterLoadAssignment& assignment) {
  std::string out;
  for (const auto& group : assignment.endpoints()) {
    for (const auto& item : group.lb_endpoints()) {
      if (item.metadata().filter_metadata().count("envoy.transport_socket_match") > 0)
        out += item.endpoint().address().socket_address().address() + " ";
    }
  }
  return out;
}

TEST(MeshWide, NoMutualTlsWhereAPolicySwitchesItOff) {
  TestMesh mesh;
  mesh.with(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pair, namespace: default}
spec:
  hosts: [pair.example.com]
  addresses: [10.7.0.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: http-b, protocol: HTTP}]
  endpoints:
  - {address: 10.1.0.1, labels: {app: a, security.istio.io/tlsMode: istio}}
  - {address: 10.1.0.2, labels: {app: b, security.istio.io/tlsMode: istio}}
)");
  const Proxy client = TestMesh::sidecar("web");
  const auto mutual = [&](int port) {
    return mutual_addresses(mesh.get<ClusterLoadAssignment>(
        client, xds::kEndpointType, "outbound|" + std::to_string(port) + "||pair.example.com"));
  };
  EXPECT_EQ(mutual(80), "10.1.0.1 10.1.0.2 ");
  mesh.with(R"(
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a, namespace: default}
spec:
  selector: {matchLabels: {app: a}}
  mtls: {mode: STRICT}
  portLevelMtls: {81: {mode: DISABLE}}
)");
  EXPECT_EQ(mutual(80), "10.1.0.1 10.1.0.2 ");
  EXPECT_EQ(mutual(81), "10.1.0.2 ");
  mesh.with(R"(
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: DISABLE}}
)");
  EXPECT_EQ(mutual(80), "10.1.0.1 ");
  EXPECT_EQ(mutual(81), "");
}

TEST(MeshWide, OnlySelectedNamespacesAreSeen) {
  TestMesh mesh;
  mesh.service("web", "10.0.0.1", 80, "http", {"v1"});
  mesh.service("hidden", "10.0.0.2", 80, "http", {"v1"}, "dark");
  mesh.with(
      "{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {seen: \"yes\"}}}");
  mesh.with("{apiVersion: v1, kind: Namespace, metadata: {name: dark}}");
  const Proxy client = TestMesh::sidecar("web");
  const auto has = [&](const char* name) {
    const auto names = mesh.names(client, xds::kClusterType);
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  EXPECT_TRUE(has("outbound|80||hidden.dark.svc.cluster.local"));
  mesh.mesh_config("{discoverySelectors: [{matchLabels: {seen: \"yes\"}}]}");
  EXPECT_FALSE(has("outbound|80||hidden.dark.svc.cluster.local"));
  EXPECT_TRUE(has("outbound|80||web.default.svc.cluster.local"));
}

TEST(MeshWide, AHostWithoutAddressGetsOneForProxiesThatAnswerDns) {
  TestMesh mesh;
  mesh.with(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: default}
spec: {hosts: [db.example.com], resolution: DNS, ports: [{number: 3306, name: tcp, protocol: TCP}]}
)");
  const auto listeners = [&](const Proxy& proxy) {
    std::string out;
    for (const std::string& name : mesh.names(proxy, xds::kListenerType)) {
      if (name.ends_with("_3306")) out += name;
    }
    return out;
  };
  Proxy client = TestMesh::sidecar("web");
  EXPECT_EQ(listeners(client), "0.0.0.0_3306");
  client.uses_auto_addresses = true;
  const std::string own = listeners(client);
  EXPECT_TRUE(own.starts_with("240.240.")) << own;
  istio::networking::nds::v1::NameTable table;
  for (const auto& served : mesh.generator().make(client, xds::kNameTableType, {})) {
    ASSERT_TRUE(table.ParseFromString(*served.body));
  }
  ASSERT_EQ(table.table().count("db.example.com"), 1u);
  EXPECT_EQ(table.table().at("db.example.com").ips(0) + "_3306", own);
}

TEST(MeshWide, AnUnhealthyMachineGetsNoTraffic) {
  TestMesh mesh;
  const auto entry = [](const char* status) {
    return std::string(R"(
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: default, generation: 1, uid: u}
spec: {address: 10.9.0.1, labels: {app: vm}}
status: {conditions: [{type: Healthy, status: ")") +
           status + "\"}]}\n";
  };
  mesh.with(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vms, namespace: default}
spec: {hosts: [vm.example.com], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {app: vm}}}
)");
  const auto endpoints = [&] {
    return addresses(mesh.get<ClusterLoadAssignment>(TestMesh::sidecar("web"), xds::kEndpointType,
                                                     "outbound|80||vm.example.com"));
  };
  mesh.with(entry("True"));
  EXPECT_EQ(endpoints(), "10.9.0.1:80/0 ");
  mesh.with(entry("False"));
  EXPECT_EQ(endpoints(), "");
  mesh.with(entry("True"));
  EXPECT_EQ(endpoints(), "10.9.0.1:80/0 ");
}

TEST(MeshWide, NearPlacesComeFirst) {
  TestMesh mesh;
  mesh.with(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: s, namespace: default}
spec:
  hosts: [s.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 10.1.0.1, locality: us/a/1}
  - {address: 10.1.0.2, locality: us/b/1}
  - {address: 10.1.0.3, locality: eu/a/1}
  - {address: 10.1.0.4, locality: asia/a/1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: s, namespace: default}
spec:
  host: s.example.com
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 1}
    loadBalancer: {localityLbSetting: {failover: [{from: us, to: asia}]}}
)");
  Proxy client = TestMesh::sidecar("web");
  client.locality = "us/a/1";
  EXPECT_EQ(addresses(mesh.get<ClusterLoadAssignment>(client, xds::kEndpointType,
                                                      "outbound|80||s.example.com")),
            "10.1.0.4:80/2 10.1.0.3:80/3 10.1.0.1:80/0 10.1.0.2:80/1 ");
}

}  // namespace
}  // namespace lateen::discovery
