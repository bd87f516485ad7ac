// HTTP/1 server over an in-memory pipe, byte by byte as a client sees it.
#include <gtest/gtest.h>

#include "http/http_test_support.h"

namespace lateen::http {
namespace {

using testing::Answering;
using testing::RawPeer;

class H1Server : public ::testing::Test {
 protected:
  // Echoes "METHOD PATH BODY"; special paths have answers of their own.
  void handle(Exchange& exchange, Request request, Done done) {
    ++calls_;
    authority_ = request.authority;
    upgrade_ = request.upgrade;
    header_names_.clear();
    for (const auto& field : request.headers) header_names_ += std::string(field.name) + ",";
    if (request.path == "/stream") {
      Response response(exchange.arena);
      response.body = std::move(request.body);
      return done(std::move(response));
    }
    if (request.path == "/fields") {
      Response response(exchange.arena);
      response.headers.add(kept_.first, kept_.second);
      return done(std::move(response));
    }
    if (request.path == "/ignore") return done(Response::text(exchange.arena, 200, "ignored"));
    if (request.path == "/never") {
      held_ = std::move(done);
      return;
    }
    if (request.path == "/tunnel" || request.method == "CONNECT") {
      Response response(exchange.arena);
      response.status = request.method == "CONNECT" ? 200 : 101;
      response.body = std::move(request.body);
      return done(std::move(response));
    }
    std::string intro = std::string(request.method) + " " + std::string(request.path) + " ";
    read_all(exchange.scope, loop_, std::move(request.body), 1 << 20,
             [&exchange, intro, done = std::move(done)](Result<Buffer> body) mutable {
               if (!body.ok()) return done(std::move(body).error());
               done(Response::text(exchange.arena, 200, intro + body->to_string()));
             });
  }

  void connect(ServerOptions options = {}) {
    auto [near, far] = net::make_pipe(loop_);
    options.server_name = "";
    options_ = options;
    peer_ = std::make_unique<RawPeer>(loop_, std::move(near));
    connection_ = serve(loop_, std::move(far), {}, service_, options_,
                        [this](ServerConnection&) { connection_.reset(); });
  }
  // Sends and returns the answer without its date.
  std::string ask(std::string_view bytes) {
    if (peer_ == nullptr) connect();
    peer_->send(bytes);
    std::string answer = peer_->receive();
    for (std::size_t at; (at = answer.find("date: ")) != std::string::npos;) {
      answer.erase(at, answer.find("\r\n", at) + 2 - at);
    }
    return answer;
  }
  int status(std::string_view bytes) {
    peer_.reset();
    connection_.reset();
    const std::string answer = ask(bytes);
    return answer.size() > 12 ? std::atoi(answer.c_str() + 9) : 0;
  }

  event::SimLoop loop_;
  ServerOptions options_;
  Answering service_{
      [this](Exchange& e, Request r, Done d) { handle(e, std::move(r), std::move(d)); }};
  std::unique_ptr<RawPeer> peer_;
  std::unique_ptr<ServerConnection> connection_;
  int calls_ = 0;
  std::string authority_, upgrade_, header_names_;
  std::pair<std::string, std::string> kept_;  // the field that /fields answers with
  Done held_;
};

constexpr std::string_view kText = "content-type: text/plain; charset=utf-8\r\n";

TEST_F(H1Server, AnswersAndKeepsAlive) {
  const std::string answer =
      "HTTP/1.1 200 OK\r\n" + std::string(kText) + "content-length: 7\r\n\r\nGET /a ";
  EXPECT_EQ(ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), answer);
  EXPECT_EQ(ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), answer);
  EXPECT_FALSE(peer_->is_closed());
}

// A service that lets text of its client into a header must not let it write a second response.
TEST_F(H1Server, WritesNoFieldThatWouldBreakTheHead) {
  for (std::size_t length = 1; length <= 17; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      for (const char bad : {'\r', '\n', '\0'}) {
        std::string text(length, 'a');
        text[at] = bad;
        for (const bool is_name : {true, false}) {
          kept_ = is_name ? std::pair(text, std::string("v")) : std::pair(std::string("n"), text);
          ASSERT_EQ(ask("GET /fields HTTP/1.1\r\nHost: x\r\n\r\n"),
                    "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
              << length << " " << at << " " << static_cast<int>(bad);
        }
      }
    }
  }
  kept_ = {"X-Tab", "a\tb \x01\x7f\xff end of it"};
  EXPECT_EQ(ask("GET /fields HTTP/1.1\r\nHost: x\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nx-tab: " + kept_.second + "\r\ncontent-length: 0\r\n\r\n");
}

TEST_F(H1Server, ReadsHeadByteByByte) {
  for (const char c : std::string("\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r"))
    EXPECT_EQ(ask({&c, 1}), "");
  EXPECT_NE(ask("\n").find("GET /a "), std::string::npos);
}

TEST_F(H1Server, AnswersPipelinedRequestsInOrder) {
  const std::string answer = ask(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
      "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto one = answer.find("GET /1"), two = answer.find("POST /2 hi"),
             three = answer.find("GET /3");
  EXPECT_LT(one, two);
  EXPECT_LT(two, three);
  EXPECT_NE(three, std::string::npos);
  EXPECT_TRUE(peer_->is_closed());
}

TEST_F(H1Server, DecodesChunkedBodies) {
  EXPECT_NE(ask("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n")
                .find("POST /c abc0123456789"),
            std::string::npos);
  EXPECT_NE(ask("GET /d HTTP/1.1\r\nHost: x\r\n\r\n").find("GET /d"), std::string::npos);
}

TEST_F(H1Server, StreamsUnknownLengthChunkedWithTrailers) {
  EXPECT_EQ(ask("POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n");
}

TEST_F(H1Server, ClosesAfterUnknownLengthForHttp10) {
  EXPECT_EQ(ask("POST /stream HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"),
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nabc");
  EXPECT_NE(ask("GET /x HTTP/1.0\r\n\r\n").find("connection: close"), std::string::npos);
  EXPECT_TRUE(peer_->is_closed());
}

TEST_F(H1Server, RefusesAmbiguousMessages) {
  const auto get = [](std::string fields) {
    return "POST / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
  };
  EXPECT_EQ(status(get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(status(get("Content-Length: 1\r\nContent-Length: 2\r\n")), 400);
  EXPECT_EQ(status(get("Content-Length: +1\r\n")), 400);
  EXPECT_EQ(status(get("Content-Length: 1, 1\r\n")), 400);
  EXPECT_EQ(status(get("Content-Length: 99999999999999999999\r\n")), 400);
  EXPECT_EQ(status(get("Transfer-Encoding: gzip, chunked\r\n")), 501);
  EXPECT_EQ(status(get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), 501);
  EXPECT_EQ(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status(get("A : 1\r\n")), 400);
  EXPECT_EQ(status(get("A: 1\r\n folded\r\n")), 400);
  EXPECT_EQ(status(get("A\r\n")), 400);
  EXPECT_EQ(status(get(": 1\r\n")), 400);
  EXPECT_EQ(status(get(std::string("A: b\0c\r\n", 8))), 400);
  EXPECT_EQ(status(get("A: b\rc\r\n")), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\nHost: x\n\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(status("G@T / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / a HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status("GET a HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status(get("Content-Length: 0\r\nContent-Length: 0\r\n")), 400);
  EXPECT_EQ(status("get / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status("xGET / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status("PRI / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  for (const auto host : {"<x>", "u@x", "x\xff", "a,b", "a\"b"})
    EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n"), 400) << host;
  for (const auto name : {"host", ":authority", ":path", "x-forwarded-for", "X-Forwarded-Proto"})
    EXPECT_EQ(status(get("Connection: " + std::string(name) + "\r\n")), 400) << name;
  std::string names = "Connection: close";
  for (int i = 0; i < 100; ++i) names += ", x";
  EXPECT_EQ(status(get(names + "\r\n")), 400);
  EXPECT_EQ(calls_, 0);
}

TEST_F(H1Server, RefusesMalformedChunks) {
  const auto chunked = [](std::string body) {
    return "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body;
  };
  EXPECT_EQ(status(chunked("g\r\n")), 400);
  EXPECT_EQ(status(chunked("ffffffffffffffffff\r\n")), 400);
  EXPECT_EQ(status(chunked("3\r\nabcd\r\n")), 400);
  EXPECT_EQ(status(chunked("3\nabc")), 400);
  EXPECT_EQ(status(chunked("-3\r\n")), 400);
  EXPECT_EQ(status(chunked("3 \r\nabc\r\n")), 400);
  EXPECT_EQ(status(chunked("0\r\nbad field\r\n\r\n")), 400);
  std::string flood;
  for (int i = 0; i < 200; ++i) flood += "1;" + std::string(200, 'x') + "\r\na\r\n";
  EXPECT_EQ(status(chunked(flood)), 400);
}

TEST_F(H1Server, BoundsHeaders) {
  ServerOptions options;
  options.max_header_bytes = 1024;
  options.max_header_count = 5;
  connect(options);
  EXPECT_NE(ask("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(2000, 'a')).find(" 431 "),
            std::string::npos);
  connect(options);
  EXPECT_NE(ask("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n\r\n")
                .find(" 431 "),
            std::string::npos);
}

TEST_F(H1Server, SendsContinueWhenTheBodyIsRead) {
  EXPECT_EQ(ask("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"),
            "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_NE(ask("ok").find("POST /c ok"), std::string::npos);
  const std::string refused =
      ask("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(refused.find("100 Continue"), std::string::npos);
  EXPECT_NE(refused.find("connection: close"), std::string::npos);
}

TEST_F(H1Server, DiscardsAnUnreadBodyAndGoesOn) {
  EXPECT_NE(
      ask("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234").find("ignored"),
      std::string::npos);
  EXPECT_NE(ask("56789GET /next HTTP/1.1\r\nHost: x\r\n\r\n").find("GET /next"), std::string::npos);
}

TEST_F(H1Server, DiscardsChunksThatStopAnywhere) {
  const std::string chunks = "5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n";
  for (std::size_t cut = 0; cut < chunks.size(); ++cut) {
    EXPECT_NE(ask("POST /ignore HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                  chunks.substr(0, cut))
                  .find("ignored"),
              std::string::npos)
        << cut;
    EXPECT_NE(ask(chunks.substr(cut) + "GET /next HTTP/1.1\r\nHost: x\r\n\r\n").find("GET /next"),
              std::string::npos)
        << cut;
  }
}

TEST_F(H1Server, HeadAndBodilessStatuses) {
  const std::string answer = ask("HEAD /ignore HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(answer.find("content-length: 7\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST_F(H1Server, AbsoluteFormReplacesHost) {
  EXPECT_NE(ask("GET http://other:81/p?q HTTP/1.1\r\nHost: x\r\n\r\n").find("GET /p?q "),
            std::string::npos);
  EXPECT_EQ(authority_, "other:81");
}

TEST_F(H1Server, DropsHopByHopFields) {
  ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: x-own, keep-alive\r\nX-Own: 1\r\nKeep-Alive: 5\r\n"
      "TE: gzip, trailers\r\nUpgrade: foo\r\nProxy-Connection: a\r\nX-End: 1\r\n\r\n");
  EXPECT_EQ(header_names_, "X-End,te,");
  EXPECT_EQ(upgrade_, "");
}

TEST_F(H1Server, TunnelsAfterUpgrade) {
  EXPECT_EQ(
      ask("GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly"),
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: Upgrade\r\n\r\nearly");
  EXPECT_EQ(ask("more"), "more");
  peer_->shut();
  EXPECT_TRUE(peer_->is_closed());
  EXPECT_EQ(connection_, nullptr);
}

TEST_F(H1Server, IgnoresUpgradeThatTheServiceDeclines) {
  EXPECT_NE(ask("GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
                .find("200 OK"),
            std::string::npos);
  EXPECT_NE(ask("GET /ignore HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n")
                .find("ignored"),
            std::string::npos);
  EXPECT_NE(ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").find("GET /x"), std::string::npos);
}

TEST_F(H1Server, TunnelsConnect) {
  EXPECT_EQ(ask("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(authority_, "h:443");
  EXPECT_EQ(ask("abc"), "abc");
}

TEST_F(H1Server, PeerThatLeavesCancelsTheExchange) {
  connect();
  ask("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(calls_, 1);
  peer_->reset();
  EXPECT_EQ(connection_, nullptr);
  Arena arena;
  held_(Response::text(arena, 200, "late"));  // Does nothing.
}

TEST_F(H1Server, DrainFinishesWhatIsUnderWay) {
  connect();
  ask("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
  connection_->drain();
  Arena arena;
  held_(Response::text(arena, 200, "done"));
  EXPECT_NE(ask("").find("connection: close"), std::string::npos);
  EXPECT_TRUE(peer_->is_closed());
}

TEST_F(H1Server, Timeouts) {
  ServerOptions options;
  options.header_timeout = milliseconds(100);
  options.idle_timeout = milliseconds(500);
  options.stream_idle_timeout = milliseconds(300);
  connect(options);
  ask("GET / HT");
  loop_.run_for(milliseconds(150));
  EXPECT_NE(ask("").find(" 408 "), std::string::npos);
  connect(options);
  ask("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
  loop_.run_for(milliseconds(350));
  EXPECT_NE(ask("").find(" 408 "), std::string::npos);
  connect(options);
  ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  loop_.run_for(milliseconds(600));
  EXPECT_TRUE(peer_->is_closed());
}

TEST_F(H1Server, LargeBodiesFlowThrough) {
  connect();
  std::string body(3'000'000, 'x');
  for (std::size_t i = 0; i < body.size(); i += 7) body[i] = static_cast<char>('a' + i % 26);
  const std::string head =
      "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n";
  const std::string answer = ask(head + body);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n" + body));
}

}  // namespace
}  // namespace lateen::http
