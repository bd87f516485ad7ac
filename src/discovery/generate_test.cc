// Given this YAML, the generated config has …
#include "discovery/test_mesh.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/any.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;

constexpr const char* kReviewsRules = R"(
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    fault: {delay: {percentage: {value: 100}, fixedDelay: 7s}}
    route: [{destination: {host: reviews, subset: v2}}]
  - timeout: 0.5s
    route:
    - {destination: {host: reviews, subset: v1}, weight: 75}
    - {destination: {host: reviews, subset: v2}, weight: 25}
)";

TestMesh bookinfo() {
  TestMesh mesh;
  mesh.mesh_config("{accessLogFile: /dev/stdout}");
  mesh.service("reviews", "10.96.0.1", 9080, "http", {"v1", "v2"});
  mesh.service("ratings", "10.96.0.2", 9080, "http", {"v1"});
  return mesh;
}

const VirtualHost* find_host(const RouteConfiguration& routes, std::string_view domain) {
  for (const VirtualHost& host : routes.virtual_hosts()) {
    for (const std::string& own : host.domains()) {
      if (own == domain) return &host;
    }
  }
  return nullptr;
}

HttpConnectionManager http_of(const FilterChain& chain) {
  for (const auto& filter : chain.filters()) {
    if (filter.name() != "envoy.filters.network.http_connection_manager") continue;
    auto manager = xds::unpack<HttpConnectionManager>(filter.typed_config());
    EXPECT_TRUE(manager.ok());
    if (manager.ok()) return *std::move(manager);
  }
  ADD_FAILURE() << "no connection manager in chain " << chain.name();
  return {};
}

std::vector<std::string> filter_names(const HttpConnectionManager& manager) {
  std::vector<std::string> out;
  for (const auto& filter : manager.http_filters()) out.push_back(filter.name());
  return out;
}

TEST(Clusters, OutboundWithAutoMutualTls) {
  TestMesh mesh = bookinfo();
  const auto cluster = mesh.get<Cluster>(TestMesh::sidecar("productpage"), xds::kClusterType,
                                         "outbound|9080||reviews.default.svc.cluster.local");
  EXPECT_EQ(cluster.type(), Cluster::EDS);
  EXPECT_EQ(cluster.lb_policy(), Cluster::LEAST_REQUEST);
  EXPECT_EQ(cluster.connect_timeout().seconds(), 10);
  EXPECT_EQ(cluster.circuit_breakers().thresholds(0).max_connections().value(), 4294967295u);
  ASSERT_EQ(cluster.transport_socket_matches_size(), 2);
  EXPECT_EQ(cluster.transport_socket_matches(0).name(), "tlsMode-istio");
  auto tls = xds::unpack<UpstreamTlsContext>(
      cluster.transport_socket_matches(0).transport_socket().typed_config());
  ASSERT_TRUE(tls.ok());
  EXPECT_EQ(tls->sni(), "outbound_.9080_._.reviews.default.svc.cluster.local");
  EXPECT_EQ(tls->common_tls_context()
                .combined_validation_context()
                .default_validation_context()
                .match_subject_alt_names(0)
                .exact(),
            "spiffe://cluster.local/ns/default/sa/bookinfo-reviews");
  const auto& services =
      cluster.metadata().filter_metadata().at("istio").fields().at("services").list_value();
  EXPECT_EQ(services.values(0).struct_value().fields().at("name").string_value(), "reviews");
}

TEST(Clusters, SubsetsAndSpecials) {
  TestMesh mesh = bookinfo();
  mesh.with(kReviewsRules);
  const Proxy proxy = TestMesh::sidecar("ratings");
  const auto names = mesh.names(proxy, xds::kClusterType);
  for (const char* name : {"outbound|9080|v1|reviews.default.svc.cluster.local", "BlackHoleCluster",
                           "PassthroughCluster", "InboundPassthroughCluster", "inbound|9080||"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
  const auto v2 = mesh.get<Cluster>(proxy, xds::kClusterType,
                                    "outbound|9080|v2|reviews.default.svc.cluster.local");
  EXPECT_EQ(v2.lb_policy(), Cluster::ROUND_ROBIN);
  const auto inbound = mesh.get<Cluster>(proxy, xds::kClusterType, "inbound|9080||");
  EXPECT_EQ(inbound.type(), Cluster::ORIGINAL_DST);
  EXPECT_EQ(inbound.upstream_bind_config().source_address().address(), "127.0.0.6");
}

TEST(Clusters, CircuitBreakersAndOutliers) {
  TestMesh mesh = bookinfo();
  mesh.with(R"(
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: r, namespace: default}
spec:
  host: reviews
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}}
    outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100}
    tls: {mode: DISABLE}
)");
  const auto cluster = mesh.get<Cluster>(TestMesh::sidecar("a"), xds::kClusterType,
                                         "outbound|9080||reviews.default.svc.cluster.local");
  EXPECT_EQ(cluster.circuit_breakers().thresholds(0).max_connections().value(), 1u);
  EXPECT_EQ(cluster.circuit_breakers().thresholds(0).max_pending_requests().value(), 1u);
  EXPECT_EQ(cluster.outlier_detection().consecutive_5xx().value(), 1u);
  EXPECT_EQ(cluster.outlier_detection().base_ejection_time().seconds(), 180);
  EXPECT_EQ(cluster.transport_socket_matches_size(), 0);
  EXPECT_FALSE(cluster.has_transport_socket());
}

TEST(Endpoints, OfASubsetWithTlsMode) {
  TestMesh mesh = bookinfo();
  mesh.with(kReviewsRules);
  const Proxy proxy = TestMesh::sidecar("productpage");
  const auto all = mesh.get<ClusterLoadAssignment>(
      proxy, xds::kEndpointType, "outbound|9080||reviews.default.svc.cluster.local");
  ASSERT_EQ(all.endpoints_size(), 1);
  EXPECT_EQ(all.endpoints(0).lb_endpoints_size(), 2);
  const auto v2 = mesh.get<ClusterLoadAssignment>(
      proxy, xds::kEndpointType, "outbound|9080|v2|reviews.default.svc.cluster.local");
  ASSERT_EQ(v2.endpoints(0).lb_endpoints_size(), 1);
  const auto& endpoint = v2.endpoints(0).lb_endpoints(0);
  EXPECT_EQ(endpoint.endpoint().address().socket_address().address(), "10.1.1.2");
  EXPECT_EQ(endpoint.metadata()
                .filter_metadata()
                .at("envoy.transport_socket_match")
                .fields()
                .at("tlsMode")
                .string_value(),
            "istio");
  EXPECT_EQ(
      endpoint.metadata().filter_metadata().at("istio").fields().at("workload").string_value(),
      "reviews-v2;default;reviews;v2;Kubernetes");
}

TEST(Routes, ProxiesThatCompareHostsWithTheirPortsAreToldBoth) {
  TestMesh mesh = bookinfo();
  Proxy old = TestMesh::sidecar("productpage");
  old.is_lateen = false;
  old.version = "1.9.5";
  const auto both = mesh.get<RouteConfiguration>(old, xds::kRouteType, "9080");
  EXPECT_FALSE(both.ignore_port_in_host_matching());
  EXPECT_NE(find_host(both, "reviews"), nullptr);
  EXPECT_NE(find_host(both, "reviews.default:9080"), nullptr);
  old.version = "1.27.0";
  const auto one = mesh.get<RouteConfiguration>(old, xds::kRouteType, "9080");
  EXPECT_TRUE(one.ignore_port_in_host_matching());
  EXPECT_NE(find_host(one, "reviews"), nullptr);
  EXPECT_EQ(find_host(one, "reviews:9080"), nullptr);
}

TEST(Routes, VirtualServiceMatchesWeightsFaults) {
  TestMesh mesh = bookinfo();
  mesh.with(kReviewsRules);
  const auto routes =
      mesh.get<RouteConfiguration>(TestMesh::sidecar("productpage"), xds::kRouteType, "9080");
  const VirtualHost* host = find_host(routes, "reviews");
  ASSERT_NE(host, nullptr);
  EXPECT_EQ(host->name(), "reviews.default.svc.cluster.local:9080");
  for (const char* domain : {"reviews", "reviews.default", "reviews.default.svc",
                             "reviews.default.svc.cluster.local", "10.96.0.1"}) {
    EXPECT_EQ(find_host(routes, domain), host) << domain;
  }
  ASSERT_EQ(host->routes_size(), 2);
  const auto& jason = host->routes(0);
  EXPECT_EQ(jason.match().headers(0).name(), "end-user");
  EXPECT_EQ(jason.match().headers(0).string_match().exact(), "jason");
  EXPECT_EQ(jason.route().cluster(), "outbound|9080|v2|reviews.default.svc.cluster.local");
  auto fault = xds::unpack<envoy::extensions::filters::http::fault::v3::HTTPFault>(
      jason.typed_per_filter_config().at("envoy.filters.http.fault"));
  ASSERT_TRUE(fault.ok());
  EXPECT_EQ(fault->delay().fixed_delay().seconds(), 7);
  const auto& rest = host->routes(1);
  EXPECT_EQ(rest.route().timeout().nanos(), 500000000);
  ASSERT_EQ(rest.route().weighted_clusters().clusters_size(), 2);
  EXPECT_EQ(rest.route().weighted_clusters().clusters(0).weight().value(), 75u);
  EXPECT_EQ(rest.route().retry_policy().num_retries().value(), 2u);
  EXPECT_EQ(rest.decorator().operation(), "reviews:9080/*");

  const VirtualHost* ratings = find_host(routes, "ratings");
  ASSERT_NE(ratings, nullptr);
  EXPECT_EQ(ratings->routes(0).decorator().operation(), "ratings.default.svc.cluster.local:9080/*");
  EXPECT_EQ(find_host(routes, "*")->routes(0).route().cluster(), "PassthroughCluster");
}

TEST(Routes, ShortNamesOnlyInTheOwnNamespace) {
  TestMesh mesh = bookinfo();
  const auto routes = mesh.get<RouteConfiguration>(TestMesh::sidecar("a", "10.1.9.9", "other"),
                                                   xds::kRouteType, "9080");
  EXPECT_EQ(find_host(routes, "reviews"), nullptr);
  EXPECT_NE(find_host(routes, "reviews.default"), nullptr);
}

TEST(Routes, RegistryOnlyBlocksTheRest) {
  TestMesh mesh = bookinfo();
  mesh.mesh_config("{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}");
  const auto routes = mesh.get<RouteConfiguration>(TestMesh::sidecar("a"), xds::kRouteType, "9080");
  EXPECT_EQ(find_host(routes, "*")->routes(0).direct_response().status(), 502u);
}

TEST(Listeners, OutboundSharesAPort) {
  TestMesh mesh = bookinfo();
  mesh.service("mysql", "10.96.0.9", 3306, "tcp", {"v1"});
  const Proxy proxy = TestMesh::sidecar("productpage");
  const auto names = mesh.names(proxy, xds::kListenerType);
  EXPECT_EQ(std::count(names.begin(), names.end(), "0.0.0.0_9080"), 1);
  const auto listener = mesh.get<Listener>(proxy, xds::kListenerType, "0.0.0.0_9080");
  EXPECT_FALSE(listener.bind_to_port().value());
  const auto manager = http_of(listener.filter_chains(0));
  EXPECT_EQ(manager.rds().route_config_name(), "9080");
  EXPECT_EQ(
      filter_names(manager),
      (std::vector<std::string>{"istio.metadata_exchange", "envoy.filters.http.grpc_stats",
                                "istio.alpn", "envoy.filters.http.fault", "envoy.filters.http.cors",
                                "istio.stats", "envoy.filters.http.router"}));
  EXPECT_EQ(manager.access_log_size(), 1);
  const auto tcp = mesh.get<Listener>(proxy, xds::kListenerType, "10.96.0.9_3306");
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy tcp_proxy;
  const auto& filters = tcp.default_filter_chain().filters();
  ASSERT_TRUE(xds::unpack_into(filters[filters.size() - 1].typed_config(), tcp_proxy).ok());
  EXPECT_EQ(tcp_proxy.cluster(), "outbound|3306||mysql.default.svc.cluster.local");
  EXPECT_TRUE(
      mesh.get<Listener>(proxy, xds::kListenerType, "virtualOutbound").use_original_dst().value());
}

TEST(Listeners, StockEnvoyGetsNoIstioFilters) {
  TestMesh mesh = bookinfo();
  Proxy proxy = TestMesh::sidecar("productpage");
  proxy.has_istio_filters = false;
  for (const char* name : {"0.0.0.0_9080", "virtualInbound", "virtualOutbound"}) {
    const auto listener = mesh.get<Listener>(proxy, xds::kListenerType, name);
    EXPECT_EQ(listener.SerializeAsString().find("istio.metadata_exchange"), std::string::npos);
    EXPECT_EQ(listener.SerializeAsString().find("istio.stats"), std::string::npos);
    EXPECT_EQ(listener.SerializeAsString().find("istio.alpn"), std::string::npos);
  }
}

std::vector<const FilterChain*> chains_of(const Listener& listener, std::uint32_t port) {
  std::vector<const FilterChain*> out;
  for (const FilterChain& chain : listener.filter_chains()) {
    if (chain.filter_chain_match().destination_port().value() == port) out.push_back(&chain);
  }
  return out;
}

TEST(Listeners, InboundPermissiveThenStrict) {
  TestMesh mesh = bookinfo();
  const Proxy proxy = TestMesh::sidecar("ratings");
  auto listener = mesh.get<Listener>(proxy, xds::kListenerType, "virtualInbound");
  auto chains = chains_of(listener, 9080);
  ASSERT_EQ(chains.size(), 2u);
  EXPECT_EQ(chains[0]->filter_chain_match().transport_protocol(), "tls");
  EXPECT_TRUE(chains[0]->has_transport_socket());
  EXPECT_EQ(chains[1]->filter_chain_match().transport_protocol(), "raw_buffer");
  const auto manager = http_of(*chains[0]);
  EXPECT_EQ(manager.route_config().name(), "inbound|9080||");
  EXPECT_EQ(manager.route_config().virtual_hosts(0).routes(0).decorator().operation(),
            "ratings.default.svc.cluster.local:9080/*");
  mesh.with(R"(
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
)");
  listener = mesh.get<Listener>(proxy, xds::kListenerType, "virtualInbound");
  chains = chains_of(listener, 9080);
  ASSERT_EQ(chains.size(), 1u);
  EXPECT_EQ(chains[0]->filter_chain_match().transport_protocol(), "tls");
}

TEST(Authorization, AllowNothingThenGetFromProductpage) {
  TestMesh mesh = bookinfo();
  mesh.with(R"(
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: allow-nothing, namespace: default}
spec: {}
---
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: ratings-viewer, namespace: default}
spec:
  selector: {matchLabels: {app: ratings}}
  action: ALLOW
  rules:
  - from: [{source: {principals: ["cluster.local/ns/default/sa/bookinfo-reviews"]}}]
    to: [{operation: {methods: [GET]}}]
)");
  const auto listener =
      mesh.get<Listener>(TestMesh::sidecar("ratings"), xds::kListenerType, "virtualInbound");
  const auto manager = http_of(*chains_of(listener, 9080)[0]);
  const auto names = filter_names(manager);
  const auto at = std::find(names.begin(), names.end(), "envoy.filters.http.rbac");
  ASSERT_NE(at, names.end());
  const std::string bytes =
      manager.http_filters(static_cast<int>(at - names.begin())).typed_config().value();
  EXPECT_NE(bytes.find("ns[default]-policy[ratings-viewer]-rule[0]"), std::string::npos);
  EXPECT_NE(bytes.find("ns[default]-policy[allow-nothing]-rule[0]"), std::string::npos);
  EXPECT_NE(bytes.find("spiffe://cluster.local/ns/default/sa/bookinfo-reviews"), std::string::npos);
}

TEST(Authentication, JwtKeysAreInlined) {
  TestMesh mesh = bookinfo();
  mesh.with(R"(
apiVersion: security.istio.io/v1beta1
kind: RequestAuthentication
metadata: {name: jwt, namespace: default}
spec:
  selector: {matchLabels: {app: ratings}}
  jwtRules: [{issuer: "testing@secure.istio.io", jwksUri: "https://example.org/jwks.json"}]
)");
  EXPECT_EQ(mesh.store().wanted_jwks(), std::set<std::string>{"https://example.org/jwks.json"});
  EXPECT_TRUE(mesh.store().set_jwks("https://example.org/jwks.json", R"({"keys":[1]})").is_full);
  const auto listener =
      mesh.get<Listener>(TestMesh::sidecar("ratings"), xds::kListenerType, "virtualInbound");
  EXPECT_NE(listener.SerializeAsString().find(R"({"keys":[1]})"), std::string::npos);
}

constexpr const char* kGateway = R"(
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec:
  clusterIP: 10.96.0.50
  selector: {istio: ingressgateway}
  ports: [{name: http2, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]
---
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: {name: bookinfo-gateway, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [bookinfo.example.com]
    tls: {mode: SIMPLE, credentialName: bookinfo-cert}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: bookinfo, namespace: default}
spec:
  hosts: ["*"]
  gateways: [bookinfo-gateway]
  http:
  - match: [{uri: {exact: /productpage}}, {uri: {prefix: /static}}]
    route: [{destination: {host: productpage, port: {number: 9080}}}]
)";

TEST(Gateways, ListenersRoutesSecrets) {
  TestMesh mesh;
  mesh.service("productpage", "10.96.0.3", 9080, "http", {"v1"});
  mesh.with(kGateway);
  mesh.with(R"(
apiVersion: v1
kind: Secret
metadata: {name: bookinfo-cert, namespace: istio-system}
data: {tls.crt: Q0VSVA==, tls.key: S0VZ}
)");
  const Proxy proxy = TestMesh::gateway();
  EXPECT_EQ(mesh.names(proxy, xds::kListenerType),
            (std::vector<std::string>{"0.0.0.0_8080", "0.0.0.0_8443"}));
  const auto plain = mesh.get<Listener>(proxy, xds::kListenerType, "0.0.0.0_8080");
  const auto manager = http_of(plain.filter_chains(0));
  EXPECT_EQ(manager.rds().route_config_name(), "http.8080");
  EXPECT_TRUE(manager.use_remote_address().value());
  const auto routes = mesh.get<RouteConfiguration>(proxy, xds::kRouteType, "http.8080");
  const VirtualHost* host = find_host(routes, "*");
  ASSERT_NE(host, nullptr);
  EXPECT_EQ(host->name(), "*:80");
  ASSERT_EQ(host->routes_size(), 2);
  EXPECT_EQ(host->routes(0).match().path(), "/productpage");
  EXPECT_EQ(host->routes(0).route().cluster(),
            "outbound|9080||productpage.default.svc.cluster.local");
  EXPECT_EQ(host->routes(1).match().prefix(), "/static");

  const auto secure = mesh.get<Listener>(proxy, xds::kListenerType, "0.0.0.0_8443");
  EXPECT_EQ(secure.filter_chains(0).filter_chain_match().server_names(0), "bookinfo.example.com");
  EXPECT_EQ(http_of(secure.filter_chains(0)).rds().route_config_name(),
            "https.443.https.bookinfo-gateway.default");
  const auto secret = mesh.get<envoy::extensions::transport_sockets::tls::v3::Secret>(
      proxy, xds::kSecretType, "kubernetes://bookinfo-cert");
  EXPECT_EQ(secret.tls_certificate().private_key().inline_bytes(), "KEY");
  // A sidecar gets no secrets, whatever it asks for.
  EXPECT_TRUE(mesh.generator()
                  .make(TestMesh::sidecar("x", "10.1.9.9", "istio-system"), xds::kSecretType,
                        {"kubernetes://bookinfo-cert"})
                  .empty());
}

TEST(Gateways, HttpsRedirectAndNoRoutes) {
  TestMesh mesh;
  mesh.with(R"(
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: {name: g, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com], tls: {httpsRedirect: true}}
  - {port: {number: 81, name: http2, protocol: HTTP}, hosts: [b.com]}
)");
  const auto redirecting =
      mesh.get<RouteConfiguration>(TestMesh::gateway(), xds::kRouteType, "http.80");
  EXPECT_EQ(find_host(redirecting, "a.com")->require_tls(), VirtualHost::ALL);
  const auto empty = mesh.get<RouteConfiguration>(TestMesh::gateway(), xds::kRouteType, "http.81");
  EXPECT_EQ(empty.virtual_hosts(0).name(), "blackhole:81");
}

TEST(ServiceEntry, ExternalHttpsBySni) {
  TestMesh mesh;
  mesh.with(R"(
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: {name: google, namespace: default}
spec:
  hosts: [www.google.com]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
  location: MESH_EXTERNAL
)");
  const Proxy proxy = TestMesh::sidecar("sleep");
  const auto cluster = mesh.get<Cluster>(proxy, xds::kClusterType, "outbound|443||www.google.com");
  EXPECT_EQ(cluster.type(), Cluster::STRICT_DNS);
  EXPECT_EQ(cluster.load_assignment()
                .endpoints(0)
                .lb_endpoints(0)
                .endpoint()
                .address()
                .socket_address()
                .address(),
            "www.google.com");
  EXPECT_EQ(cluster.transport_socket_matches_size(), 0);
  const auto listener = mesh.get<Listener>(proxy, xds::kListenerType, "0.0.0.0_443");
  EXPECT_EQ(listener.filter_chains(0).filter_chain_match().server_names(0), "www.google.com");
}

TEST(Sidecar, NarrowsWhatIsSeen) {
  TestMesh mesh = bookinfo();
  mesh.service("other", "10.96.0.77", 9080, "http", {"v1"}, "far");
  mesh.with(R"(
apiVersion: networking.istio.io/v1alpha3
kind: Sidecar
metadata: {name: default, namespace: default}
spec: {egress: [{hosts: ["./ratings.default.svc.cluster.local"]}]}
)");
  const auto names = mesh.names(TestMesh::sidecar("productpage"), xds::kClusterType);
  const auto has = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  EXPECT_TRUE(has("outbound|9080||ratings.default.svc.cluster.local"));
  EXPECT_FALSE(has("outbound|9080||reviews.default.svc.cluster.local"));
  EXPECT_FALSE(has("outbound|9080||other.far.svc.cluster.local"));
}

TEST(Tracing, GoesToZipkinWhenThereIsOne) {
  TestMesh mesh = bookinfo();
  mesh.mesh_config(R"({enableTracing: true, defaultConfig: {tracing: {sampling: 100,
    zipkin: {address: "zipkin.istio-system:9411"}}}})");
  const Proxy proxy = TestMesh::sidecar("ratings");
  auto manager =
      http_of(mesh.get<Listener>(proxy, xds::kListenerType, "0.0.0.0_9080").filter_chains(0));
  EXPECT_DOUBLE_EQ(manager.tracing().random_sampling().value(), 100);
  EXPECT_FALSE(manager.tracing().has_provider());
  mesh.service("zipkin", "10.96.0.88", 9411, "http-query", {"v1"}, "istio-system");
  manager = http_of(mesh.get<Listener>(proxy, xds::kListenerType, "0.0.0.0_9080").filter_chains(0));
  EXPECT_NE(manager.tracing().provider().typed_config().value().find(
                "outbound|9411||zipkin.istio-system.svc.cluster.local"),
            std::string::npos);
}

TEST(EnvoyFilter, InsertsMergesRemoves) {
  TestMesh mesh = bookinfo();
  mesh.with(R"(
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: f, namespace: default}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}
    patch:
      operation: INSERT_BEFORE
      value: {name: my.lua, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, inline_code: "x"}}
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND, cluster: {service: reviews.default.svc.cluster.local}}
    patch: {operation: MERGE, value: {connect_timeout: 3s}}
  - applyTo: NETWORK_FILTER
    match: {context: SIDECAR_OUTBOUND, listener: {name: 0.0.0.0_9080, filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: MERGE
      value: {typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, server_name: me}}
)");
  const Proxy proxy = TestMesh::sidecar("ratings");
  const auto inbound = mesh.get<Listener>(proxy, xds::kListenerType, "virtualInbound");
  const auto names = filter_names(http_of(*chains_of(inbound, 9080)[0]));
  ASSERT_GE(names.size(), 2u);
  EXPECT_EQ(names[names.size() - 2], "my.lua");
  EXPECT_EQ(mesh.get<Cluster>(proxy, xds::kClusterType,
                              "outbound|9080||reviews.default.svc.cluster.local")
                .connect_timeout()
                .seconds(),
            3);
  const auto outbound =
      http_of(mesh.get<Listener>(proxy, xds::kListenerType, "0.0.0.0_9080").filter_chains(0));
  EXPECT_EQ(outbound.server_name(), "me");
  EXPECT_EQ(outbound.rds().route_config_name(), "9080");
}

TEST(Store, SaysWhatAChangeAffects) {
  TestMesh mesh = bookinfo();
  mesh.take_impact();
  // One more address of the same identity: endpoints only.
  mesh.with(R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: default, labels: {kubernetes.io/service-name: reviews}}
ports: [{name: http, port: 9080}]
endpoints: [{addresses: [10.1.1.1]}]
)");
  Impact impact = mesh.take_impact();
  EXPECT_FALSE(impact.is_full);
  EXPECT_EQ(impact.hosts, std::set<std::string>{"reviews.default.svc.cluster.local"});
  mesh.with(
      "{apiVersion: networking.istio.io/v1beta1, kind: VirtualService, metadata: {name: a, "
      "namespace: default, generation: 1, uid: u}, spec: {hosts: [a]}}");
  EXPECT_TRUE(mesh.take_impact().is_full);
  // A status update keeps the generation.
  mesh.with(
      "{apiVersion: networking.istio.io/v1beta1, kind: VirtualService, metadata: {name: a, "
      "namespace: default, generation: 1, uid: u}, spec: {hosts: [a]}, status: {x: 1}}");
  EXPECT_TRUE(mesh.take_impact().empty());
}

}  // namespace
}  // namespace lateen::discovery
