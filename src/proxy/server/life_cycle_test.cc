// Connections over changes: chains that change drain theirs, chains that stay keep theirs, a new
// process takes over without a request lost.

#include <atomic>

#include "proxy/server/overload.h"
#include "proxy/server/static_proxy_test_support.h"

namespace lateen::proxy {
namespace {

using testing::cluster;
using testing::eventually;
using testing::listener;
using testing::LoopThread;
using testing::manager;
using testing::RawClient;
using testing::resources;
using testing::socket_address;
using testing::StaticProxy;
using testing::tcp_proxy;
using testing::TestUpstream;

constexpr std::string_view kRoute = R"({"match": {"prefix": "/"}, "route": {"cluster": "app"}})";
constexpr std::string_view kDenyAll = R"({"name": "rbac", "typed_config": {
  "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "rules": {"action": "DENY",
  "policies": {"none": {"permissions": [{"any": true}], "principals": [{"any": true}]}}}}},)";

void say_ok(http::Exchange& exchange, http::Request, http::Done done) {
  done(http::Response::text(exchange.arena, 200, "ok"));
}

// Two chains: by the client's port, which nobody has, and all others.
std::string two_chains(const std::string& other, const std::string& ours) {
  return R"({"name": "in", "address": )" + socket_address(0) + R"(, "filter_chains": [
    {"name": "other", "filter_chain_match": {"source_ports": [1]}, "filters": [)" +
         other + R"(]}, {"name": "ours", "filters": [)" + ours + "]}]}";
}

// Echoes bytes on loopback until destroyed.
class Echo {
 public:
  Echo() {
    thread_.run([&] {
      listener_ = std::make_unique<net::Listener>(
          thread_.loop(), *net::listen_on(*net::Address::parse("127.0.0.1:0")),
          [this](std::unique_ptr<net::Stream> stream) {
            net::Stream& added = *stream;
            streams_.push_back(std::move(stream));
            added.on_ready([&added](bool, bool) { pump(added); });
            pump(added);
          });
    });
  }
  ~Echo() {
    thread_.run([&] {
      listener_.reset();
      streams_.clear();
    });
  }
  std::uint16_t port() const { return listener_->address().port(); }

 private:
  static void pump(net::Stream& stream) {
    Buffer bytes;
    while (stream.read(bytes, 4096).state == net::IoState::kOk) {
    }
    stream.write(bytes);
  }
  LoopThread thread_;
  std::vector<std::unique_ptr<net::Stream>> streams_;
  std::unique_ptr<net::Listener> listener_;
};

TEST(LifeCycle, APolicyChangeReachesAnOpenConnectionAndDrainsIt) {
  TestUpstream app(say_ok);
  StaticProxy proxy(resources("", cluster("app", app.port())));
  ASSERT_EQ(proxy.put_listener(listener("in", manager(std::string(kRoute)))), "");
  proxy.settle();
  const auto port = proxy.port_of("in");
  RawClient client(port);
  const auto before = client.get("/a");
  EXPECT_TRUE(before.starts_with("HTTP/1.1 200")) << before;
  EXPECT_EQ(before.find("connection: close"), std::string::npos) << before;

  ASSERT_EQ(proxy.put_listener(listener("in", manager(std::string(kRoute), std::string(kDenyAll)))),
            "");
  proxy.settle();
  // Not cut while it is idle: the request meets the new policy, and the answer says goodbye.
  const auto after = client.get("/b");
  EXPECT_TRUE(after.starts_with("HTTP/1.1 403")) << after;
  EXPECT_NE(after.find("connection: close"), std::string::npos) << after;
  EXPECT_TRUE(client.is_closed());
}

TEST(LifeCycle, AnUnchangedChainKeepsItsConnections) {
  TestUpstream app(say_ok);
  StaticProxy proxy(resources("", cluster("app", app.port())));
  const std::string ours = manager(std::string(kRoute));
  ASSERT_EQ(proxy.put_listener(two_chains(tcp_proxy("app"), ours)), "");
  proxy.settle();
  const auto port = proxy.port_of("in");
  RawClient client(port);
  EXPECT_TRUE(client.get("/a").starts_with("HTTP/1.1 200"));
  ASSERT_EQ(proxy.put_listener(two_chains(tcp_proxy("elsewhere"), ours)), "");
  proxy.settle();
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.get("/b");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
    EXPECT_EQ(answer.find("connection: close"), std::string::npos) << answer;
  }
}

TEST(LifeCycle, TcpOfAChangedChainEndsAfterTheDrainTime) {
  Echo echo;
  Options options;
  options.drain_time = seconds(1);
  StaticProxy proxy(resources("", cluster("echo", echo.port())), options);
  ASSERT_EQ(proxy.put_listener(listener("in", tcp_proxy("echo"))), "");
  proxy.settle();
  const auto port = proxy.port_of("in");
  RawClient client(port);
  ASSERT_TRUE(client.send("one\n"));
  EXPECT_EQ(client.read_until("\n"), "one\n");
  ASSERT_EQ(proxy.put_listener(listener("in", tcp_proxy("echo", R"("idle_timeout": "77s", )"))),
            "");
  proxy.settle();
  ASSERT_TRUE(client.send("two\n"));
  EXPECT_EQ(client.read_until("\n"), "two\n");
  EXPECT_TRUE(client.is_closed());
}

TEST(LifeCycle, AListenerWaitsForItsExtensionAndFollowsIt) {
  TestUpstream app(say_ok);
  StaticProxy proxy(resources("", cluster("app", app.port())));
  const std::string by_discovery = R"({"name": "policy", "config_discovery": {
    "config_source": {"ads": {}}, "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"]}},)";
  const std::string config = listener("in", manager(std::string(kRoute), by_discovery));
  ASSERT_EQ(proxy.put_listener(config), "");
  const auto put = [&](const std::string& action) {
    const auto any = StaticProxy::any_of(
        "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        R"({"rules": {"action": ")" + action +
            R"(", "policies": {"all": {"permissions": [{"any": true}], "principals": [{"any": true}]}}}})");
    return proxy.run([&] {
      const auto done = proxy.server().listeners().put_extension("policy", any, "1");
      return done.ok() ? std::string() : done.error().message();
    });
  };
  EXPECT_EQ(proxy.run([&] { return proxy.server().listeners().extension_names(); }),
            std::set<std::string>{"policy"});
  EXPECT_FALSE(proxy.run([&] { return proxy.server().listeners().is_all_ready(); }));
  ASSERT_EQ(put("ALLOW"), "");
  proxy.settle();
  RawClient client(proxy.port_of("in"));
  EXPECT_TRUE(client.get("/a").starts_with("HTTP/1.1 200"));
  ASSERT_EQ(put("DENY"), "");
  proxy.settle();
  EXPECT_TRUE(client.get("/a").starts_with("HTTP/1.1 403"));
}

TEST(LifeCycle, ANewProcessTakesOverWithoutALostRequest) {
  TestUpstream app(say_ok);
  // Two servers in one process play the two; a port that is free now is theirs.
  std::uint16_t port = 0;
  {
    const auto probe = net::listen_on(*net::Address::parse("127.0.0.1:0"));
    ASSERT_TRUE(probe.ok());
    port = net::local_address_of(probe->get())->port();
  }
  const std::string config =
      resources(listener("in", manager(std::string(kRoute)), "", port), cluster("app", app.port()));
  Options options;
  options.is_hot_restart_enabled = true;
  options.is_base_id_chosen = true;
  options.base_id = "test-" + std::to_string(getpid());
  options.drain_time = seconds(1);
  options.parent_shutdown_time = seconds(30);
  auto first = std::make_unique<StaticProxy>(config, options);
  first->settle();

  std::atomic<bool> is_over{false};
  std::atomic<int> good{0}, bad{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i)
    clients.emplace_back([&, i] {
      while (!is_over) {
        RawClient client(port);
        // Some keep their connection as long as they may.
        for (int call = 0; call < (i == 0 ? 1 : 50) && !is_over; ++call) {
          const auto answer = client.get("/");
          ++(answer.starts_with("HTTP/1.1 200") ? good : bad);
          if (answer.find("connection: close") != std::string::npos) break;
        }
      }
    });
  ASSERT_TRUE(eventually([&] { return good > 20; }));
  options.restart_epoch = 1;
  StaticProxy second(config, options);
  EXPECT_TRUE(eventually(
      [&] { return second.run([&] { return second.server().state() == ServerState::kLive; }); }));
  EXPECT_TRUE(eventually([&] {
    return first->run([&] { return first->server().state() == ServerState::kDraining; });
  }));
  first->settle();
  const int so_far = good;
  ASSERT_TRUE(eventually([&] { return good > so_far + 20; }));
  is_over = true;
  for (auto& client : clients) client.join();
  EXPECT_EQ(bad, 0);
  // All connections are the second's now.
  RawClient client(port);
  EXPECT_TRUE(client.get("/").starts_with("HTTP/1.1 200"));
}

TEST(LifeCycle, OverloadRefusesRequestsAndThenConnections) {
  TestUpstream app(say_ok);
  StaticProxy proxy(resources("", cluster("app", app.port())));
  ASSERT_EQ(proxy.put_listener(listener("in", manager(std::string(kRoute)))), "");
  proxy.settle();
  OverloadLimits limits;
  limits.most_bytes = 1000;
  Overload overload(proxy.server().shared(), limits);
  RawClient client(proxy.port_of("in"));
  overload.apply(960);
  const auto refused = client.get("/");
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503")) << refused;
  EXPECT_NE(refused.find("envoy overloaded"), std::string::npos) << refused;
  EXPECT_NE(refused.find("connection: close"), std::string::npos) << refused;
  overload.apply(990);
  RawClient late(proxy.port_of("in"));
  EXPECT_TRUE(late.is_closed());
  overload.apply(100);
  RawClient again(proxy.port_of("in"));
  EXPECT_TRUE(again.get("/").starts_with("HTTP/1.1 200"));
}

}  // namespace
}  // namespace lateen::proxy
