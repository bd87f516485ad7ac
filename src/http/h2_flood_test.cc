// Floods over HTTP/2 that the standard allows frame by frame: each ends the connection, or costs no
// more than a bounded piece of memory and no work of the service.
#include <gtest/gtest.h>

#include "http/h2_frames_test_support.h"
#include "http/http_test_support.h"

namespace lateen::http::testing {
namespace {

std::string setting(char id, std::uint32_t value) {
  return std::string("\0", 1) + id + number(value);
}

// A body that never ends, and how much of it was asked for.
class Endless final : public BodySource {
 public:
  explicit Endless(std::size_t& taken) : taken_(taken) {}
  std::optional<Result<Chunk>> poll(Waker) override {
    taken_ += 16384;
    return Chunk{Buffer(std::string(16384, 'b')), false, std::nullopt};
  }

 private:
  std::size_t& taken_;
};

class H2Flood : public ::testing::Test {
 protected:
  H2Flood() {
    auto [near, far] = net::make_pipe(loop_, 1 << 22);
    peer_ = std::make_unique<RawPeer>(loop_, std::move(near));
    connection_ = serve(loop_, std::move(far), {}, service_, options_,
                        [this](ServerConnection&) { connection_.reset(); });
  }
  // Sends pieces until the connection ends; how many it took, or nullopt when `most` did not do.
  std::optional<int> sent_until_closed(const std::function<std::string(int)>& piece, int most) {
    peer_->send(kHello);
    for (int i = 0; i < most; ++i) {
      if (peer_->is_closed()) return i;
      peer_->send(piece(i));
    }
    return peer_->is_closed() ? std::optional(most) : std::nullopt;
  }
  static std::string many(int count, const std::string& piece) {
    std::string out;
    for (int i = 0; i < count; ++i) out += piece;
    return out;
  }

  event::SimLoop loop_;
  int calls_ = 0;
  bool is_endless_ = false;
  std::size_t taken_ = 0;
  std::vector<Done> waiting_;  // requests to /, kept unanswered
  bool is_holding_ = false;
  testing::Answering service_{[this](Exchange& exchange, Request, Done done) {
    ++calls_;
    if (is_holding_) return waiting_.push_back(std::move(done));
    if (!is_endless_) return done(Response::text(exchange.arena, 200, "b"));
    Response response(exchange.arena);
    response.status = 200;
    response.body = Body(std::make_unique<Endless>(taken_));
    done(std::move(response));
  }};
  ServerOptions options_;
  std::unique_ptr<RawPeer> peer_;
  std::unique_ptr<ServerConnection> connection_;
};

TEST_F(H2Flood, EmptyDataFrames) {
  is_holding_ = true;
  const std::string open = frame(kHeaders, kEndHeaders, 1, kPost);
  const std::string empty = many(1000, frame(kData, 0, 1));
  EXPECT_TRUE(sent_until_closed([&](int i) { return i == 0 ? open : empty; }, 20));
}

TEST_F(H2Flood, Priorities) {
  const std::string piece = many(1000, frame(kPriority, 0, 3, std::string("\0\0\0\0", 4) + '\x10'));
  EXPECT_TRUE(sent_until_closed([&](int) { return piece; }, 20));
}

TEST_F(H2Flood, WindowUpdates) {
  const std::string piece = many(1000, frame(kWindow, 0, 0, number(1)));
  EXPECT_TRUE(sent_until_closed([&](int) { return piece; }, 20));
}

TEST_F(H2Flood, SettingsThatChangeTheWindowBackAndForth) {
  const std::string piece = many(
      500, frame(kSettings, 0, 0, setting('\4', 1)) + frame(kSettings, 0, 0, setting('\4', 65535)));
  EXPECT_TRUE(sent_until_closed([&](int) { return piece; }, 20));
}

// The client makes the server reset its streams, so that they do not count as open (MadeYouReset).
TEST_F(H2Flood, ResetsThatTheServerIsMadeToSend) {
  is_holding_ = true;
  const auto piece = [](int i) {
    std::string out;
    for (int n = 0; n < 100; ++n) {
      const std::uint32_t id = 2 * static_cast<std::uint32_t>(100 * i + n) + 1;
      out += frame(kHeaders, kEndStream | kEndHeaders, id, kGet) +
             frame(kWindow, 0, id, number(0));  // a stream error
    }
    return out;
  };
  EXPECT_TRUE(sent_until_closed(piece, 100));
  EXPECT_LT(calls_, 2500);
}

TEST_F(H2Flood, ResetsBySizesThatLie) {
  is_holding_ = true;
  const auto piece = [](int i) {
    std::string out;
    for (int n = 0; n < 100; ++n) {
      const std::uint32_t id = 2 * static_cast<std::uint32_t>(100 * i + n) + 1;
      // content-length: 1, then two bytes
      out +=
          frame(kHeaders, kEndHeaders, id, std::string(kPost) + std::string("\x0f\x0d\x01") + "1") +
          frame(kData, 0, id, "ab");
    }
    return out;
  };
  EXPECT_TRUE(sent_until_closed(piece, 100));
  EXPECT_LT(calls_, 2500);
}

// Slow rapid reset: each stream reaches the service before it is reset.
TEST_F(H2Flood, ResetsOneByOne) {
  is_holding_ = true;
  const auto piece = [](int i) {
    const std::uint32_t id = 2 * static_cast<std::uint32_t>(i) + 1;
    return frame(kHeaders, kEndStream | kEndHeaders, id, kGet) + frame(kReset, 0, id, number(8));
  };
  EXPECT_TRUE(sent_until_closed(piece, 5000));
}

// One long field in the table, then two bytes that stand for it again and again.
TEST_F(H2Flood, HpackBombIsRefused) {
  peer_->send(kHello);
  const std::string value(3000, 'v');
  // Literal with incremental indexing: name "a", value of 3000 bytes (127 + 2873).
  std::string block = std::string(kGet) + std::string("\x40\x01") + "a" + "\x7f\xb9\x16" + value;
  block += std::string(10'000, '\xbe');  // index 62: the newest entry
  peer_->send(frame(kHeaders, kEndStream | kEndHeaders, 1, block));
  (void)peer_->receive();
  EXPECT_EQ(calls_, 0);
}

// The client takes nothing: what is made for it stays within the windows of the connection.
TEST_F(H2Flood, AClientThatTakesNothingFillsNoMemory) {
  is_endless_ = true;
  std::string bytes = kPreface + frame(kSettings, 0, 0, setting('\4', 0));
  for (std::uint32_t i = 0; i < 100; ++i)
    bytes += frame(kHeaders, kEndStream | kEndHeaders, 2 * i + 1, kGet);
  peer_->send(bytes);
  (void)peer_->receive();
  EXPECT_EQ(calls_, 100);
  EXPECT_LE(taken_, 100 * 16u * 1024);
  const std::size_t before = taken_;
  // Dribbling the window open moves no more than it opens.
  for (int i = 0; i < 200; ++i) peer_->send(frame(kWindow, 0, 1, number(1)));
  EXPECT_LE(taken_, before + 128u * 1024);
}

TEST_F(H2Flood, StreamsOverTheLimitAreRefused) {
  is_holding_ = true;
  peer_->send(kHello);
  std::string bytes;
  for (std::uint32_t i = 0; i < 150; ++i)
    bytes += frame(kHeaders, kEndStream | kEndHeaders, 2 * i + 1, kGet);
  peer_->send(bytes);
  EXPECT_LE(calls_, 100);
}

}  // namespace
}  // namespace lateen::http::testing
