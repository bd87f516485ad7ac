// Access logs sent to services: entries of the access log service and OpenTelemetry records arrive
// as the streams end; filters in CEL choose them.

#include <gtest/gtest.h>

#include "envoy/service/accesslog/v3/als.pb.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

using testing::answering;
using testing::App;
using testing::FilterBench;
using testing::Seen;

// Runs the loop until `is_done` says so; false when it never does.
bool wait_for(FilterBench& bench, const std::function<bool()>& is_done) {
  bool is_late = false;
  event::Timer limit(*bench.loop, [&] {
    is_late = true;
    bench.loop->stop();
  });
  limit.arm(seconds(20));
  while (!is_done() && !is_late) {
    event::Timer look(*bench.loop, [&] { bench.loop->stop(); });
    look.arm(milliseconds(5));
    bench.loop->run();
  }
  return !is_late;
}

std::string logger(const std::string& type, const std::string& fields,
                   const std::string& filter = "") {
  return R"("access_log": [{"name": "l", )" + (filter.empty() ? "" : filter + ", ") +
         R"("typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.)" +
         type + "\", " + fields + "}}]";
}
const std::string kCommon = R"("common_config": {"log_name": "mine", "transport_api_version": "V3",
    "buffer_flush_interval": "0.02s",
    "grpc_service": {"envoy_grpc": {"cluster_name": "logs"}}})";

class ServiceLogs : public ::testing::Test {
 protected:
  ServiceLogs() {
    service.add("/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
                [this](grpc::ServerCall& call) {
                  grpc::CallEvents events;
                  events.on_message = [this](std::string bytes) {
                    envoy::service::accesslog::v3::StreamAccessLogsMessage message;
                    ASSERT_TRUE(message.ParseFromString(bytes));
                    messages.push_back(message);
                  };
                  events.on_half_close = [&call] { call.finish(Code::kOk, ""); };
                  return events;
                });
    service.add("/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                [this](grpc::ServerCall& call) {
                  grpc::CallEvents events;
                  events.on_message = [this, &call](std::string bytes) {
                    ASSERT_TRUE(exported.ParseFromString(bytes));
                    call.send("");
                    call.finish(Code::kOk, "");
                  };
                  return events;
                });
    bench.serve("logs", service, true);
    bench.serve("app", app);
    bench.shared.identity.node_id = "sidecar~1";
  }
  ~ServiceLogs() override {
    // The logger's sender notices that it is not needed any more.
    EXPECT_EQ(bench.configure(""), "");
    const SteadyTime until = bench.loop->now() + milliseconds(100);
    wait_for(bench, [&] { return bench.loop->now() >= until; });
  }
  Seen seen;
  App app{answering(seen, {{"x-app", "yes"}}, "body", 418)};
  grpc::Service service;
  std::vector<envoy::service::accesslog::v3::StreamAccessLogsMessage> messages;
  opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest exported;
  FilterBench bench;
};

TEST_F(ServiceLogs, HttpEntriesArriveInOneStream) {
  ASSERT_EQ(bench.configure("", "", R"("route": {"cluster": "app"})",
                            logger("grpc.v3.HttpGrpcAccessLogConfig",
                                   kCommon + R"(, "additional_request_headers_to_log": ["X-User"],
                                      "additional_response_headers_to_log": ["x-app"])")),
            "");
  bench.call("GET", "/a?b=1", {{"x-user", "jason"}, {"user-agent", "test"}});
  bench.call("GET", "/second");
  ASSERT_TRUE(wait_for(bench, [&] {
    int entries = 0;
    for (const auto& message : messages) entries += message.http_logs().log_entry_size();
    return entries == 2;
  }));
  const auto& first = messages.front();
  EXPECT_EQ(first.identifier().log_name(), "mine");
  EXPECT_EQ(first.identifier().node().id(), "sidecar~1");
  const auto& entry = first.http_logs().log_entry(0);
  EXPECT_EQ(entry.request().path(), "/a?b=1");
  EXPECT_EQ(entry.request().request_method(), envoy::config::core::v3::GET);
  EXPECT_EQ(entry.request().user_agent(), "test");
  EXPECT_EQ(entry.request().request_headers().at("x-user"), "jason");
  EXPECT_EQ(entry.response().response_code().value(), 418u);
  EXPECT_EQ(entry.response().response_body_bytes(), 4u);
  EXPECT_EQ(entry.response().response_code_details(), "via_upstream");
  EXPECT_EQ(entry.response().response_headers().at("x-app"), "yes");
  const auto& common = entry.common_properties();
  EXPECT_EQ(common.upstream_cluster(), "app");
  EXPECT_EQ(common.route_name(), "all");
  EXPECT_EQ(common.downstream_remote_address().socket_address().address(), "10.0.0.1");
  EXPECT_EQ(common.upstream_remote_address().socket_address().address(), "127.0.0.1");
}

TEST_F(ServiceLogs, OpenTelemetryRecords) {
  ASSERT_EQ(bench.configure("", "", R"("route": {"cluster": "app"})",
                            logger("open_telemetry.v3.OpenTelemetryAccessLogConfig", kCommon + R"(,
      "body": {"string_value": "%REQ(:METHOD)% %RESPONSE_CODE%"},
      "attributes": {"values": [{"key": "path", "value": {"string_value": "%REQ(:PATH)%"}}]},
      "resource_attributes": {"values": [{"key": "k", "value": {"string_value": "v"}}]})")),
            "");
  bench.call("GET", "/otel");
  ASSERT_TRUE(wait_for(bench, [&] { return exported.resource_logs_size() > 0; }));
  const auto& all = exported.resource_logs(0);
  std::map<std::string, std::string> resource;
  for (const auto& one : all.resource().attributes())
    resource[one.key()] = one.value().string_value();
  EXPECT_EQ(resource["log_name"], "mine");
  EXPECT_EQ(resource["node_name"], "sidecar~1");
  EXPECT_EQ(resource["k"], "v");
  const auto& record = all.instrumentation_library_logs(0).logs(0);
  EXPECT_EQ(record.body().string_value(), "GET 418");
  ASSERT_EQ(record.attributes_size(), 1);
  EXPECT_EQ(record.attributes(0).value().string_value(), "/otel");
  EXPECT_GT(record.time_unix_nano(), 0u);
}

TEST_F(ServiceLogs, CelFiltersChoose) {
  const auto filtered = [](const std::string& expression) {
    return logger("grpc.v3.HttpGrpcAccessLogConfig", kCommon,
                  R"("filter": {"extension_filter": {"name": "cel", "typed_config": {"@type":
        "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        "expression": ")" +
                      expression + "\"}}}");
  };
  ASSERT_EQ(bench.configure("", "", R"("route": {"cluster": "app"})",
                            filtered("response.code >= 400 && request.url_path != '/health'")),
            "");
  bench.call("GET", "/health");
  bench.call("GET", "/real");
  ASSERT_TRUE(wait_for(bench, [&] { return !messages.empty(); }));
  ASSERT_EQ(messages[0].http_logs().log_entry_size(), 1);
  EXPECT_EQ(messages[0].http_logs().log_entry(0).request().path(), "/real");
  EXPECT_NE(bench.configure("", "", R"("route": {"cluster": "app"})", filtered("1 +"))
                .find("access log filter: CEL"),
            std::string::npos);
}

}  // namespace
}  // namespace lateen::proxy
