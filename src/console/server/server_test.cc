// Handlers on worker threads behind a real server: replies, bodies, trailers, and clients that
// leave.
#include "http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "console/server/api.h"
#include "console/server/grpc_unary.h"
#include "event/epoll_loop.h"
#include "http/blocking_client.h"

namespace lateen::console {
namespace {

class ServerTest : public testing::Test {
 protected:
  void start(Handler handler) {
    loop = event::make_epoll_loop(clock, seeded_random(1)).value();
    dispatcher = std::make_unique<Dispatcher>(workers, std::move(handler), 1024);
    auto fd = net::listen_on(net::Address::parse("127.0.0.1:0").value());
    ASSERT_TRUE(fd.ok());
    server = std::make_unique<http::Server>(*loop, std::move(fd).value(), *dispatcher);
    base = "http://" + server->address().to_string();
    thread = std::thread([this] { loop->run(); });
  }
  void TearDown() override {
    loop->stop();
    thread.join();
    server.reset();
  }
  Result<http::PlainResponse> call(std::string method, std::string path, std::string body = "") {
    http::PlainRequest request;
    request.method = std::move(method);
    request.url = base + path;
    request.body = std::move(body);
    request.timeout = milliseconds(5000);
    return client.call(request);
  }
  SystemClock clock;
  std::unique_ptr<Dispatcher> dispatcher;
  std::unique_ptr<event::Loop> loop;
  Workers workers{2};
  std::unique_ptr<http::Server> server;
  std::string base;
  std::thread thread;
  http::BlockingClient client;
};

TEST_F(ServerTest, HandsRequestsToTheHandler) {
  start([](const ApiRequest& request) {
    if (request.path == "/away") return ApiReply::redirect("/here");
    return ApiReply::text(request.method + " " + request.path + " " + request.get_or("q", "-") +
                          " " + request.body);
  });
  const auto reply = call("POST", "/a%20b?q=1&q=2", "text");
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.value().body, "POST /a b 1 text");
  EXPECT_EQ(call("GET", "/away").value().header("location"), "/here");
  EXPECT_EQ(call("POST", "/big", std::string(2000, 'x')).value().status, 413);
}

TEST_F(ServerTest, SurvivesClientsThatLeave) {
  std::atomic<int> entered = 0, finished = 0;
  std::atomic<bool> may_end = false;
  start([&](const ApiRequest& request) {
    if (request.path == "/slow") {
      ++entered;
      while (!may_end) std::this_thread::yield();
      ++finished;
    }
    return ApiReply::text("done");
  });
  http::PlainRequest request;
  request.url = base + "/slow";
  request.timeout = milliseconds(50);
  EXPECT_FALSE(client.call(request).ok());
  EXPECT_EQ(entered, 1);
  may_end = true;
  while (finished < 1) std::this_thread::yield();
  EXPECT_EQ(call("GET", "/quick").value().body, "done");
}

TEST(GrpcUnaryTest, WrapsAndUnwraps) {
  ApiRequest request;
  request.body = std::string("\0\0\0\0\3abc", 8);
  const auto echo = [](std::string_view message) {
    return Result<std::string>(std::string(message) + "!");
  };
  EXPECT_EQ(grpc_unary(request, echo).body, std::string("\0\0\0\0\4abc!", 9));
  request.body = std::string("\1\0\0\0\3abc", 8);
  EXPECT_EQ(grpc_unary(request, echo).trailers.at(0).second, "12");
  request.body = std::string("\0\0\0\0\4abc", 8);
  EXPECT_EQ(grpc_unary(request, echo).trailers.at(0).second, "3");
}

}  // namespace
}  // namespace lateen::console
