// Time limits, retries and tunnels of the router, on loopback.

#include <atomic>
#include <mutex>

#include "proxy/server/static_proxy_test_support.h"

namespace lateen::proxy {
namespace {

using testing::cluster;
using testing::listener;
using testing::manager;
using testing::RawClient;
using testing::resources;
using testing::StallingBody;
using testing::StaticProxy;
using testing::TestUpstream;

std::string route(const std::string& more, const std::string& cluster = "app") {
  return R"({"match": {"prefix": "/"}, "route": {"cluster": ")" + cluster + R"(")" +
         (more.empty() ? "" : ", " + more) + "}}";
}

// One upstream, one listener with `route_more` in its route, one client.
struct Stage {
  Stage(TestUpstream::Handle handle, const std::string& route_more,
        const std::string& manager_more = "", const std::string& cluster_more = "")
      : app(std::move(handle)),
        proxy(resources(listener("in", manager(route(route_more), "", manager_more)),
                        cluster("app", app.port(), cluster_more))) {
    proxy.settle();
    client = std::make_unique<RawClient>(proxy.port_of("in"));
  }
  TestUpstream app;
  StaticProxy proxy;
  std::unique_ptr<RawClient> client;
};

// Says one answer to each connection, whatever it is asked, and closes.
class RawServer {
 public:
  explicit RawServer(std::string answer) : answer_(std::move(answer)) {
    thread_.run([&] {
      listener_ = std::make_unique<net::Listener>(
          thread_.loop(), *net::listen_on(*net::Address::parse("127.0.0.1:0")),
          [this](std::unique_ptr<net::Stream> stream) {
            net::Stream& added = *stream;
            streams_.push_back(std::move(stream));
            added.on_ready([this, &added](bool, bool) { say(added); });
            say(added);
          });
    });
  }
  ~RawServer() {
    thread_.run([&] {
      listener_.reset();
      streams_.clear();
    });
  }
  std::uint16_t port() const { return listener_->address().port(); }

 private:
  void say(net::Stream& stream) {
    Buffer bytes;
    if (stream.read(bytes, 4096).state != net::IoState::kOk) return;
    Buffer out(answer_);
    stream.write(out);
    stream.shutdown_write();
  }
  const std::string answer_;
  testing::LoopThread thread_;
  std::vector<std::unique_ptr<net::Stream>> streams_;
  std::unique_ptr<net::Listener> listener_;
};

void say_nothing(http::Exchange&, http::Request, http::Done done) {
  // Kept, so that the exchange stays open. Freed with the process.
  static std::vector<http::Done> kept;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  kept.push_back(std::move(done));
}
void say_half(http::Exchange& exchange, http::Request, http::Done done) {
  http::Response response(exchange.arena);
  response.headers.add("content-length", "100");
  response.body = http::Body(std::make_unique<StallingBody>("half"));
  done(std::move(response));
}

TEST(Router, TheTimeoutCoversTheWholeResponse) {
  Stage stage(say_half, R"("timeout": "0.3s")");
  ASSERT_TRUE(stage.client->send("GET / HTTP/1.1\r\nhost: t\r\n\r\n"));
  const auto got = stage.client->read_until("never");  // until it is cut
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200")) << got;
  EXPECT_TRUE(got.ends_with("half")) << got;
}

TEST(Router, TheTimeoutBeforeTheResponseIs504) {
  Stage stage(say_nothing, R"("timeout": "0.2s")");
  const auto got = stage.client->get("/");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 504")) << got;
  EXPECT_NE(got.find("upstream request timeout"), std::string::npos) << got;
}

TEST(Router, TheTimeoutCountsFromTheEndOfTheRequest) {
  Stage stage(
      [](http::Exchange& exchange, http::Request request, http::Done done) {
        http::read_all(exchange.scope, exchange.loop, std::move(request.body), 1000,
                       [&exchange, done = std::move(done)](Result<Buffer> body) {
                         done(http::Response::text(exchange.arena, 200, body->to_string()));
                       });
      },
      R"("timeout": "0.5s")");
  ASSERT_TRUE(stage.client->send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n\r\nab"));
  // Longer than the timeout, on purpose: the request is under way.
  ::poll(nullptr, 0, 900);
  ASSERT_TRUE(stage.client->send("cd"));
  const auto got = stage.client->response();
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200")) << got;
}

TEST(Router, AnIdleStreamEnds) {
  Stage stage(say_nothing, R"("timeout": "0s", "idle_timeout": "0.2s")");
  const auto got = stage.client->get("/");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 504")) << got;
  EXPECT_NE(got.find("stream timeout"), std::string::npos) << got;
}

TEST(Router, AStreamHasALongestDuration) {
  Stage stage(say_half,
              R"("timeout": "0s", "max_stream_duration": {"max_stream_duration": "0.3s"})");
  ASSERT_TRUE(stage.client->send("GET / HTTP/1.1\r\nhost: t\r\n\r\n"));
  EXPECT_TRUE(stage.client->read_until("never").ends_with("half"));
  Stage silent(say_nothing, R"("timeout": "0s")",
               R"("common_http_protocol_options": {"max_stream_duration": "0.2s"}, )");
  const auto got = silent.client->get("/");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 504")) << got;
  EXPECT_NE(got.find("downstream duration timeout"), std::string::npos) << got;
}

TEST(Router, ARequestThatDoesNotCompleteIs408) {
  Stage stage(say_nothing, R"("timeout": "0s")", R"("request_timeout": "0.2s", )");
  ASSERT_TRUE(stage.client->send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n\r\nab"));
  const auto got = stage.client->response();
  EXPECT_TRUE(got.starts_with("HTTP/1.1 408")) << got;
}

TEST(Router, GrpcTimeoutLimitsWhereTheRouteAllows) {
  Stage stage(say_nothing, R"("timeout": "0s", "max_grpc_timeout": "0s")");
  const auto got =
      stage.client->get("/", "content-type: application/grpc\r\ngrpc-timeout: 200m\r\n");
  EXPECT_NE(got.find("grpc-status: 4"), std::string::npos) << got;  // its own deadline
  Stage capped(say_nothing, R"("timeout": "0s", "max_grpc_timeout": "0.2s")");
  const auto cut =
      capped.client->get("/", "content-type: application/grpc\r\ngrpc-timeout: 9S\r\n");
  EXPECT_NE(cut.find("grpc-status: 14"), std::string::npos) << cut;
  EXPECT_NE(cut.find("grpc-message: upstream request timeout\r\n"), std::string::npos) << cut;
  Stage duration(say_nothing,
                 R"("timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"})");
  const auto ended =
      duration.client->get("/", "content-type: application/grpc\r\ngrpc-timeout: 200m\r\n");
  EXPECT_NE(ended.find("grpc-status: "), std::string::npos) << ended;
}

TEST(Router, GrpcUpstreamsHearHowMuchTimeTheyHave) {
  const auto tell = [](http::Exchange& exchange, http::Request request, http::Done done) {
    const std::string told(request.headers.get("grpc-timeout").value_or("none"));
    done(http::Response::text(exchange.arena, 200, told));
  };
  Stage limited(tell, R"("timeout": "0s", "max_grpc_timeout": "40s")");
  const std::string grpc = "content-type: application/grpc\r\n";
  EXPECT_TRUE(limited.client->get("/", grpc).ends_with("40000m"));
  EXPECT_TRUE(limited.client->get("/", grpc + "grpc-timeout: 7S\r\n").ends_with("7000m"));
  EXPECT_TRUE(limited.client->get("/", "").ends_with("none"));
  Stage free(tell, R"("timeout": "0s", "max_grpc_timeout": "0s")");
  EXPECT_TRUE(free.client->get("/", grpc).ends_with("none"));
}

TEST(Router, ATryThatIsLateIsTriedAgain) {
  auto count = std::make_shared<std::atomic<int>>(0);
  Stage stage(
      [count](http::Exchange& exchange, http::Request request, http::Done done) {
        if (++*count == 1) return say_nothing(exchange, std::move(request), std::move(done));
        done(http::Response::text(exchange.arena, 200, "second"));
      },
      R"("timeout": "0s", "retry_policy": {"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "0.2s"})");
  const auto got = stage.client->get("/");
  EXPECT_TRUE(got.ends_with("second")) << got;
  EXPECT_NE(got.find("x-envoy-attempt-count: 2"), std::string::npos) << got;
}

TEST(Router, AHedgedTryAnswersWhenItIsFirst) {
  auto late = std::make_shared<std::pair<std::mutex, std::vector<http::Done>>>();
  auto count = std::make_shared<std::atomic<int>>(0);
  Stage stage(
      [late, count](http::Exchange& exchange, http::Request request, http::Done done) {
        if (++*count == 1) {
          const std::lock_guard lock(late->first);
          late->second.push_back(std::move(done));
          // The first try answers once the second one is here.
          return;
        }
        http::Done first;
        {
          const std::lock_guard lock(late->first);
          first = std::move(late->second.at(0));
        }
        static Arena arena;
        first(http::Response::text(arena, 200, "first"));
        say_nothing(exchange, std::move(request), std::move(done));
      },
      R"("timeout": "0s", "hedge_policy": {"hedge_on_per_try_timeout": true},
         "retry_policy": {"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.2s"})");
  const auto got = stage.client->get("/");
  EXPECT_TRUE(got.ends_with("first")) << got;
}

TEST(Router, RetriesWhatTheRequestAsksFor) {
  auto count = std::make_shared<std::atomic<int>>(0);
  Stage stage(
      [count](http::Exchange& exchange, http::Request request, http::Done done) {
        EXPECT_FALSE(request.headers.has("x-envoy-retry-on"));
        const int status = ++*count < 3 ? 503 : 200;
        done(http::Response::text(exchange.arena, status, "x"));
      },
      "", R"("use_remote_address": true,
          "internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}, )");
  const auto got = stage.client->get("/", "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 3\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200")) << got;
  EXPECT_NE(got.find("x-envoy-attempt-count: 3"), std::string::npos) << got;
}

TEST(Router, AsksNothingForClientsFromOutside) {
  Stage stage(
      [](http::Exchange& exchange, http::Request request, http::Done done) {
        EXPECT_FALSE(request.headers.has("x-envoy-retry-on"));
        EXPECT_FALSE(request.headers.has("x-envoy-force-trace"));
        EXPECT_FALSE(request.headers.has("x-envoy-internal"));
        done(http::Response::text(exchange.arena, 503, "x"));
      },
      "");
  const auto got = stage.client->get("/",
                                     "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 3\r\n"
                                     "x-envoy-force-trace: 1\r\nx-envoy-internal: true\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 503")) << got;
  EXPECT_NE(got.find("x-envoy-attempt-count: 1"), std::string::npos) << got;
}

TEST(Router, AnAnswerThatIsNoHttpIs502) {
  for (const auto answer : {"HTTP/1.1 204 x\r\ncontent-length: 3\r\n\r\nabc", "garbage\r\n\r\n",
                            "HTTP/1.1 200 x\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na"}) {
    RawServer app(answer);
    StaticProxy proxy(resources(listener("in", manager(route(""))), cluster("app", app.port())));
    proxy.settle();
    RawClient client(proxy.port_of("in"));
    const auto got = client.get("/");
    EXPECT_TRUE(got.starts_with("HTTP/1.1 502")) << got;
    EXPECT_NE(got.find("protocol error"), std::string::npos) << got;
  }
}

TEST(Router, TunnelsOnlyWhereTheRouteSaysSo) {
  Stage stage([](http::Exchange& exchange, http::Request,
                 http::Done done) { done(http::Response::text(exchange.arena, 200, "x")); },
              "");
  ASSERT_TRUE(stage.client->send("CONNECT a.test:1 HTTP/1.1\r\nhost: a.test:1\r\n\r\n"));
  const auto got = stage.client->response();
  EXPECT_TRUE(got.starts_with("HTTP/1.1 404")) << got;
}

TEST(Router, UnderscoresInNamesAreRefusedOrDroppedWhereConfigured) {
  for (const bool is_dropped : {false, true}) {
    Stage stage(
        [](http::Exchange& exchange, http::Request request, http::Done done) {
          EXPECT_FALSE(request.headers.has("x_y"));
          done(http::Response::text(exchange.arena, 200, "x"));
        },
        "",
        R"("common_http_protocol_options": {"headers_with_underscores_action": ")" +
            std::string(is_dropped ? "DROP_HEADER" : "REJECT_REQUEST") + R"("}, )");
    const auto got = stage.client->get("/", "x_y: 1\r\n");
    EXPECT_TRUE(got.starts_with(is_dropped ? "HTTP/1.1 200" : "HTTP/1.1 400")) << got;
  }
}

TEST(Router, OnlyRequestsThatMatchAreRetried) {
  const std::string policy =
      R"("retry_policy": {"retry_on": "5xx", "num_retries": 2, "retriable_request_headers": [
         {"name": "x-again", "present_match": true}]})";
  Stage stage([](http::Exchange& exchange, http::Request,
                 http::Done done) { done(http::Response::text(exchange.arena, 503, "no")); },
              policy);
  EXPECT_NE(stage.client->get("/").find("x-envoy-attempt-count: 1"), std::string::npos);
  EXPECT_NE(stage.client->get("/", "x-again: 1\r\n").find("x-envoy-attempt-count: 3"),
            std::string::npos);
}

TEST(Router, ARetryBudgetOfNothingRetriesNothing) {
  Stage stage(
      [](http::Exchange& exchange, http::Request, http::Done done) {
        done(http::Response::text(exchange.arena, 503, "no"));
      },
      R"("retry_policy": {"retry_on": "5xx", "num_retries": 2})", "",
      R"("circuit_breakers": {"thresholds": [{"retry_budget": {"budget_percent": {"value": 0}, "min_retry_concurrency": 0}}]}, )");
  EXPECT_NE(stage.client->get("/").find("x-envoy-attempt-count: 1"), std::string::npos);
}

TEST(Router, UnsupportedRetryPluginsAreRefusedByName) {
  StaticProxy proxy(resources("", ""));
  const auto nack = proxy.put_listener(listener(
      "in",
      manager(route(
          R"("retry_policy": {"retry_on": "5xx", "retry_host_predicate": [{"name": "odd", "typed_config":
                   {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}]})"))));
  EXPECT_NE(nack.find("odd"), std::string::npos) << nack;
}

TEST(Router, WhatWouldChangeARouteAndIsNotHonouredIsRefusedByName) {
  StaticProxy proxy(resources("", ""));
  const std::pair<std::string, std::string> cases[] = {
      {R"({"match": {"prefix": "/"}, "filter_action": {}})", "filter_action"},
      {route(R"("internal_redirect_policy": {"predicates": [{"name": "p", "typed_config": {"@type":
          "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}]})"),
       "internal redirect predicate 'p'"},
      {R"({"match": {"prefix": "/"}, "route": {"cluster_specifier_plugin": "p"}})",
       "route.cluster_specifier_plugin"}};
  for (const auto& [json, field] : cases) {
    const auto nack = proxy.put_listener(listener("in", manager(json)));
    EXPECT_NE(nack.find(field), std::string::npos) << nack;
  }
  const auto nack =
      proxy.put_listener(listener("in", manager(route(""), "", R"("proxy_status_config": {}, )")));
  EXPECT_NE(nack.find("proxy_status_config"), std::string::npos) << nack;
}

// A request on a kept-alive connection that the upstream closes at that moment is not lost.
TEST(Router, AClosedKeptAliveConnectionLosesNoGet) {
  auto count = std::make_shared<std::atomic<int>>(0);
  Stage stage(
      [count](http::Exchange& exchange, http::Request, http::Done done) {
        // Each second request finds the connection cut instead of an answer.
        if (++*count % 2 == 0) return exchange.abort();
        done(http::Response::text(exchange.arena, 200, "ok"));
      },
      "");
  for (int i = 0; i < 4; ++i) {
    const auto got = stage.client->get("/");
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200")) << got;
  }
}

}  // namespace
}  // namespace lateen::proxy
