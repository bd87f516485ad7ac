// What gRPC applications without a proxy are told.
#include "discovery/generate/proxyless.h"

#include <gtest/gtest.h>

#include "discovery/test_mesh.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

namespace tlsv3 = envoy::extensions::transport_sockets::tls::v3;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

constexpr const char* kEcho = "outbound|7070||echo.default.svc.cluster.local";
constexpr const char* kServer = "xds.istio.io/grpc/lds/inbound/0.0.0.0:7070";

Proxy grpc_proxy(const std::string& app, const std::string& ip, bool is_mutual = false) {
  data::JsonObject labels{{"app", app}};
  if (is_mutual) labels["security.istio.io/tlsMode"] = "istio";
  auto proxy = read_proxy("sidecar~" + ip + "~" + app + "-x.default~default.svc.cluster.local",
                          data::JsonObject{{"NAMESPACE", "default"},
                                           {"SERVICE_ACCOUNT", app},
                                           {"GENERATOR", "grpc"},
                                           {"LABELS", labels}},
                          "");
  EXPECT_TRUE(proxy.ok());
  return *std::move(proxy);
}

TestMesh echo() {
  TestMesh mesh;
  mesh.service("echo", "10.0.0.1", 7070, "grpc", {"v1", "v2"});
  mesh.service("other", "10.0.0.2", 80, "http", {"v1"});
  return mesh;
}

std::vector<std::string> names_of(TestMesh& mesh, const Proxy& proxy, std::string_view type,
                                  const std::set<std::string>& asked) {
  std::vector<std::string> out;
  for (const auto& resource : mesh.generator().make(proxy, type, asked))
    out.push_back(resource.name);
  return out;
}

template <typename Message>
Message only(TestMesh& mesh, const Proxy& proxy, std::string_view type, const std::string& name) {
  Message out;
  const auto made = mesh.generator().make(proxy, type, {name});
  EXPECT_EQ(made.size(), 1u) << name;
  if (!made.empty()) out.ParseFromString(*made[0].body);
  return out;
}

HttpConnectionManager manager_of(const google::protobuf::Any& any) {
  auto manager = xds::unpack<HttpConnectionManager>(any);
  EXPECT_TRUE(manager.ok());
  return manager.ok() ? *std::move(manager) : HttpConnectionManager();
}

TEST(Proxyless, ListenersHaveTheNamesThatAreDialled) {
  TestMesh mesh = echo();
  const Proxy client = grpc_proxy("web", "10.1.9.9");
  using Names = std::vector<std::string>;
  const auto asked = [&](const std::set<std::string>& names) {
    return names_of(mesh, client, xds::kListenerType, names);
  };
  EXPECT_EQ(asked({"echo:7070", "echo.default.svc.cluster.local:7070", "missing:1", "echo:1"}),
            (Names{"echo.default.svc.cluster.local:7070", "echo:7070"}));
  EXPECT_EQ(asked({"echo.default.svc"}), Names{"echo.default.svc:7070"});
  EXPECT_EQ(asked({}).size(), 2u);
  const auto listener = only<Listener>(mesh, client, xds::kListenerType, "echo.default:7070");
  EXPECT_EQ(listener.address().socket_address().address(), "10.0.0.1");
  const auto manager = manager_of(listener.api_listener().api_listener());
  EXPECT_TRUE(manager.rds().config_source().has_ads());
  EXPECT_EQ(manager.rds().route_config_name(), kEcho);
  ASSERT_EQ(manager.http_filters_size(), 2);
  EXPECT_EQ(manager.http_filters(1).name(), "envoy.filters.http.router");
}

TEST(Proxyless, RoutesFollowVirtualServicesAndClustersExistBySubset) {
  TestMesh mesh = echo();
  mesh.with(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: default}
spec:
  hosts: [echo]
  http:
  - match: [{uri: {prefix: /new.}}]
    route: [{destination: {host: echo, subset: v2}}]
  - route: [{destination: {host: echo, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: default}
spec:
  host: echo
  trafficPolicy:
    tls: {mode: ISTIO_MUTUAL}
    connectionPool: {http: {http2MaxRequests: 7}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x}}}}
)");
  const Proxy client = grpc_proxy("web", "10.1.9.9");
  const auto routes = only<RouteConfiguration>(mesh, client, xds::kRouteType, kEcho);
  EXPECT_EQ(routes.name(), kEcho);
  ASSERT_EQ(routes.virtual_hosts_size(), 1);
  ASSERT_EQ(routes.virtual_hosts(0).routes_size(), 2);
  EXPECT_EQ(routes.virtual_hosts(0).domains(0), "*");
  const std::string v2 = "outbound|7070|v2|echo.default.svc.cluster.local";
  EXPECT_EQ(routes.virtual_hosts(0).routes(0).route().cluster(), v2);
  EXPECT_EQ(names_of(mesh, client, xds::kRouteType, {"outbound|1||missing", "nonsense"}),
            std::vector<std::string>());

  EXPECT_EQ(names_of(mesh, client, xds::kClusterType,
                     {v2, kEcho, "outbound|7070|v9|echo.default.svc.cluster.local", "other"}),
            (std::vector<std::string>{v2, kEcho}));
  const auto cluster = only<Cluster>(mesh, client, xds::kClusterType, v2);
  EXPECT_EQ(cluster.type(), Cluster::EDS);
  EXPECT_EQ(cluster.eds_cluster_config().service_name(), v2);
  EXPECT_EQ(cluster.lb_policy(), Cluster::RING_HASH);
  EXPECT_EQ(cluster.circuit_breakers().thresholds(0).max_requests().value(), 7u);
  EXPECT_EQ(cluster.transport_socket().name(), "envoy.transport_sockets.tls");
  const auto tls =
      xds::unpack<tlsv3::UpstreamTlsContext>(cluster.transport_socket().typed_config());
  ASSERT_TRUE(tls.ok());
  EXPECT_EQ(tls->common_tls_context().tls_certificate_provider_instance().instance_name(),
            "default");
  const auto& roots =
      tls->common_tls_context().combined_validation_context().default_validation_context();
  EXPECT_EQ(roots.ca_certificate_provider_instance().certificate_name(), "ROOTCA");
  EXPECT_EQ(roots.match_subject_alt_names_size(), 1);
  const auto endpoints = only<envoy::config::endpoint::v3::ClusterLoadAssignment>(
      mesh, client, xds::kEndpointType, v2);
  ASSERT_EQ(endpoints.endpoints_size(), 1);
  EXPECT_EQ(endpoints.endpoints(0).lb_endpoints_size(), 1);
}

TEST(Proxyless, AServiceEntryMayNameTheServerByItsAddress) {
  TestMesh mesh;
  mesh.with(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: default}
spec:
  hosts: [far.example.com]
  ports: [{number: 7070, name: grpc, protocol: GRPC}]
  resolution: STATIC
  endpoints: [{address: 10.3.0.1, ports: {grpc: 9999}}, {address: 10.3.0.2}]
)");
  const auto names = [&](const std::string& ip, const std::string& port) {
    const std::string name = "xds.istio.io/grpc/lds/inbound/0.0.0.0:" + port;
    return names_of(mesh, grpc_proxy("far", ip), xds::kListenerType, {name}).size();
  };
  EXPECT_EQ(names("10.3.0.1", "9999"), 1u);
  EXPECT_EQ(names("10.3.0.1", "7070"), 0u);
  EXPECT_EQ(names("10.3.0.2", "7070"), 1u);
  EXPECT_EQ(names("10.3.0.3", "7070"), 0u);
}

TEST(Proxyless, ServersTakeMutualTlsWherePoliciesOrLabelsSaySo) {
  TestMesh mesh = echo();
  const auto pod_ip = [&] {
    const auto endpoints = only<envoy::config::endpoint::v3::ClusterLoadAssignment>(
        mesh, grpc_proxy("web", "10.1.9.9"), xds::kEndpointType, kEcho);
    return endpoints.endpoints(0).lb_endpoints(0).endpoint().address().socket_address().address();
  }();
  Proxy server = grpc_proxy("echo", pod_ip);
  auto listener = only<Listener>(mesh, server, xds::kListenerType, kServer);
  EXPECT_EQ(listener.name(), kServer);
  EXPECT_EQ(listener.address().socket_address().port_value(), 7070u);
  ASSERT_EQ(listener.filter_chains_size(), 1);
  EXPECT_FALSE(listener.filter_chains(0).has_transport_socket());
  EXPECT_EQ(names_of(mesh, server, xds::kListenerType,
                     {"xds.istio.io/grpc/lds/inbound/0.0.0.0:9", "xds.istio.io/grpc/lds/inbound/"}),
            std::vector<std::string>());

  server = grpc_proxy("echo", pod_ip, /*is_mutual=*/true);
  listener = only<Listener>(mesh, server, xds::kListenerType, kServer);
  EXPECT_TRUE(listener.filter_chains(0).has_transport_socket());

  mesh.with(R"(
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: DISABLE}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: default}
spec:
  action: DENY
  rules: [{to: [{operation: {paths: [/echo.Echo/Secret]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nothing, namespace: default}
spec: {}
)");
  listener = only<Listener>(mesh, server, xds::kListenerType, kServer);
  EXPECT_FALSE(listener.filter_chains(0).has_transport_socket());
  const auto manager = manager_of(listener.filter_chains(0).filters(0).typed_config());
  ASSERT_EQ(manager.http_filters_size(), 3);
  EXPECT_EQ(manager.http_filters(0).name(), "envoy.filters.http.rbac.DENY");
  EXPECT_EQ(manager.http_filters(1).name(), "envoy.filters.http.rbac");
  EXPECT_TRUE(manager.route_config().virtual_hosts(0).routes(0).has_non_forwarding_action());
}

}  // namespace
}  // namespace lateen::discovery
