// The whole proxy on loopback: an ADS and SDS server made here, two listeners of one proxy that
// play the two sidecars of a call with mutual TLS, and an application. No fixed ports.

#include "proxy/server/server.h"

#include <gtest/gtest.h>

#include <future>

#include "base/random.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "event/epoll_loop.h"
#include "grpc/server.h"
#include "http/blocking_client.h"
#include "http/server.h"
#include "proxy/server/bootstrap.h"
#include "proxy/server/static_proxy_test_support.h"
#include "tls/x509.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace discovery = envoy::service::discovery::v3;
using testing::LoopThread;

class App final : public http::Service {
 public:
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    std::string told = std::string(request.method) + " " + std::string(request.path) + "\n";
    for (const auto& field : request.headers)
      told += std::string(field.name) + ": " + std::string(field.value) + "\n";
    done(http::Response::text(exchange.arena, 200, told));
  }
};

// Serves resources by type; state of the world for SDS, delta for ADS. Lives on its loop.
class ControlPlane {
 public:
  explicit ControlPlane(event::Loop& loop) {
    service_.add("/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
                 [this](grpc::ServerCall& call) { return delta(call); });
    service_.add("/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
                 [this](grpc::ServerCall& call) { return secrets(call); });
    http::ServerOptions options;
    options.codec = http::Codec::kHttp2;
    server_ = std::make_unique<http::Server>(
        loop, *net::listen_on(*net::Address::parse("127.0.0.1:0")), service_, options);
  }
  std::uint16_t port() const { return server_->address().port(); }

  // Before the proxy starts, or through the loop.
  void put(std::string_view type, const std::string& name, const std::string& json) {
    google::protobuf::Any any;
    const auto parsed = data::parse_json(json);
    EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message()) << json;
    auto with_type = *parsed;
    (*with_type.if_object())["@type"] = type;
    const auto done = xds::from_json(with_type, any);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message());
    resources_[std::string(type)][name] = any;
    ++version_;
    if (ads_ != nullptr && asked_.contains(std::string(type)))
      send(*ads_, std::string(type), {name});
  }
  std::vector<std::string> nacks;

 private:
  void send(grpc::ServerCall& call, const std::string& type, const std::set<std::string>& names) {
    discovery::DeltaDiscoveryResponse response;
    response.set_type_url(type);
    response.set_nonce(std::to_string(++nonce_));
    for (const auto& [name, any] : resources_[type]) {
      if (!names.empty() && !names.contains(name)) continue;
      auto& one = *response.add_resources();
      one.set_name(name);
      one.set_version(std::to_string(version_));
      *one.mutable_resource() = any;
    }
    call.send(response.SerializeAsString());
  }
  grpc::CallEvents delta(grpc::ServerCall& call) {
    ads_ = &call;
    grpc::CallEvents events;
    events.on_message = [this, &call](std::string message) {
      discovery::DeltaDiscoveryRequest request;
      request.ParseFromString(message);
      if (request.has_error_detail()) nacks.push_back(request.error_detail().message());
      if (!request.response_nonce().empty() && request.resource_names_subscribe().empty()) return;
      std::set<std::string> names(request.resource_names_subscribe().begin(),
                                  request.resource_names_subscribe().end());
      asked_.insert(request.type_url());
      send(call, request.type_url(), names);
    };
    events.on_end = [this] { ads_ = nullptr; };
    return events;
  }
  grpc::CallEvents secrets(grpc::ServerCall& call) {
    grpc::CallEvents events;
    events.on_message = [this, &call](std::string message) {
      discovery::DiscoveryRequest request;
      request.ParseFromString(message);
      if (!request.response_nonce().empty()) return;
      discovery::DiscoveryResponse response;
      response.set_type_url(request.type_url());
      response.set_version_info("1");
      response.set_nonce("1");
      for (const auto& name : request.resource_names())
        *response.add_resources() = resources_[std::string(xds::kSecretType)][name];
      call.send(response.SerializeAsString());
    };
    return events;
  }

  grpc::Service service_;
  std::unique_ptr<http::Server> server_;
  std::map<std::string, std::map<std::string, google::protobuf::Any>> resources_;
  std::set<std::string> asked_;
  grpc::ServerCall* ads_ = nullptr;
  int nonce_ = 0;
  int version_ = 0;
};

constexpr std::string_view kIdentity = "spiffe://cluster.local/ns/default/sa/reviews";

std::string json_text(std::string_view text) { return data::dump_json(data::Json(text)); }

struct Identity {
  std::string chain, key, root;
};
Identity make_identity() {
  const WallTime now = SystemClock().wall();
  Identity made;
  const auto ca_key = *tls::generate_key(tls::KeyKind::kEcP256);
  made.key = *tls::generate_key(tls::KeyKind::kEcP256);
  tls::IssueOptions ca;
  ca.names.common_name = "root";
  ca.not_before = now - hours(1);
  ca.not_after = now + hours(24);
  ca.is_ca = true;
  made.root = *tls::self_sign(ca, ca_key);
  tls::IssueOptions leaf = ca;
  leaf.is_ca = false;
  leaf.names = {};
  leaf.names.uris = {std::string(kIdentity)};
  leaf.is_san_critical = true;
  made.chain = *tls::issue(leaf, made.key, made.root, ca_key);
  return made;
}

constexpr std::string_view kSds =
    R"({"api_config_source": {"api_type": "GRPC", "transport_api_version": "V3",
  "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}]}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"})";

std::string common_tls(const std::string& more) {
  return R"({"tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": )" +
         std::string(kSds) +
         R"(}], "combined_validation_context": {"default_validation_context": {"match_subject_alt_names": [{"prefix": "spiffe://cluster.local/"}]},
         "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": )" +
         std::string(kSds) + "}}" + more + "}";
}

std::string manager(const std::string& prefix, const std::string& route,
                    const std::string& filters) {
  return R"({"name": "envoy.filters.network.http_connection_manager", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": ")" +
         prefix + R"(", )" + route + R"(, "http_filters": [)" + filters + R"(,
    {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    "forward_client_cert_details": "APPEND_FORWARD", "set_current_client_cert_details": {"uri": true, "subject": true}}})";
}

std::string peer_filter(const std::string& rules) {
  return R"({"name": "istio.metadata_exchange", "typed_config": {
    "@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "type_url": "type.googleapis.com/io.istio.http.peer_metadata.Config",
    "value": )" +
         rules + "}}";
}
const std::string kPeerInbound = peer_filter(
    R"({"downstream_discovery": [{"istio_headers": {}}], "downstream_propagation": [{"istio_headers": {}}]})");
const std::string kPeerOutbound = peer_filter(
    R"({"upstream_discovery": [{"istio_headers": {}}], "upstream_propagation": [{"istio_headers": {}}]})");
constexpr std::string_view kStats =
    R"({"name": "istio.stats", "typed_config": {"@type": "type.googleapis.com/stats.PluginConfig"}})";
constexpr std::string_view kAlpn = R"({"name": "istio.alpn", "typed_config": {
  "@type": "type.googleapis.com/istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
  "alpn_override": [{"upstream_protocol": "HTTP11", "alpn_override": ["istio-http/1.1", "istio", "http/1.1"]}]}})";

class ProxyTest : public ::testing::Test {
 protected:
  ProxyTest() {
    app_server_ = app_.run([&] {
      return std::make_unique<http::Server>(
          app_.loop(), *net::listen_on(*net::Address::parse("127.0.0.1:0")), service_);
    });
    control_ = app_.run([&] { return std::make_unique<ControlPlane>(app_.loop()); });
  }
  ~ProxyTest() override {
    if (server_ != nullptr) main_->run([&] { server_.reset(); });
    app_.run([&] {
      control_.reset();
      app_server_.reset();
    });
  }
  std::uint16_t app_port() const { return app_server_->address().port(); }

  void start() {
    const std::string address = R"({"socket_address": {"address": "127.0.0.1", "port_value": )" +
                                std::to_string(control_->port()) + "}}";
    const auto cluster = [&](const std::string& name) {
      return R"({"name": ")" + name +
             R"(", "type": "STATIC", "http2_protocol_options": {}, "load_assignment": {"cluster_name": ")" +
             name + R"(", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": )" + address +
             "}}]}]}}";
    };
    Options options;
    options.concurrency = 2;
    options.config_yaml =
        R"({"node": {"id": "sidecar~127.0.0.1~a.default~default.svc.cluster.local", "cluster": "a.default",
      "metadata": {"NAME": "a-1", "NAMESPACE": "default", "WORKLOAD_NAME": "a", "CLUSTER_ID": "Kubernetes",
                   "LABELS": {"app": "a", "version": "v7", "service.istio.io/canonical-name": "a"}}},
      "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
      "dynamic_resources": {"ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]},
        "cds_config": {"ads": {}, "initial_fetch_timeout": "0s"}, "lds_config": {"ads": {}, "initial_fetch_timeout": "0s"}},
      "static_resources": {"clusters": [)" +
        cluster("xds-grpc") + ", " + cluster("sds-grpc") + "]}}";
    auto bootstrap = load_bootstrap(options);
    ASSERT_TRUE(bootstrap.ok()) << bootstrap.error().message();
    main_ = std::make_unique<LoopThread>();
    main_->run([&] {
      server_ = std::make_unique<Server>(main_->loop(), options, *std::move(bootstrap));
      const auto started = server_->start();
      ASSERT_TRUE(started.ok()) << started.error().message();
    });
  }
  // Polls the main thread until the condition holds; gives up after ten seconds.
  template <typename Condition>
  bool wait_for(Condition condition) {
    for (int i = 0; i < 500; ++i) {
      if (main_->run(condition)) return true;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return false;
  }
  bool wait_live() {
    return wait_for([&] { return server_->state() == ServerState::kLive; });
  }
  std::uint16_t port_of(const std::string& listener) {
    return main_->run([&] { return server_->listeners().entries().at(listener)->bound.port(); });
  }
  http::PlainResponse get(std::uint16_t port, const std::string& path,
                          const http::PlainHeaders& headers = {}) {
    http::PlainRequest request;
    request.url = "http://127.0.0.1:" + std::to_string(port) + path;
    request.headers = headers;
    const auto response = client_.call(request);
    EXPECT_TRUE(response.ok()) << response.error().message();
    return response.ok() ? *response : http::PlainResponse();
  }
  std::string admin(const std::string& path) {
    return get(main_->run([&] { return server_->admin_address().port(); }), path).body;
  }
  // The first line of Prometheus' page that starts so; empty when there is none.
  std::string metric_line(std::string_view start) {
    const std::string page = admin("/stats/prometheus");
    for (const auto line : split(page, '\n'))
      if (line.starts_with(start)) return std::string(line);
    return {};
  }
  void put(std::string_view type, const std::string& name, const std::string& json) {
    app_.run([&] { control_->put(type, name, json); });
  }
  void put_secrets() {
    const Identity identity = make_identity();
    put(xds::kSecretType, "default",
        R"({"name": "default", "tls_certificate": {"certificate_chain": {"inline_string": )" +
            json_text(identity.chain) + R"(}, "private_key": {"inline_string": )" +
            json_text(identity.key) + "}}}");
    put(xds::kSecretType, "ROOTCA",
        R"({"name": "ROOTCA", "validation_context": {"trusted_ca": {"inline_string": )" +
            json_text(identity.root) + "}}}");
  }
  void put_inbound() {
    put(xds::kClusterType, "inbound|9080||",
        R"({"name": "inbound|9080||", "type": "STATIC", "connect_timeout": "1s",
      "metadata": {"filter_metadata": {"istio": {"services": [{"host": "reviews.default.svc.cluster.local", "name": "reviews", "namespace": "default"}]}}},
      "load_assignment": {"cluster_name": "inbound|9080||", "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
      {"socket_address": {"address": "127.0.0.1", "port_value": )" +
            std::to_string(app_port()) + "}}}}]}]}}");
    const std::string route =
        R"("route_config": {"name": "inbound|9080||", "virtual_hosts": [{"name": "inbound|http|9080", "domains": ["*"],
      "routes": [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": "inbound|9080||", "timeout": "0s"}}]}]})";
    const std::string filters = kPeerInbound + "," + std::string(kStats);
    put(xds::kListenerType, "virtualInbound",
        R"({"name": "virtualInbound", "traffic_direction": "INBOUND",
      "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}, "listener_filters_timeout": "0s",
      "listener_filters": [
        {"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}},
        {"name": "http", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}],
      "filter_chains": [
        {"name": "mtls", "filter_chain_match": {"transport_protocol": "tls", "application_protocols": ["istio", "istio-http/1.1", "istio-h2"]},
         "transport_socket": {"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
           "require_client_certificate": true, "common_tls_context": )" +
            common_tls(R"(, "alpn_protocols": ["istio-h2", "istio-http/1.1"])") + R"(}},
         "filters": [)" +
            manager("inbound", route, filters) + R"(]},
        {"name": "plain", "filter_chain_match": {"transport_protocol": "raw_buffer", "application_protocols": ["http/1.1", "h2c"]},
         "filters": [)" +
            manager("inbound", route, filters) + "]}]}");
  }
  void put_outbound(std::uint16_t to) {
    put(xds::kClusterType, "outbound|9080||reviews.default.svc.cluster.local",
        R"({"name": "outbound|9080||reviews.default.svc.cluster.local",
      "type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}, "service_name": "outbound|9080||reviews.default.svc.cluster.local"},
      "metadata": {"filter_metadata": {"istio": {"services": [{"host": "reviews.default.svc.cluster.local", "name": "reviews", "namespace": "default"}]}}},
      "transport_socket_matches": [{"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": {"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": "outbound_.9080_._.reviews.default.svc.cluster.local",
        "common_tls_context": )" +
            common_tls(R"(, "alpn_protocols": ["istio"])") + R"(}}},
        {"name": "tlsMode-disabled", "match": {}, "transport_socket": {"name": "raw", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}]})");
    put(xds::kEndpointType, "outbound|9080||reviews.default.svc.cluster.local",
        R"({"cluster_name": "outbound|9080||reviews.default.svc.cluster.local",
      "endpoints": [{"locality": {"region": "r"}, "lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": )" +
            std::to_string(to) +
            R"(}}}, "metadata": {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"},
      "istio": {"workload": "reviews-v1;default;reviews;v1;Kubernetes"}}}}]}]})");
    const std::string filters =
        kPeerOutbound + "," + std::string(kAlpn) + "," + std::string(kStats);
    put(xds::kListenerType, "0.0.0.0_9080",
        R"({"name": "0.0.0.0_9080", "traffic_direction": "OUTBOUND",
      "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
      "filter_chains": [{"filters": [)" +
            manager("outbound",
                    R"("rds": {"route_config_name": "9080", "config_source": {"ads": {}}})",
                    filters) +
            "]}]}");
    put(xds::kRouteType, "9080",
        R"({"name": "9080", "virtual_hosts": [{"name": "all", "domains": ["*"], "include_request_attempt_count": true,
      "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "outbound|9080||reviews.default.svc.cluster.local", "timeout": "0s"},
                  "decorator": {"operation": "reviews.default.svc.cluster.local:9080/*"}}]}]})");
  }

  App service_;
  LoopThread app_;
  std::unique_ptr<http::Server> app_server_;
  std::unique_ptr<ControlPlane> control_;
  std::unique_ptr<LoopThread> main_;
  std::unique_ptr<Server> server_;
  http::BlockingClient client_;
};

TEST_F(ProxyTest, CallsThroughTwoSidecarsWithMutualTls) {
  put_secrets();
  put_inbound();
  start();
  ASSERT_TRUE(wait_live()) << admin("/config_dump");
  put_outbound(port_of("virtualInbound"));
  ASSERT_TRUE(wait_for([&] {
    return server_->listeners().entries().contains("0.0.0.0_9080") &&
           server_->listeners().entries().at("0.0.0.0_9080")->active != nullptr;
  })) << admin("/config_dump");
  const auto reply = get(port_of("0.0.0.0_9080"), "/reviews/0");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_NE(reply.body.find("GET /reviews/0"), std::string::npos);
  EXPECT_NE(reply.body.find("URI=" + std::string(kIdentity)), std::string::npos) << reply.body;
  EXPECT_EQ(reply.body.find("x-envoy-peer-metadata"), std::string::npos) << reply.body;
  EXPECT_NE(reply.body.find("x-envoy-attempt-count: 1"), std::string::npos) << reply.body;
  EXPECT_TRUE(reply.header("x-envoy-peer-metadata").empty());

  // Counted when the exchange is over, which may be after the client has its answer.
  std::string source, destination;
  for (int i = 0; i < 200 && (source.empty() || destination.empty()); ++i) {
    source = metric_line("istio_requests_total{reporter=\"source\"");
    destination = metric_line("istio_requests_total{reporter=\"destination\"");
  }
  for (const char* label : {"source_workload=\"a\"", "source_version=\"v7\"",
                            "connection_security_policy=\"mutual_tls\"",
                            "source_principal=\"spiffe://cluster.local/ns/default/sa/reviews\"",
                            "destination_app=\"a\""})
    EXPECT_NE(destination.find(label), std::string::npos) << label << "\n" << destination;
  EXPECT_TRUE(control_->nacks.empty()) << control_->nacks.front();
}

TEST_F(ProxyTest, PlainTextReachesThePlainChain) {
  put_secrets();
  put_inbound();
  start();
  ASSERT_TRUE(wait_live());
  EXPECT_EQ(get(port_of("virtualInbound"), "/x").status, 200);
  std::string line;
  for (int i = 0; i < 200 && line.empty(); ++i) line = metric_line("istio_requests_total{");
  EXPECT_NE(line.find("connection_security_policy=\"none\""), std::string::npos) << line;
}

TEST_F(ProxyTest, RefusesOneBadClusterByNameAndKeepsTheOthers) {
  put_secrets();
  put_inbound();
  put(xds::kClusterType, "odd",
      R"({"name": "odd", "type": "STATIC", "transport_socket": {"name": "q", "typed_config": {
    "@type": "type.googleapis.com/no.Such"}}})");
  start();
  ASSERT_TRUE(wait_live());
  EXPECT_EQ(get(port_of("virtualInbound"), "/x").status, 200);
  const auto nacks = app_.run([&] { return control_->nacks; });
  ASSERT_EQ(nacks.size(), 1u);
  EXPECT_NE(nacks[0].find("odd"), std::string::npos);
  EXPECT_NE(nacks[0].find("no.Such"), std::string::npos);
}

TEST_F(ProxyTest, ANewRouteTakesEffectOnOpenConnections) {
  put_secrets();
  put_inbound();
  start();
  ASSERT_TRUE(wait_live());
  put_outbound(port_of("virtualInbound"));
  ASSERT_TRUE(wait_for([&] {
    return server_->listeners().entries().contains("0.0.0.0_9080") &&
           server_->listeners().entries().at("0.0.0.0_9080")->active != nullptr;
  }));
  const auto port = port_of("0.0.0.0_9080");
  EXPECT_EQ(get(port, "/a").status, 200);
  put(xds::kRouteType, "9080",
      R"({"name": "9080", "virtual_hosts": [{"name": "all", "domains": ["*"],
    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 418}}]}]})");
  ASSERT_TRUE(wait_for([&] {
    const auto& table = server_->listeners().routes().at("9080").table;
    return std::holds_alternative<DirectResponse>(table->hosts[0]->routes[0].action);
  }));
  int status = 0;
  for (int i = 0; i < 100 && status != 418; ++i) status = get(port, "/a").status;
  EXPECT_EQ(status, 418);
}

}  // namespace
}  // namespace lateen::proxy
