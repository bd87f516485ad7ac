// The roles' handlers as clients of Jaeger, Zipkin, OTLP, Grafana and Kiali meet them.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "console/roles/dashboards.h"
#include "console/roles/grafana.h"
#include "console/roles/jaeger.h"
#include "console/roles/kiali.h"

namespace lateen::console {
namespace {

ApiRequest request_of(std::string method, std::string path, std::string query = "",
                      std::string body = "", std::string type = "application/json") {
  ApiRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.raw_query = std::move(query);
  request.query = parse_query(request.raw_query);
  request.body = std::move(body);
  request.content_type = std::move(type);
  return request;
}

data::Json json(const ApiReply& reply) {
  auto parsed = data::parse_json(reply.body);
  EXPECT_TRUE(parsed.ok()) << reply.body;
  return parsed.ok() ? parsed.value() : data::Json();
}

class JaegerRoleTest : public testing::Test {
 protected:
  JaegerRoleTest() : store(TraceStore::open(":memory:").value()), role(*store, clock) {
    clock.set_wall(WallTime(microseconds(kNow + 1'000'000)));
  }
  static constexpr std::int64_t kNow = 1'700'000'000'000'000;
  std::string spans(std::string_view trace, std::string_view code) {
    return fmt::format(
        R"([{{"traceId":"{0}","id":"1","kind":"CLIENT","name":"get","timestamp":{2},"duration":900,
            "localEndpoint":{{"serviceName":"page"}},"tags":{{"http.status_code":"{1}"}}}},
           {{"traceId":"{0}","id":"2","parentId":"1","kind":"SERVER","name":"get","timestamp":{2},"duration":800,
            "localEndpoint":{{"serviceName":"reviews"}},"tags":{{"http.status_code":"{1}"}}}}])",
        trace, code, kNow);
  }
  ManualClock clock;
  std::unique_ptr<TraceStore> store;
  JaegerRole role;
};

TEST_F(JaegerRoleTest, ZipkinInJaegerOut) {
  EXPECT_EQ(role.zipkin(request_of("POST", "/api/v2/spans", "", spans("a", "200"))).status, 202);
  EXPECT_EQ(role.zipkin(request_of("POST", "/api/v2/spans", "", spans("b", "503"))).status, 202);
  EXPECT_EQ(role.zipkin(request_of("POST", "/api/v2/spans", "", "nonsense")).status, 400);
  EXPECT_EQ(role.received(), 4u);

  const auto services = json(role.query(request_of("GET", "/jaeger/api/services")));
  EXPECT_EQ(data::get_array(services, {"data"}).size(), 2u);
  const auto found = json(role.query(request_of("GET", "/api/traces", "service=reviews&limit=10")));
  EXPECT_EQ(data::get_array(found, {"data"}).size(), 2u);
  const auto bad = json(role.query(
      request_of("GET", "/api/traces", "service=reviews&tags=%7B%22error%22%3A%22true%22%7D")));
  ASSERT_EQ(data::get_array(bad, {"data"}).size(), 1u);
  EXPECT_EQ(data::get_string(data::get_array(bad, {"data"})[0], {"traceID"}), "000000000000000b");
  EXPECT_EQ(role.query(request_of("GET", "/api/traces/b")).status, 200);
  EXPECT_EQ(role.query(request_of("GET", "/api/traces/c")).status, 404);
  EXPECT_EQ(role.query(request_of("GET", "/api/traces/xyz")).status, 400);
  EXPECT_EQ(role.query(request_of("GET", "/api/traces", "service=a&minDuration=soon")).status, 400);
  const auto operations =
      json(role.query(request_of("GET", "/api/operations", "service=reviews&spanKind=server")));
  EXPECT_EQ(data::get_string(data::get_array(operations, {"data"})[0], {"name"}), "get");
  const auto links = json(role.query(request_of("GET", "/api/dependencies", "lookback=3600000")));
  EXPECT_EQ(data::get_int(data::get_array(links, {"data"})[0], {"callCount"}), 2);
}

TEST_F(JaegerRoleTest, ZipkinsOwnQueries) {
  role.zipkin(request_of("POST", "/api/v2/spans", "", spans("a", "200")));
  EXPECT_EQ(role.zipkin(request_of("GET", "/zipkin/api/v2/services")).body,
            R"(["page","reviews"])");
  EXPECT_EQ(role.zipkin(request_of("GET", "/api/v2/spans", "serviceName=page")).body, R"(["get"])");
  const auto traces = json(role.zipkin(request_of("GET", "/api/v2/traces", "serviceName=reviews")));
  ASSERT_EQ(traces.if_array()->size(), 1u);
  EXPECT_EQ((*traces.if_array())[0].if_array()->size(), 2u);
  EXPECT_EQ(role.zipkin(request_of("GET", "/api/v2/trace/a")).status, 200);
  EXPECT_EQ(role.zipkin(request_of("GET", "/api/v2/trace/b")).status, 404);
  EXPECT_EQ(role.zipkin(request_of("GET", "/health")).status, 200);
}

TEST_F(JaegerRoleTest, OtlpOverHttpAndGrpc) {
  const std::string body = R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name",
      "value":{"stringValue":"cart"}}]},"scopeSpans":[{"spans":[{"traceId":"c","spanId":"d","name":"n"}]}]}]})";
  EXPECT_EQ(role.otlp(request_of("POST", "/v1/traces", "", body)).status, 200);
  EXPECT_EQ(role.received(), 1u);
  EXPECT_EQ(role.otlp(request_of("GET", "/v1/traces")).status, 405);

  const std::string empty("\0\0\0\0\0", 5);
  const auto done = role.otlp_grpc(
      request_of("POST", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "", empty));
  EXPECT_EQ(done.body, empty);
  EXPECT_EQ(done.trailers.at(0).second, "0");
  EXPECT_EQ(role.otlp_grpc(request_of("POST", "/x/Y", "", empty)).trailers.at(0).second, "12");
  EXPECT_EQ(role.otlp_grpc(request_of("POST", "/x/Y", "", "")).trailers.at(0).second, "3");
}

TEST_F(JaegerRoleTest, AdminSaysHowMuchIsKept) {
  role.zipkin(request_of("POST", "/api/v2/spans", "", spans("a", "200")));
  EXPECT_NE(role.admin(request_of("GET", "/metrics")).body.find("spans_stored 2"),
            std::string::npos);
  EXPECT_EQ(role.admin(request_of("GET", "/")).status, 200);
}

TEST(KialiSettingsTest, ReadsTheAddonsAndUpstreamsKeys) {
  const auto bare = read_kiali_settings("{}");
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare.value().prometheus_url, "http://prometheus.istio-system:9090");
  EXPECT_EQ(bare.value().tracing_url, "http://tracing.istio-system/jaeger");
  const auto full = read_kiali_settings(R"(
istio_namespace: mesh
external_services:
  prometheus: {url: "http://p:1/"}
  tracing: {in_cluster_url: "http://t/jaeger/"}
server: {port: 1234, web_root: /, metrics_port: 99999, observability: {metrics: {port: 9091}}}
)");
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full.value().port, 1234);
  EXPECT_EQ(full.value().metrics_port, 9091);
  EXPECT_EQ(full.value().web_root, "");
  EXPECT_EQ(full.value().prometheus_url, "http://p:1");
  EXPECT_EQ(full.value().tracing_url, "http://t/jaeger");
  EXPECT_FALSE(read_kiali_settings("a: [").ok());
}

TEST(KialiRoleTest, AnswersWithoutAnApiServer) {
  ManualClock clock;
  http::BlockingClient http;
  const auto dashboards = Dashboards::load("");
  KialiRole role(read_kiali_settings("{}").value(), http, nullptr, "no cluster", dashboards, clock);
  EXPECT_EQ(role.handle(request_of("GET", "/")).status, 302);
  EXPECT_EQ(role.handle(request_of("GET", "/kiali/healthz")).status, 200);
  const auto workloads = role.handle(request_of("GET", "/kiali/api/workloads"));
  EXPECT_EQ(workloads.status, 503);
  EXPECT_NE(workloads.body.find("no cluster"), std::string::npos);
  EXPECT_EQ(role.handle(request_of("GET", "/kiali/api/namespaces/graph", "duration=never")).status,
            400);
  EXPECT_EQ(role.handle(request_of("GET", "/kiali/api/prometheus/api/v1/admin/tsdb/delete_series"))
                .status,
            404);
  EXPECT_EQ(role.handle(request_of("GET", "/kiali/api/tracing/../x")).status, 404);
}

TEST(DashboardsTest, FilesWinByUidAndBadOnesAreLeftOut) {
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("dashboards-test-{}", getpid());
  std::filesystem::create_directories(folder / "sub" / "..hidden");
  std::ofstream(folder / "sub" / "own.json")
      << R"({"uid":"own","title":"Own","panels":[{"id":1}]})";
  std::ofstream(folder / "sub" / "named.json") << R"({"title":"No Uid","panels":[{"id":1}]})";
  std::ofstream(folder / "sub" / "..hidden" / "twice.json")
      << R"({"uid":"twice","panels":[{"id":1}]})";
  std::ofstream(folder / "broken.json") << "{";
  std::ofstream(folder / "empty.json") << R"({"uid":"empty"})";
  const auto dashboards = Dashboards::load(folder);
  std::filesystem::remove_all(folder);
  EXPECT_EQ(dashboards.serve("own").status, 200);
  EXPECT_EQ(dashboards.serve("no-uid").status, 200);
  EXPECT_EQ(dashboards.serve("twice").status, 404);
  EXPECT_EQ(dashboards.serve("empty").status, 404);
  bool is_listed = false;
  for (const data::Json& one : dashboards.list())
    is_listed |= data::get_string(one, {"url"}) == "/d/own/own";
  EXPECT_TRUE(is_listed);
}

TEST(GrafanaRoleTest, HealthAndDatasources) {
  http::BlockingClient http;
  const auto dashboards = Dashboards::load("");
  GrafanaRole role(http, dashboards, "http://prometheus:9090");
  EXPECT_EQ(data::get_string(json(role.handle(request_of("GET", "/api/health"))), {"database"}),
            "ok");
  const auto sources = json(role.handle(request_of("GET", "/api/datasources")));
  EXPECT_EQ(data::get_string((*sources.if_array())[0], {"type"}), "prometheus");
  EXPECT_EQ(role.handle(request_of("GET", "/api/nothing")).status, 404);
  EXPECT_EQ(
      prometheus_in_datasources("datasources: [{type: loki, url: a}, {type: prometheus, url: b}]"),
      "b");
}

}  // namespace
}  // namespace lateen::console
