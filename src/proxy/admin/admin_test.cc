// The admin pages over HTTP: what they answer to queries, good and bad, in Envoy 1.40's words.

#include "proxy/admin/admin.h"

#include "base/log_scopes.h"
#include "http/blocking_client.h"
#include "proxy/server/static_proxy_test_support.h"

namespace lateen::proxy {
namespace {

using testing::cluster;
using testing::LoopThread;

struct Page {
  int status = 0;
  std::string body;
};

class AdminPages : public ::testing::Test {
 protected:
  void start(const std::string& admin_more = "", const std::string& more = "") {
    Options options;
    options.concurrency = 1;
    options.config_yaml =
        R"({"node": {"id": "sidecar~127.0.0.1~a.default~default.svc.cluster.local", "cluster": "a"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}})" +
        admin_more + R"(}, "static_resources": {"listeners": [)" +
        testing::listener(
            "in", testing::manager(R"({"match": {"prefix": "/"}, "route": {"cluster": "gone"}})")) +
        R"(], "clusters": [)" + cluster("one", 1) + "," + cluster("two", 1) + "]}" + more + "}";
    auto bootstrap = load_bootstrap(options);
    ASSERT_TRUE(bootstrap.ok()) << bootstrap.error().message();
    thread.run([&] {
      server = std::make_unique<Server>(thread.loop(), options, *std::move(bootstrap));
      const auto started = server->start();
      ASSERT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message());
      port = server->admin_address().port();
    });
  }
  void TearDown() override {
    if (server != nullptr) thread.run([&] { server.reset(); });
    log::set_all_levels(log::Level::kInfo);
  }
  Page ask(const std::string& path, const std::string& method = "GET", std::uint16_t at = 0) {
    http::PlainRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(at != 0 ? at : port) + path;
    const auto answer = client.call(request);
    EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message());
    return answer.ok() ? Page{answer->status, answer->body} : Page{};
  }
  http::BlockingClient client;
  LoopThread thread;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;
};

TEST_F(AdminPages, LevelsAreSetForSingleScopes) {
  start();
  Page page = ask("/logging?level=warning", "POST");
  EXPECT_EQ(page.status, 200);
  EXPECT_NE(page.body.find("  http: warning\n"), std::string::npos) << page.body;
  page = ask("/logging?paths=http:debug,router:error", "POST");
  EXPECT_NE(page.body.find("  http: debug\n"), std::string::npos) << page.body;
  EXPECT_NE(page.body.find("  router: error\n"), std::string::npos) << page.body;
  EXPECT_NE(page.body.find("  admin: warning\n"), std::string::npos) << page.body;
  EXPECT_EQ(ask("/logging?nosuch=info", "POST").status, 400);
  EXPECT_EQ(ask("/logging?http=loud", "POST").status, 400);
  EXPECT_EQ(ask("/logging?level=info").status, 405);
}

TEST_F(AdminPages, CountersBeginAgain) {
  start();
  const auto in = thread.run([&] { return server->listeners().entries().at("in")->bound.port(); });
  EXPECT_EQ(ask("/", "GET", in).status, 503);
  const std::string stat = "/stats?filter=^http.test.no_cluster";
  EXPECT_TRUE(testing::eventually([&] { return ask(stat).body.ends_with(": 1\n"); }))
      << ask(stat).body;
  EXPECT_EQ(ask("/reset_counters", "POST").body, "OK\n");
  EXPECT_TRUE(ask(stat).body.ends_with(": 0\n")) << ask(stat).body;
  EXPECT_EQ(ask("/", "GET", in).status, 503);
  EXPECT_TRUE(testing::eventually([&] { return ask(stat).body.ends_with(": 1\n"); }))
      << ask(stat).body;
}

TEST_F(AdminPages, FailuresSayWhatDecided) {
  start();
  const auto in = thread.run([&] { return server->listeners().entries().at("in")->bound.port(); });
  EXPECT_EQ(ask("/shop", "GET", in).status, 503);
  data::Json json;
  ASSERT_TRUE(testing::eventually([&] {
    json = *data::parse_json(ask("/failures").body);
    return data::get_array(json, {"failures"}).size() == 1;
  }));
  const auto& one = data::get_array(json, {"failures"})[0];
  EXPECT_EQ(data::get_string(one, {"cluster"}), "gone");
  EXPECT_EQ(data::get_string(one, {"listener"}), "in");
  EXPECT_EQ(data::get_string(one, {"path"}), "/shop");
  EXPECT_EQ(data::get_string(one, {"response_flags"}), "NC");
  EXPECT_EQ(ask("/failures?limit=x").status, 400);
}

TEST_F(AdminPages, DumpsAreFilteredAndMasked) {
  start();
  EXPECT_EQ(ask("/config_dump?resource=nosuch").status, 404);
  EXPECT_EQ(ask("/config_dump?resource=nosuch").body, "nosuch not found in config dump");
  EXPECT_EQ(ask("/config_dump?name_regex=(").status, 400);
  EXPECT_EQ(ask("/config_dump?resource=bootstrap").status, 400);
  Page page = ask("/config_dump?resource=static_clusters&name_regex=tw.*");
  auto json = data::parse_json(page.body);
  ASSERT_TRUE(json.ok()) << page.body;
  ASSERT_EQ(data::get_array(*json, {"configs"}).size(), 1u) << page.body;
  EXPECT_EQ(data::get_string(data::get_array(*json, {"configs"})[0], {"cluster", "name"}), "two");
  page = ask("/config_dump?resource=static_clusters&mask=cluster.name");
  json = data::parse_json(page.body);
  ASSERT_TRUE(json.ok()) << page.body;
  const auto& masked = data::get_array(*json, {"configs"})[0];
  EXPECT_EQ(data::get_string(masked, {"cluster", "name"}), "one");
  EXPECT_EQ(data::find(masked, {"cluster", "load_assignment"}), nullptr);
  EXPECT_EQ(data::find(masked, {"last_updated"}), nullptr);
  page = ask("/config_dump?mask=bootstrap.node.id");
  json = data::parse_json(page.body);
  ASSERT_TRUE(json.ok()) << page.body;
  EXPECT_EQ(data::get_array(*json, {"configs"}).size(), 1u) << page.body;
}

TEST_F(AdminPages, StatisticsBySort) {
  start();
  EXPECT_EQ(ask("/stats?type=Gauges&filter=^server.live$").body, "server.live: 1\n");
  EXPECT_EQ(ask("/stats?type=Counters&filter=^server.live$").body, "");
  EXPECT_EQ(ask("/stats?type=Bogus").status, 400);
  EXPECT_EQ(ask("/stats?filter=(").status, 400);
  EXPECT_EQ(ask("/stats?format=bogus").status, 400);
}

TEST_F(AdminPages, RuntimeLayersAreShown) {
  start("", R"(, "layered_runtime": {"layers": [{"name": "base", "static_layer": {"a": {"b": 1}}},
                                                {"name": "admin", "admin_layer": {}}]})");
  const auto json = data::parse_json(ask("/runtime").body);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(data::get_array(*json, {"layers"}).size(), 2u);
  const auto* entries = data::find(*json, {"entries"});
  ASSERT_NE(entries, nullptr);
  EXPECT_EQ(data::get_string(*entries, {"a.b", "final_value"}), "1");
  EXPECT_EQ(ask("/runtime_modify?a.b=2", "POST").status, 501);  // said, not ignored
}

TEST_F(AdminPages, OnlyAllowedPathsAnswer) {
  start(R"(, "allow_paths": [{"exact": "/ready"}, {"prefix": "/stats"}])");
  EXPECT_NE(ask("/ready").status, 403);
  EXPECT_EQ(ask("/stats").status, 200);
  const Page page = ask("/config_dump");
  EXPECT_EQ(page.status, 403);
  EXPECT_EQ(page.body, "request to path /config_dump not allowed");
}

TEST_F(AdminPages, WhatIsNotHereSaysSo) {
  start();
  EXPECT_EQ(ask("/heapprofiler?enable=y", "POST").status, 501);
  EXPECT_EQ(ask("/heap_dump").status, 501);
  EXPECT_EQ(ask("/nosuch").status, 404);
  EXPECT_EQ(ask("/init_dump").body, "{}\n");
}

TEST(AdminStart, AnUnsupportedBootstrapFieldStopsTheStart) {
  LoopThread thread;
  Options options;
  options.concurrency = 1;
  options.config_yaml =
      R"({"node": {"id": "n", "cluster": "c"}, "hds_config": {"api_type": "GRPC"}})";
  auto bootstrap = load_bootstrap(options);
  ASSERT_TRUE(bootstrap.ok());
  thread.run([&] {
    Server server(thread.loop(), options, *std::move(bootstrap));
    const auto started = server.start();
    ASSERT_FALSE(started.ok());
    EXPECT_NE(started.error().message().find("field 'hds_config' of envoy.config.bootstrap.v3"),
              std::string::npos)
        << started.error().message();
  });
}

}  // namespace
}  // namespace lateen::proxy
