// Server and client pool against each other on a simulated loop: every case runs over HTTP/1 and
// over HTTP/2.
#include <gtest/gtest.h>

#include "http/client.h"
#include "http/http_test_support.h"

namespace lateen::http {
namespace {

using Protocol = ClientOptions::Protocol;
using testing::PipeConnector;

// A body fed by hand.
class Feed {
 public:
  class Source final : public BodySource {
   public:
    explicit Source(Feed& feed) : feed_(feed) {}
    ~Source() override { feed_.is_dropped = true; }
    std::optional<Result<Chunk>> poll(Waker waker) override {
      if (!feed_.next_) {
        feed_.waker_ = waker;
        return std::nullopt;
      }
      return std::exchange(feed_.next_, std::nullopt);
    }

   private:
    Feed& feed_;
  };
  Body body() { return Body(std::make_unique<Source>(*this)); }
  void give(Result<Chunk> chunk) {
    next_.emplace(std::move(chunk));
    const Waker waker = std::exchange(waker_, {});
    if (waker.wake != nullptr) waker.wake(waker.context);
  }
  bool is_dropped = false;

 private:
  std::optional<Result<Chunk>> next_;
  Waker waker_{};
};

struct Client {
  explicit Client(event::Loop& loop) : exchange(loop, info) {}
  ConnectionInfo info;
  Exchange exchange;
  std::optional<CallResult> result;
  std::optional<Result<Buffer>> body;
  event::Scope scope;
};

class Protocols : public ::testing::TestWithParam<Protocol> {
 protected:
  Protocols() {
    server_options_.is_extended_connect_allowed = true;
    server_options_.server_name = "";
    client_options_.protocol = GetParam();
    remake();
  }
  void remake() {
    pool_.reset();
    auto connector = std::make_unique<PipeConnector>(loop_, service_, server_options_);
    connector_ = connector.get();
    pool_ = make_client_pool(loop_, std::move(connector), client_options_);
  }
  bool is_h2() const { return GetParam() == Protocol::kHttp2; }

  std::unique_ptr<Client> send(std::string_view path, Body body = {},
                               std::string_view method = "GET", std::string_view upgrade = {}) {
    auto client = std::make_unique<Client>(loop_);
    Request request(client->exchange.arena);
    request.method = method;
    request.path = path;
    request.scheme = "http";
    request.authority = "test.local";
    request.upgrade = upgrade;
    request.headers.add("X-Mixed", "Case");
    request.body = std::move(body);
    pool_->call(client->scope, client->exchange, std::move(request),
                [c = client.get()](CallResult result) { c->result.emplace(std::move(result)); });
    EXPECT_FALSE(client->result.has_value());
    return client;
  }
  std::string body_of(Client& client) {
    if (!client.result || !client.result->response) return "no response";
    read_all(client.scope, loop_, std::move(client.result->response->body), 100 << 20,
             [&](Result<Buffer> body) { client.body.emplace(std::move(body)); });
    settle();
    if (!client.body) return "unfinished";
    return client.body->ok() ? (*client.body)->to_string()
                             : "error: " + client.body->error().message();
  }
  void settle() { loop_.run_for(milliseconds(5)); }

  event::SimLoop loop_;
  ServerOptions server_options_;
  ClientOptions client_options_;
  Function<void(Exchange&, Request, Done)> handle_ = [this](Exchange& exchange, Request request,
                                                            Done done) {
    last_authority_ = request.authority;
    last_header_ = request.headers.get("x-mixed").value_or("");
    Response response(exchange.arena);
    response.headers.add("X-Path", request.path);
    if (request.upgrade == "echo") response.status = 101;
    response.body = std::move(request.body);
    done(std::move(response));
  };
  testing::Answering service_{
      [this](Exchange& e, Request r, Done d) { handle_(e, std::move(r), std::move(d)); }};
  PipeConnector* connector_ = nullptr;
  std::unique_ptr<ClientPool> pool_;
  std::string last_authority_, last_header_;
};

TEST_P(Protocols, RoundTrip) {
  auto client = send("/a?b=c");
  settle();
  ASSERT_TRUE(client->result && client->result->response);
  EXPECT_EQ(client->result->response->status, 200);
  EXPECT_EQ(client->result->response->headers.get("x-path"), "/a?b=c");
  EXPECT_EQ(body_of(*client), "");
  EXPECT_EQ(last_authority_, "test.local");
  EXPECT_EQ(last_header_, "Case");
}

TEST_P(Protocols, ReusesConnections) {
  for (int i = 0; i < 5; ++i) {
    auto client = send("/", Body::of(std::string("hello")), "POST");
    settle();
    EXPECT_EQ(body_of(*client), "hello");
  }
  EXPECT_EQ(connector_->connects, 1);
  EXPECT_EQ(pool_->connection_count(), 1u);
  EXPECT_EQ(pool_->active_count(), 0u);
}

TEST_P(Protocols, ConcurrentCalls) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(send("/", Body::of(std::to_string(i)), "POST"));
  settle();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(body_of(*clients[i]), std::to_string(i));
  EXPECT_EQ(connector_->connects, is_h2() ? 1 : 20);
}

TEST_P(Protocols, WaitsForAConnectionWhenAllAreBusy) {
  client_options_.max_connections = 1;
  client_options_.max_concurrent_streams = 1;
  client_options_.max_pending = 2;
  remake();
  auto a = send("/", Body::of(std::string("a")), "POST");
  auto b = send("/", Body::of(std::string("b")), "POST");
  auto c = send("/", Body::of(std::string("c")), "POST");
  settle();
  ASSERT_TRUE(c->result && c->result->error);
  EXPECT_EQ(c->result->error->error.code(), Code::kResourceExhausted);
  EXPECT_EQ(body_of(*a), "a");
  settle();
  EXPECT_EQ(body_of(*b), "b");
  EXPECT_EQ(connector_->connects, 1);
}

TEST_P(Protocols, LargeBodiesBothWays) {
  std::string large(2'000'000, ' ');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i * 7 % 26);
  auto client = send("/", Body::of(std::string(large)), "POST");
  settle();
  EXPECT_EQ(body_of(*client), large);
}

TEST_P(Protocols, StreamsWithTrailers) {
  Feed feed;
  auto client = send("/", feed.body(), "POST");
  settle();
  ASSERT_TRUE(client->result && client->result->response);
  Body body = std::move(client->result->response->body);
  bool is_woken = false;
  const Waker waker{[](void* flag) { *static_cast<bool*>(flag) = true; }, &is_woken};
  EXPECT_FALSE(body.poll(waker));
  feed.give(Chunk{Buffer("first"), false, std::nullopt});
  settle();
  EXPECT_TRUE(is_woken);
  auto first = body.poll(waker);
  ASSERT_TRUE(first && first->ok());
  EXPECT_EQ((*first)->data.to_string(), "first");
  EXPECT_FALSE((*first)->is_last);
  Arena arena;
  Headers trailers(arena);
  trailers.add("X-End", "yes");
  feed.give(Chunk{Buffer("second"), true, trailers});
  settle();
  std::string rest;
  for (;;) {
    auto next = body.poll(waker);
    ASSERT_TRUE(next && next->ok());
    rest += (*next)->data.to_string();
    if (!(*next)->is_last) continue;
    ASSERT_TRUE((*next)->trailers);
    EXPECT_EQ((*next)->trailers->get("x-end"), "yes");
    break;
  }
  EXPECT_EQ(rest, "second");
}

TEST_P(Protocols, ConnectFailureIsTold) {
  connector_->is_refusing = true;
  auto a = send("/");
  auto b = send("/");
  settle();
  for (Client* client : {a.get(), b.get()}) {
    ASSERT_TRUE(client->result && client->result->error);
    EXPECT_TRUE(client->result->error->is_connect_failure);
    EXPECT_EQ(client->result->error->sent, Sent::kNothing);
  }
}

TEST_P(Protocols, ServerThatDiesIsAReset) {
  Done held;
  handle_ = [&](Exchange&, Request, Done done) { held = std::move(done); };
  auto client = send("/");
  settle();
  connector_->servers.clear();
  settle();
  ASSERT_TRUE(client->result && client->result->error);
  EXPECT_TRUE(client->result->error->is_reset);
  EXPECT_EQ(client->result->error->sent, Sent::kMaybe);
  EXPECT_EQ(pool_->connection_count(), 0u);
}

TEST_P(Protocols, IdleConnectionThatDiedIsNotUsed) {
  auto client = send("/");
  settle();
  connector_->servers.clear();
  settle();
  auto again = send("/x");
  settle();
  ASSERT_TRUE(again->result && again->result->response);
  EXPECT_EQ(connector_->connects, 2);
}

TEST_P(Protocols, CancelReachesTheServer) {
  Exchange* seen = nullptr;
  bool is_cancelled = false;
  struct Witness final : ExchangeState {
    explicit Witness(bool& flag) : flag(flag) {}
    ~Witness() override { flag = true; }
    bool& flag;
  };
  Done held;
  handle_ = [&](Exchange& exchange, Request, Done done) {
    seen = &exchange;
    exchange.state = std::make_unique<Witness>(is_cancelled);
    held = std::move(done);
  };
  auto client = send("/");
  settle();
  ASSERT_NE(seen, nullptr);
  client.reset();
  settle();
  EXPECT_TRUE(is_cancelled);
}

TEST_P(Protocols, DroppedResponseBodyStopsTheServer) {
  Feed feed;
  handle_ = [&](Exchange& exchange, Request, Done done) {
    Response response(exchange.arena);
    response.body = feed.body();
    done(std::move(response));
  };
  auto client = send("/");
  settle();
  ASSERT_TRUE(client->result && client->result->response);
  client->result->response->body = Body();
  settle();
  EXPECT_TRUE(feed.is_dropped);
}

TEST_P(Protocols, FailingResponseBodyIsAnError) {
  Feed feed;
  handle_ = [&](Exchange& exchange, Request, Done done) {
    Response response(exchange.arena);
    response.body = feed.body();
    done(std::move(response));
  };
  auto client = send("/");
  settle();
  feed.give(internal("the disk is on fire"));
  EXPECT_TRUE(body_of(*client).starts_with("error: "));
}

TEST_P(Protocols, FailingRequestBodyFailsTheCall) {
  Feed feed;
  handle_ = [&](Exchange& exchange, Request request, Done done) {
    read_all(exchange.scope, loop_, std::move(request.body), 1000,
             [&exchange, done = std::move(done)](Result<Buffer> body) {
               done(Response::text(exchange.arena, body.ok() ? 200 : 400, "read"));
             });
  };
  auto client = send("/", feed.body(), "POST");
  settle();
  feed.give(internal("the disk is on fire"));
  settle();
  ASSERT_TRUE(client->result && client->result->error);
  EXPECT_FALSE(client->result->error->is_reset);
}

TEST_P(Protocols, BackPressureReachesTheSender) {
  std::string piece(16384, 'p');
  struct Endless final : BodySource {
    std::optional<Result<Chunk>> poll(Waker) override {
      sent += 16384;
      return Chunk{Buffer(std::string(16384, 'p')), false, std::nullopt};
    }
    explicit Endless(std::size_t& sent) : sent(sent) {}
    std::size_t& sent;
  };
  std::size_t sent = 0;
  handle_ = [&](Exchange& exchange, Request, Done done) {
    Response response(exchange.arena);
    response.body = Body(std::make_unique<Endless>(sent));
    done(std::move(response));
  };
  auto client = send("/");
  settle();
  ASSERT_TRUE(client->result && client->result->response);
  const std::size_t before = sent;
  EXPECT_LT(before, 1'500'000u);
  settle();
  EXPECT_EQ(sent, before);  // Nobody reads.
  std::size_t got = 0;
  for (int i = 0; i < 50; ++i) {
    auto next = client->result->response->body.poll({[](void*) {}, nullptr});
    if (next && next->ok()) got += (*next)->data.size();
    settle();
  }
  EXPECT_GT(got, before);
}

TEST_P(Protocols, Interim) {
  handle_ = [&](Exchange& exchange, Request, Done done) {
    Headers hints(exchange.arena);
    hints.add("link", "</a>");
    exchange.send_interim(103, hints);
    done(Response::text(exchange.arena, 200, "final"));
  };
  std::string interim;
  auto client = std::make_unique<Client>(loop_);
  client->exchange.send_interim = [&](int status, const Headers& headers) {
    interim += std::to_string(status) + std::string(headers.get("link").value_or(""));
  };
  Request request(client->exchange.arena);
  request.method = "GET";
  request.path = "/";
  request.scheme = "http";
  request.authority = "x";
  pool_->call(client->scope, client->exchange, std::move(request),
              [c = client.get()](CallResult result) { c->result.emplace(std::move(result)); });
  settle();
  EXPECT_EQ(body_of(*client), "final");
  EXPECT_EQ(interim, "103</a>");
}

TEST_P(Protocols, UpgradeTunnels) {
  if (is_h2()) {  // Its SETTINGS must have arrived.
    auto first = send("/");
    settle();
  }
  Feed feed;
  auto client = send("/chat", feed.body(), "GET", "echo");
  settle();
  ASSERT_TRUE(client->result && client->result->response);
  EXPECT_EQ(client->result->response->status, 101);
  Body body = std::move(client->result->response->body);
  feed.give(Chunk{Buffer("ping"), false, std::nullopt});
  settle();
  auto back = body.poll({[](void*) {}, nullptr});
  ASSERT_TRUE(back && back->ok());
  EXPECT_EQ((*back)->data.to_string(), "ping");
  feed.give(Chunk{Buffer("end"), true, std::nullopt});
  settle();
  std::string rest;
  for (int i = 0; i < 5; ++i) {
    auto next = body.poll({[](void*) {}, nullptr});
    ASSERT_TRUE(next && next->ok());
    rest += (*next)->data.to_string();
    if ((*next)->is_last) break;
  }
  EXPECT_EQ(rest, "end");
}

TEST_P(Protocols, HeadHasNoBody) {
  handle_ = [&](Exchange& exchange, Request, Done done) {
    done(Response::text(exchange.arena, 200, "twelve bytes"));
  };
  auto client = send("/", {}, "HEAD");
  settle();
  ASSERT_TRUE(client->result && client->result->response);
  EXPECT_EQ(client->result->response->headers.get("content-length"), "12");
  EXPECT_EQ(body_of(*client), "");
}

TEST_P(Protocols, HeaderLimits) {
  server_options_.max_header_bytes = 2000;
  remake();
  const std::string path = "/" + std::string(4000, 'x');
  auto client = send(path);
  settle();
  ASSERT_TRUE(client->result && client->result->response);
  EXPECT_EQ(client->result->response->status, 431);
}

TEST_P(Protocols, ServerDrainLetsCallsFinish) {
  Done held;
  Exchange* exchange = nullptr;
  handle_ = [&](Exchange& e, Request, Done done) {
    exchange = &e;
    held = std::move(done);
  };
  auto client = send("/");
  settle();
  connector_->servers.begin()->second->drain();
  settle();
  held(Response::text(exchange->arena, 200, "late"));
  EXPECT_EQ(body_of(*client).substr(0, 4), "no r");  // Not dispatched yet.
  settle();
  EXPECT_EQ(body_of(*client), "late");
  loop_.run_for(seconds(2));
  EXPECT_TRUE(connector_->servers.empty());
  EXPECT_EQ(pool_->connection_count(), 0u);
  handle_ = [&](Exchange& e, Request, Done done) { done(Response::text(e.arena, 200, "new")); };
  auto next = send("/");
  settle();
  EXPECT_EQ(body_of(*next), "new");
}

TEST_P(Protocols, PoolDrainAndIdleTimeout) {
  client_options_.idle_timeout = milliseconds(1000);
  remake();
  auto client = send("/");
  settle();
  EXPECT_EQ(pool_->connection_count(), 1u);
  loop_.run_for(seconds(3));
  EXPECT_EQ(pool_->connection_count(), 0u);
  auto second = send("/");
  settle();
  pool_->drain();
  settle();
  EXPECT_EQ(pool_->connection_count(), 0u);
}

TEST_P(Protocols, PoolMayDieInACompletion) {
  auto client = std::make_unique<Client>(loop_);
  Request request(client->exchange.arena);
  request.method = "GET";
  request.path = "/";
  request.scheme = "http";
  request.authority = "x";
  bool is_told = false;
  pool_->call(client->scope, client->exchange, std::move(request), [&](CallResult) {
    is_told = true;
    pool_.reset();
  });
  settle();
  EXPECT_TRUE(is_told);
}

INSTANTIATE_TEST_SUITE_P(Http, Protocols, ::testing::Values(Protocol::kHttp1, Protocol::kHttp2),
                         [](const auto& info) {
                           return info.param == Protocol::kHttp1 ? "H1" : "H2";
                         });

}  // namespace
}  // namespace lateen::http
