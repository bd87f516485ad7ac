// HTTP/2 against peers written in bare frames: floods, resets, GOAWAY, small windows.
#include <gtest/gtest.h>

#include "http/h2_frames_test_support.h"
#include "http/http_test_support.h"

namespace lateen::http::testing {
namespace {

// The payload of the first frame of `type`, when there is one.
std::optional<std::string> find_frame(std::string_view bytes, char type) {
  while (bytes.size() >= 9) {
    const std::size_t length = static_cast<unsigned char>(bytes[0]) << 16 |
                               static_cast<unsigned char>(bytes[1]) << 8 |
                               static_cast<unsigned char>(bytes[2]);
    if (bytes[3] == type) return std::string(bytes.substr(9, length));
    bytes.remove_prefix(std::min(bytes.size(), 9 + length));
  }
  return std::nullopt;
}

class H2Abuse : public ::testing::Test {
 protected:
  H2Abuse() {
    auto [near, far] = net::make_pipe(loop_, 1 << 22);
    peer_ = std::make_unique<RawPeer>(loop_, std::move(near));
    connection_ = serve(loop_, std::move(far), {}, service_, options_,
                        [this](ServerConnection&) { connection_.reset(); });
  }
  event::SimLoop loop_;
  int calls_ = 0;
  testing::Answering service_{[this](Exchange& exchange, Request, Done done) {
    ++calls_;
    done(Response::text(exchange.arena, 200, std::string(1000, 'b')));
  }};
  ServerOptions options_;
  std::unique_ptr<RawPeer> peer_;
  std::unique_ptr<ServerConnection> connection_;
};

TEST_F(H2Abuse, AnswersBareFrames) {
  peer_->send(kHello + frame(kHeaders, kEndStream | kEndHeaders, 1, kGet));
  const std::string answer = peer_->receive();
  EXPECT_EQ(find_frame(answer, kData), std::string(1000, 'b'));
  EXPECT_FALSE(peer_->is_closed());
}

TEST_F(H2Abuse, KeepsToThePeersWindow) {
  const std::string small_window = std::string("\0\4", 2) + number(10);
  peer_->send(kHello.substr(0, 24) + frame(kSettings, 0, 0, small_window) +
              frame(kHeaders, kEndStream | kEndHeaders, 1, kGet));
  EXPECT_EQ(find_frame(peer_->receive(), kData), std::string(10, 'b'));
}

TEST_F(H2Abuse, PingFloodEndsTheConnection) {
  std::string flood = kHello;
  for (int i = 0; i < 5000; ++i) flood += frame(kPing, 0, 0, "12345678");
  peer_->send(flood);
  EXPECT_TRUE(find_frame(peer_->receive(), kGoaway));
  EXPECT_TRUE(peer_->is_closed());
  EXPECT_EQ(connection_, nullptr);
}

TEST_F(H2Abuse, SettingsFloodEndsTheConnection) {
  std::string flood = kHello;
  for (int i = 0; i < 5000; ++i) flood += frame(kSettings, 0, 0);
  peer_->send(flood);
  EXPECT_TRUE(peer_->is_closed());
}

TEST_F(H2Abuse, RapidResetNeverReachesTheService) {
  std::string flood = kHello;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    flood += frame(kHeaders, kEndStream | kEndHeaders, 2 * i + 1, kGet);
    flood += frame(kReset, 0, 2 * i + 1, number(8));
  }
  peer_->send(flood);
  EXPECT_TRUE(peer_->is_closed());
  EXPECT_LT(calls_, 100);
}

TEST_F(H2Abuse, ContinuationFloodEndsTheConnection) {
  std::string flood = kHello + frame(kHeaders, 0, 1, kGet);
  for (int i = 0; i < 100; ++i)
    flood += frame(kContinuation, 0, 1,
                   std::string("\x40\x01"
                               "a\x01"
                               "b",
                               5));
  peer_->send(flood);
  EXPECT_TRUE(peer_->is_closed());
  EXPECT_EQ(calls_, 0);
}

TEST_F(H2Abuse, UppercaseNamesResetTheStream) {
  peer_->send(kHello + frame(kHeaders, kEndStream | kEndHeaders, 1,
                             std::string(kGet) + std::string("\x40\x01"
                                                             "A\x01"
                                                             "b",
                                                             5)));
  EXPECT_TRUE(find_frame(peer_->receive(), kReset));
  EXPECT_EQ(calls_, 0);
}

// A pool whose upstream is written in frames.
class H2Upstream : public ::testing::Test, public Connector {
 protected:
  class Borrowed final : public Connector {
   public:
    explicit Borrowed(H2Upstream& test) : test_(test) {}
    void connect(event::Scope& scope, milliseconds,
                 event::Completion<std::unique_ptr<net::Stream>> done) override {
      test_.connect(scope, milliseconds(0), std::move(done));
    }

   private:
    H2Upstream& test_;
  };
  void connect(event::Scope& scope, milliseconds,
               event::Completion<std::unique_ptr<net::Stream>> done) override {
    event::after(scope, loop_, nanoseconds(0), [this, done = std::move(done)] {
      auto [near, far] = net::make_pipe(loop_, 1 << 20);
      peer_ = std::make_unique<RawPeer>(loop_, std::move(far));
      done(std::move(near));
    });
  }
  // Calls; the upstream then says `frames`.
  CallResult call(std::string_view frames) {
    ClientOptions options;
    options.protocol = ClientOptions::Protocol::kHttp2;
    pool_ = make_client_pool(loop_, std::make_unique<Borrowed>(*this), options);
    Request request(exchange_.arena);
    request.method = "GET";
    request.path = "/";
    request.authority = "x";
    std::optional<CallResult> got;
    pool_->call(scope_, exchange_, std::move(request),
                [&](CallResult result) { got.emplace(std::move(result)); });
    loop_.run_for(milliseconds(5));
    peer_->send(frame(kSettings, 0, 0) + std::string(frames));
    loop_.run_for(milliseconds(5));
    EXPECT_TRUE(got.has_value());
    return got ? std::move(*got) : CallResult{};
  }
  event::SimLoop loop_;
  ConnectionInfo info_;
  Exchange exchange_{loop_, info_};
  std::unique_ptr<RawPeer> peer_;
  std::unique_ptr<ClientPool> pool_;
  event::Scope scope_;
};

TEST_F(H2Upstream, StreamsAboveGoawayAreSafeToRetry) {
  const CallResult result = call(frame(kGoaway, 0, 0, number(0) + number(0)));
  ASSERT_TRUE(result.error);
  EXPECT_TRUE(result.error->is_refused_stream);
  EXPECT_EQ(result.error->sent, Sent::kNothing);
}

TEST_F(H2Upstream, RefusedStreamIsSafeToRetry) {
  const CallResult result = call(frame(kReset, 0, 1, number(7)));
  ASSERT_TRUE(result.error);
  EXPECT_TRUE(result.error->is_refused_stream);
  EXPECT_EQ(result.error->sent, Sent::kNothing);
}

TEST_F(H2Upstream, OtherResetsAreNot) {
  const CallResult result = call(frame(kReset, 0, 1, number(2)));
  ASSERT_TRUE(result.error);
  EXPECT_TRUE(result.error->is_reset);
  EXPECT_FALSE(result.error->is_refused_stream);
  EXPECT_EQ(result.error->sent, Sent::kMaybe);
}

TEST_F(H2Upstream, BytesThatAreNoFramesBreakTheConnection) {
  const CallResult result = call("HTTP/1.1 400 Bad Request\r\n\r\n");
  ASSERT_TRUE(result.error);
  loop_.run_for(milliseconds(5));
  EXPECT_EQ(pool_->connection_count(), 0u);
}

TEST_F(H2Upstream, ResponseInFrames) {
  CallResult result =
      call(frame(kHeaders, kEndHeaders, 1, "\x88") + frame(kData, kEndStream, 1, "hi"));
  ASSERT_TRUE(result.response);
  EXPECT_EQ(result.response->status, 200);
  auto chunk = result.response->body.poll({});
  ASSERT_TRUE(chunk && chunk->ok());
  EXPECT_EQ((*chunk)->data.to_string(), "hi");
  EXPECT_TRUE((*chunk)->is_last);
}

}  // namespace
}  // namespace lateen::http::testing
