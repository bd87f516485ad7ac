// BlockingClient against a Server, over real sockets and threads.
#include "http/blocking_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "event/epoll_loop.h"
#include "http/http_test_support.h"
#include "tls/x509.h"

namespace lateen::http {
namespace {

class Blocking : public ::testing::Test {
 protected:
  Blocking() {
    loop_ = std::move(*event::make_epoll_loop(clock_, seeded_random(1)));
    start(*net::Address::parse("127.0.0.1:0"));
  }
  ~Blocking() override { stop(); }

  void start(const net::Address& address) {
    server_ = std::make_unique<Server>(*loop_, std::move(*net::listen_on(address)), service_);
    address_ = server_->address();
    thread_ = std::thread([this] { loop_->run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
    server_.reset();
  }
  std::string url(std::string path) { return "http://" + address_.to_string() + path; }

  void handle(Exchange& exchange, Request request, Done done) {
    ++calls_;
    version_ = request.version;
    if (request.path == "/never") return never_.push_back(std::move(done));
    if (request.path == "/error") return done(not_found("no such thing"));
    if (request.path == "/endless") {
      Response response(exchange.arena);
      response.body = Body(std::make_unique<Endless>());
      return done(std::move(response));
    }
    if (!request.upgrade.empty()) {
      Response response(exchange.arena);
      response.status = 101;
      response.body = std::move(request.body);
      return done(std::move(response));
    }
    read_all(
        exchange.scope, *loop_, std::move(request.body), 10 << 20,
        [&exchange, done = std::move(done), method = request.method](Result<Buffer> body) mutable {
          if (!body.ok()) return done(std::move(body).error());
          done(Response::text(exchange.arena, 200, std::string(method) + ":" + body->to_string()));
        });
  }
  // Three chunks, then silence.
  class Endless final : public BodySource {
    std::optional<Result<Chunk>> poll(Waker) override {
      if (count_ == 3) return std::nullopt;
      return Chunk{Buffer("chunk" + std::to_string(++count_)), false, std::nullopt};
    }
    int count_ = 0;
  };

  SystemClock clock_;
  std::unique_ptr<event::Loop> loop_;
  testing::Answering service_{
      [this](Exchange& e, Request r, Done d) { handle(e, std::move(r), std::move(d)); }};
  std::vector<Done> never_;
  std::unique_ptr<Server> server_;
  net::Address address_;
  std::atomic<int> calls_ = 0;
  std::atomic<Version> version_ = Version::kHttp11;
  std::thread thread_;
};

TEST_F(Blocking, CallsAndReusesConnections) {
  BlockingClient client;
  for (int i = 0; i < 3; ++i) {
    PlainRequest request{.method = "POST", .url = url("/x"), .body = "hello" + std::to_string(i)};
    const auto response = client.call(request);
    ASSERT_TRUE(response.ok()) << response.error().message();
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "POST:hello" + std::to_string(i));
    EXPECT_EQ(response->header("Server"), "lateen");
  }
  EXPECT_EQ(server_->connection_count(), 1u);
}

TEST_F(Blocking, SpeaksHttp2OverTls) {
  tls::IssueOptions issue;
  issue.names.dns = {"localhost"};
  issue.not_before = clock_.wall() - hours(1);
  issue.not_after = clock_.wall() + hours(1);
  issue.is_ca = true;
  tls::Options server;
  const std::string key = *tls::generate_key(tls::KeyKind::kEcP256);
  server.certificates = {{*tls::self_sign(issue, key), key}};
  server.alpn = {"h2", "http/1.1"};
  tls::Options trusting;
  trusting.trusted_ca_pem = server.certificates[0].chain_pem;
  stop();
  server_ = std::make_unique<Server>(
      *loop_, std::move(*net::listen_on(*net::Address::parse("127.0.0.1:0"))), service_,
      ServerOptions(), *tls::Context::make(tls::Context::Role::kServer, server));
  address_ = server_->address();
  thread_ = std::thread([this] { loop_->run(); });
  for (const bool is_h2 : {true, false}) {
    BlockingClientOptions options;
    options.tls = *tls::Context::make(tls::Context::Role::kClient, trusting);
    options.is_http2_wanted = is_h2;
    options.overrides = {{"localhost:443", address_.to_string()}};
    BlockingClient client(options);
    const std::string body(500'000, 's');
    const auto response =
        client.call({.method = "PUT", .url = "https://localhost/version", .body = body});
    ASSERT_TRUE(response.ok()) << response.error().message();
    EXPECT_EQ(response->body, "PUT:" + body);
    EXPECT_EQ(version_, is_h2 ? Version::kHttp2 : Version::kHttp11);
  }
}

TEST_F(Blocking, LargeBodies) {
  BlockingClient client;
  const std::string body(5'000'000, 'q');
  const auto response = client.call({.method = "PUT", .url = url("/x"), .body = body});
  ASSERT_TRUE(response.ok()) << response.error().message();
  EXPECT_EQ(response->body, "PUT:" + body);
}

TEST_F(Blocking, ErrorsBecomeStatuses) {
  BlockingClient client;
  const auto response = client.call({.url = url("/error")});
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "no such thing\n");
}

TEST_F(Blocking, TimesOut) {
  BlockingClient client;
  const auto response = client.call({.url = url("/never"), .timeout = milliseconds(30)});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code(), Code::kDeadlineExceeded);
}

TEST_F(Blocking, RefusedConnectionSaysSo) {
  const std::string gone = url("/x");
  stop();
  BlockingClient client;
  const auto response = client.call({.url = gone});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code(), Code::kUnavailable);
}

TEST_F(Blocking, RetriesWhenTheServerRestarted) {
  BlockingClient client;
  ASSERT_TRUE(client.call({.url = url("/x")}).ok());
  const auto address = address_;
  stop();
  start(address);
  const auto response = client.call({.url = url("/y")});
  ASSERT_TRUE(response.ok()) << response.error().message();
}

TEST_F(Blocking, StreamsUntilTold) {
  BlockingClient client;
  std::string seen;
  const auto response = client.stream(
      {.url = url("/endless")},
      [&](std::string_view bytes) {
        seen += bytes;
        return seen.size() < 18;
      },
      [] { return false; });
  ASSERT_TRUE(response.ok()) << response.error().message();
  EXPECT_EQ(seen, "chunk1chunk2chunk3");
  std::atomic<bool> is_over = false;
  const auto stopped = client.stream(
      {.url = url("/endless")},
      [&](std::string_view) {
        is_over = true;
        return true;
      },
      [&] { return is_over.load(); });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code(), Code::kCancelled);
}

TEST_F(Blocking, UpgradesToATunnel) {
  BlockingClient client;
  auto tunnel = client.upgrade({.url = url("/t")}, "echo");
  ASSERT_TRUE(tunnel.ok()) << tunnel.error().message();
  EXPECT_EQ((*tunnel)->response().status, 101);
  for (const std::string& text : {std::string("one"), std::string(3'000'000, 't')}) {
    std::thread writer([&] { EXPECT_TRUE((*tunnel)->write(text).ok()); });
    std::string back;
    while (back.size() < text.size()) {
      const auto part = (*tunnel)->read();
      ASSERT_TRUE(part.ok() && !part->empty());
      back += *part;
    }
    writer.join();
    EXPECT_EQ(back, text);
  }
}

TEST_F(Blocking, ConcurrentCallersShareTheClient) {
  BlockingClient client;
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string body = std::to_string(t * 1000 + i);
        const auto response = client.call({.method = "POST", .url = url("/x"), .body = body});
        if (response.ok() && response->body == "POST:" + body) ++good;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 400);
}

TEST_F(Blocking, UnixSockets) {
  stop();
  const std::string path =
      ::testing::TempDir() + "/lateen-http-" + std::to_string(::getpid()) + ".sock";
  start(net::Address::unix_path(path));
  BlockingClient client;
  const auto response = client.call({.method = "PUT", .url = "unix:" + path + ":/a", .body = "u"});
  ASSERT_TRUE(response.ok()) << response.error().message();
  EXPECT_EQ(response->body, "PUT:u");
  stop();
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace lateen::http
