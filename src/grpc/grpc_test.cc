// gRPC server and client over HTTP/2 on a simulated loop, and the wire details that other
// implementations rely on.
#include <gtest/gtest.h>

#include "grpc/client.h"
#include "grpc/framing.h"
#include "grpc/server.h"
#include "http/http_test_support.h"

namespace lateen::grpc {
namespace {

class Grpc : public ::testing::Test {
 protected:
  Grpc() {
    service_.add("/t.T/Echo", [this](ServerCall& call) {
      ++calls_;
      metadata_ = call.metadata("x-key");
      CallEvents events;
      events.on_message = [&call](std::string message) { call.send("re:" + message); };
      events.on_half_close = [&call] { call.finish(Code::kOk, ""); };
      events.on_end = [this] { ++ends_; };
      return events;
    });
    service_.add("/t.T/Fail", [this](ServerCall& call) {
      call.finish(Code::kNotFound, "kein Gerät: 100% \"weg\"\n");
      CallEvents events;
      events.on_end = [this] { ++ends_; };
      return events;
    });
    service_.add("/t.T/FailLate", [this](ServerCall& call) {
      call.send("one");
      call.finish(Code::kAborted, "after one");
      CallEvents events;
      events.on_end = [this] { ++ends_; };
      return events;
    });
    service_.add("/t.T/Hang", [this](ServerCall& call) {
      hanging_ = &call;
      CallEvents events;
      events.on_end = [this] {
        ++ends_;
        hanging_ = nullptr;
      };
      return events;
    });
    http::ClientOptions options;
    options.protocol = http::ClientOptions::Protocol::kHttp2;
    auto connector =
        std::make_unique<http::testing::PipeConnector>(loop_, service_, server_options_);
    connector_ = connector.get();
    pool_ = http::make_client_pool(loop_, std::move(connector), options);
  }
  void settle() { loop_.run_for(milliseconds(5)); }
  std::unique_ptr<ClientCall> start(std::string path, Metadata metadata = {}) {
    ClientEvents events;
    events.on_message = [this](std::string message) { received_.push_back(std::move(message)); };
    events.on_end = [this](Status status) { status_ = std::move(status); };
    return start_call(loop_, *pool_, "t", std::move(path), std::move(metadata), std::move(events));
  }

  event::SimLoop loop_;
  http::ServerOptions server_options_;
  Service service_;
  http::testing::PipeConnector* connector_ = nullptr;
  std::unique_ptr<http::ClientPool> pool_;
  int calls_ = 0, ends_ = 0;
  std::string metadata_;
  ServerCall* hanging_ = nullptr;
  std::vector<std::string> received_;
  std::optional<Status> status_;
};

TEST_F(Grpc, BidirectionalStream) {
  auto call = start("/t.T/Echo", {{"x-key", "v"}});
  call->send("a");
  settle();
  EXPECT_EQ(received_, std::vector<std::string>{"re:a"});
  call->send("b");
  call->send("");
  settle();
  EXPECT_EQ(received_, (std::vector<std::string>{"re:a", "re:b", "re:"}));
  EXPECT_FALSE(status_);
  call->half_close();
  settle();
  ASSERT_TRUE(status_);
  EXPECT_EQ(status_->code, Code::kOk);
  EXPECT_EQ(metadata_, "v");
  EXPECT_EQ(ends_, 1);
}

TEST_F(Grpc, AServiceThatIsGoneHearsOfNoEnd) {
  for (const bool is_gone : {false, true}) {
    auto service = std::make_unique<Service>();
    int ends = 0;
    service->add("/t.T/Hang", [&ends](ServerCall&) {
      CallEvents events;
      events.on_end = [&ends] { ++ends; };
      return events;
    });
    http::ClientOptions options;
    options.protocol = http::ClientOptions::Protocol::kHttp2;
    auto pool = http::make_client_pool(
        loop_, std::make_unique<http::testing::PipeConnector>(loop_, *service, server_options_),
        options);
    auto call = start_call(loop_, *pool, "t", "/t.T/Hang", {}, {});
    call->send("a");
    settle();
    call.reset();
    pool.reset();  // and with it both ends of the connection
    if (is_gone) service.reset();
    settle();
    EXPECT_EQ(ends, is_gone ? 0 : 1);
  }
}

TEST_F(Grpc, Unary) {
  event::Scope scope;
  std::optional<Result<std::string>> reply;
  unary(scope, loop_, *pool_, "t", "/t.T/Echo", {}, std::string(300'000, 'u'), milliseconds(1000),
        [&](Result<std::string> r) { reply.emplace(std::move(r)); });
  EXPECT_FALSE(reply);
  settle();
  ASSERT_TRUE(reply && reply->ok());
  EXPECT_EQ(**reply, "re:" + std::string(300'000, 'u'));
}

TEST_F(Grpc, StatusTrailersOnly) {
  auto call = start("/t.T/Fail");
  settle();
  ASSERT_TRUE(status_);
  EXPECT_EQ(status_->code, Code::kNotFound);
  EXPECT_EQ(status_->message, "kein Gerät: 100% \"weg\"\n");
  EXPECT_EQ(ends_, 1);
}

TEST_F(Grpc, StatusAfterMessages) {
  auto call = start("/t.T/FailLate");
  settle();
  ASSERT_TRUE(status_);
  EXPECT_EQ(status_->code, Code::kAborted);
  EXPECT_EQ(status_->message, "after one");
  EXPECT_EQ(received_, std::vector<std::string>{"one"});
}

TEST_F(Grpc, UnknownMethod) {
  auto call = start("/t.T/Nope");
  settle();
  ASSERT_TRUE(status_);
  EXPECT_EQ(status_->code, Code::kUnimplemented);
}

TEST_F(Grpc, ClientCancelEndsTheCall) {
  auto call = start("/t.T/Hang");
  settle();
  ASSERT_NE(hanging_, nullptr);
  call.reset();
  settle();
  EXPECT_EQ(hanging_, nullptr);
  EXPECT_EQ(ends_, 1);
}

TEST_F(Grpc, DeadlineIsKeptOnBothSides) {
  event::Scope scope;
  std::optional<Result<std::string>> reply;
  unary(scope, loop_, *pool_, "t", "/t.T/Hang", {}, "x", milliseconds(100),
        [&](Result<std::string> r) { reply.emplace(std::move(r)); });
  settle();
  EXPECT_NE(hanging_, nullptr);
  loop_.run_for(milliseconds(200));
  ASSERT_TRUE(reply && !reply->ok());
  EXPECT_EQ(reply->error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(hanging_, nullptr);
}

TEST_F(Grpc, LostConnectionIsUnavailable) {
  auto call = start("/t.T/Hang");
  settle();
  connector_->servers.clear();
  settle();
  ASSERT_TRUE(status_);
  EXPECT_EQ(status_->code, Code::kUnavailable);
  EXPECT_EQ(ends_, 1);
}

TEST_F(Grpc, DrainedFires) {
  auto call = start("/t.T/Hang");
  settle();
  ASSERT_NE(hanging_, nullptr);
  int drained = 0;
  hanging_->on_drained([&] { ++drained; });
  hanging_->send(std::string(100'000, 'd'));
  hanging_->send(std::string(100'000, 'e'));
  settle();
  EXPECT_EQ(drained, 1);
  EXPECT_EQ(hanging_->pending_bytes(), 0u);
  EXPECT_EQ(received_.size(), 2u);
}

TEST_F(Grpc, NonGrpcRequestIsRefused) {
  http::ConnectionInfo info;
  http::Exchange exchange(loop_, info);
  http::Request request(exchange.arena);
  request.method = "GET";
  request.path = "/t.T/Echo";
  int status = 0;
  service_.handle(exchange, std::move(request),
                  [&](Result<http::Response> response) { status = response->status; });
  EXPECT_EQ(status, 415);
}

TEST(Framing, CutsMessagesAtAnyBoundary) {
  Buffer wire;
  append_frame(wire, "first");
  append_frame(wire, "");
  append_frame(wire, std::string(5000, 'x'));
  const std::string bytes = wire.to_string();
  EXPECT_EQ(bytes.substr(0, 10), std::string("\0\0\0\0\5first", 10));
  MessageReader reader(1 << 20);
  std::vector<std::string> messages;
  for (const char c : bytes) {
    reader.add(Buffer(std::string_view(&c, 1)));
    for (;;) {
      auto next = reader.next();
      ASSERT_TRUE(next.ok());
      if (!next->has_value()) break;
      messages.push_back(**next);
    }
  }
  EXPECT_EQ(messages, (std::vector<std::string>{"first", "", std::string(5000, 'x')}));
}

TEST(Framing, BoundsAndCompression) {
  MessageReader small(10);
  small.add(Buffer(std::string_view("\0\0\0\0\13", 5)));
  EXPECT_EQ(small.next().error().code(), Code::kResourceExhausted);
  MessageReader reader(10);
  reader.add(Buffer(std::string_view("\1\0\0\0\1x", 6)));
  EXPECT_EQ(reader.next().error().code(), Code::kUnimplemented);
}

TEST(Framing, Timeouts) {
  EXPECT_EQ(parse_timeout("250m"), milliseconds(250));
  EXPECT_EQ(parse_timeout("1H"), hours(1));
  EXPECT_EQ(parse_timeout("99999999S"), seconds(99999999));
  EXPECT_EQ(parse_timeout("123456789S"), std::nullopt);
  EXPECT_EQ(parse_timeout("5"), std::nullopt);
  EXPECT_EQ(parse_timeout("-5S"), std::nullopt);
  EXPECT_EQ(parse_timeout(format_timeout(seconds(30))), seconds(30));
  EXPECT_EQ(parse_timeout(format_timeout(hours(100))), hours(100));
}

TEST(Framing, Messages) {
  EXPECT_EQ(encode_message("a b%c\xc3\xa4"), "a b%25c%C3%A4");
  EXPECT_EQ(decode_message("a b%25c%C3%A4"), "a b%c\xc3\xa4");
  EXPECT_EQ(decode_message("50%zz%2"), "50%zz%2");
}

}  // namespace
}  // namespace lateen::grpc
