// Ways through: CONNECT out of and into TCP (HBONE without the TLS), internal listeners, dynamic
// forward proxy, PROXY protocol, health checks.

#include <atomic>

#include "proxy/cluster/proxy_header.h"
#include "proxy/listener/inspect.h"
#include "proxy/server/static_proxy_test_support.h"

namespace lateen::proxy {
namespace {

using testing::cluster;
using testing::endpoint;
using testing::endpoints;
using testing::eventually;
using testing::listener;
using testing::manager;
using testing::RawClient;
using testing::resources;
using testing::StaticProxy;
using testing::tcp_proxy;
using testing::TestUpstream;

constexpr std::string_view kH2 = R"("http2_protocol_options": {}, )";

void tell(http::Exchange& exchange, http::Request request, http::Done done) {
  done(http::Response::text(exchange.arena, 200,
                            std::string(request.method) + " " + std::string(request.authority)));
}

std::string connect_route(const std::string& cluster) {
  return R"({"match": {"connect_matcher": {}}, "route": {"cluster": ")" + cluster +
         R"(", "timeout": "0s", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}})";
}
constexpr std::string_view kConnectAllowed =
    R"("upgrade_configs": [{"upgrade_type": "CONNECT"}], "http2_protocol_options": {"allow_connect": true}, )";

// client -> TCP -> CONNECT -> proxy -> TCP -> app, over HTTP/2 and HTTP/1.
TEST(Tunnel, TcpGoesThroughConnectAndComesOutAgain) {
  TestUpstream app(tell);
  for (const bool is_h2 : {true, false}) {
    StaticProxy far(
        resources(listener("far", manager(connect_route("app"), "", std::string(kConnectAllowed))),
                  cluster("app", app.port())));
    far.settle();
    StaticProxy near(resources(
        listener("near", tcp_proxy("far", R"("tunneling_config": {"hostname": "app.local:80",
          "headers_to_add": [{"header": {"key": "x-from", "value": "%DOWNSTREAM_REMOTE_ADDRESS%"}}]}, )")),
        cluster("far", far.port_of("far"), is_h2 ? std::string(kH2) : "")));
    near.settle();
    RawClient client(near.port_of("near"));
    for (int i = 0; i < 2; ++i) {
      const auto got = client.get("/");
      EXPECT_TRUE(got.ends_with("GET test")) << is_h2 << got;
    }
    const auto closing = client.get("/", "connection: close\r\n");
    EXPECT_TRUE(closing.ends_with("GET test")) << closing;
    EXPECT_TRUE(client.is_closed()) << is_h2;
  }
}

TEST(Tunnel, ARefusedTunnelClosesTheConnection) {
  TestUpstream app([](http::Exchange& exchange, http::Request, http::Done done) {
    done(http::Response::text(exchange.arena, 403, "no"));
  });
  StaticProxy near(resources(
      listener("near", tcp_proxy("far", R"("tunneling_config": {"hostname": "app.local:80"}, )")),
      cluster("far", app.port(), std::string(kH2))));
  near.settle();
  RawClient client(near.port_of("near"));
  EXPECT_TRUE(client.is_closed());
}

// As istiod does it: an endpoint behind an internal listener, whose metadata says where to go.
TEST(Tunnel, AnInternalListenerGoesWhereTheEndpointSays) {
  TestUpstream app(tell);
  const std::string hop = R"({"name": "hop", "internal_listener": {},
    "listener_filters": [{"name": "od", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
    "filter_chains": [{"filters": [)" +
                          tcp_proxy("by-address") + "]}]}";
  const std::string outer =
      R"({"name": "outer", "type": "STATIC", "transport_socket": {"name": "internal", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        "transport_socket": {"name": "raw", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}}, )" +
      endpoints(
          "outer",
          R"({"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "hop", "endpoint_id": "a"}}},
          "metadata": {"filter_metadata": {"envoy.filters.listener.original_dst": {"local": "127.0.0.1:)" +
              std::to_string(app.port()) + R"("}}}})") +
      "}";
  const std::string by_address =
      R"({"name": "by-address", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "5s"})";
  StaticProxy proxy(resources(
      hop + ", " +
          listener("http",
                   manager(R"({"match": {"prefix": "/"}, "route": {"cluster": "outer"}})")) +
          ", " + listener("tcp", tcp_proxy("outer")),
      outer + ", " + by_address));
  proxy.settle();
  RawClient by_http(proxy.port_of("http"));
  EXPECT_TRUE(by_http.get("/").ends_with("GET test"));
  EXPECT_TRUE(by_http.get("/").ends_with("GET test"));
  RawClient by_tcp(proxy.port_of("tcp"));
  EXPECT_TRUE(by_tcp.get("/").ends_with("GET test"));
}

TEST(Tunnel, AMissingInternalListenerIs503) {
  StaticProxy proxy(resources(
      listener("http", manager(R"({"match": {"prefix": "/"}, "route": {"cluster": "outer"}})")),
      R"({"name": "outer", "type": "STATIC", )" +
          endpoints(
              "outer",
              R"({"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "gone"}}}})") +
          "}"));
  proxy.settle();
  RawClient client(proxy.port_of("http"));
  const auto got = client.get("/");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 503")) << got;
  EXPECT_NE(got.find("gone"), std::string::npos) << got;
}

TEST(Tunnel, ADynamicForwardProxyGoesByTheHostHeader) {
  TestUpstream app(tell);
  StaticProxy proxy(resources(
      listener("http", manager(R"({"match": {"prefix": "/"}, "route": {"cluster": "any"}})")),
      R"({"name": "any", "connect_timeout": "5s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {"name": "dfp", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
        "dns_cache_config": {"name": "cache", "dns_lookup_family": "V4_ONLY"}}}})"));
  proxy.settle();
  RawClient client(proxy.port_of("http"));
  const std::string port = std::to_string(app.port());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nhost: 127.0.0.1:" + port + "\r\n\r\n"));
  EXPECT_TRUE(client.response().ends_with("GET 127.0.0.1:" + port));
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nhost: localhost:" + port + "\r\n\r\n"));
  EXPECT_TRUE(client.response().ends_with("GET localhost:" + port));
}

TEST(Tunnel, ProxyProtocolGoesOutAndComesIn) {
  for (const int version : {1, 2}) {
    const auto source = *net::Address::parse("10.1.2.3:4567");
    const auto destination = *net::Address::parse("10.9.8.7:80");
    const auto text = proxy_header(version, source, destination);
    ProxyHeader header;
    ASSERT_EQ(inspect_proxy(text + "GET", header), Seen::kYes) << version;
    EXPECT_EQ(header.bytes, text.size());
    EXPECT_EQ(header.source, source);
    EXPECT_EQ(header.destination, destination);
    const auto v6 = proxy_header(version, *net::Address::parse("[2001:db8::1]:99"),
                                 *net::Address::parse("[2001:db8::2]:80"));
    ASSERT_EQ(inspect_proxy(v6, header), Seen::kYes);
    EXPECT_EQ(header.source, *net::Address::parse("[2001:db8::1]:99"));
  }
}

TEST(Tunnel, HealthChecksTakeAHostOutAndBringItBack) {
  auto is_sick = std::make_shared<std::atomic<bool>>(true);
  TestUpstream app([is_sick](http::Exchange& exchange, http::Request request, http::Done done) {
    const bool is_probe = request.path == "/healthz";
    done(http::Response::text(exchange.arena, is_probe && *is_sick ? 503 : 200, "x"));
  });
  StaticProxy proxy(resources(
      listener("http", manager(R"({"match": {"prefix": "/"}, "route": {"cluster": "app"}})")),
      cluster(
          "app", app.port(),
          R"("common_lb_config": {"healthy_panic_threshold": {"value": 0}}, "health_checks": [{"timeout": "5s",
                 "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 1, "healthy_threshold": 1,
                 "http_health_check": {"path": "/healthz"}}], )")));
  proxy.settle();
  RawClient client(proxy.port_of("http"));
  const auto status = [&] { return client.get("/").substr(9, 3); };
  EXPECT_EQ(status(), "503");
  *is_sick = false;
  EXPECT_TRUE(eventually([&] { return status() == "200"; }));
  *is_sick = true;
  EXPECT_TRUE(eventually([&] { return status() == "503"; }));
}

}  // namespace
}  // namespace lateen::proxy
