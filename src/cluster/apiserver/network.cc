// See network.h. What crosses threads is a plain request and a plain response; everything of http/
// stays on the loop.
#include "cluster/apiserver/network.h"

#include <atomic>

#include "base/strings.h"
#include "cluster/apiserver/takeover.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::size_t kMostBodyBytes =
    3 * 1024 * 1024 + 512 * 1024;  // upstream's 3 MiB for JSON, and a little

// Pulls a ByteStream (watch, log) as an HTTP body.
class StreamBody final : public http::BodySource {
 public:
  StreamBody(event::Loop& loop, std::unique_ptr<ByteStream> stream)
      : loop_(loop),
        stream_(std::move(stream)),
        link_(std::make_shared<Link>()),
        tick_(loop, [this] { wake(); }) {
    link_->owner = this;
    link_->loop = &loop;
    stream_->on_more([link = link_] {
      if (link->is_posted.exchange(true)) return;
      link->loop->post([link] {
        link->is_posted = false;
        if (link->owner != nullptr) link->owner->wake();
      });
    });
  }
  ~StreamBody() override {
    link_->owner = nullptr;
    stream_ = nullptr;
  }

  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    auto taken = stream_->take();
    if (taken.bytes.empty() && !taken.is_end) {
      waker_ = waker;
      tick_.arm(stream_->tick_interval());
      return std::nullopt;
    }
    tick_.cancel();
    http::Chunk chunk;
    chunk.data.adopt(std::move(taken.bytes));
    chunk.is_last = taken.is_end;
    return Result<http::Chunk>(std::move(chunk));
  }

 private:
  // Outlives the body in posted tasks; `owner` is read on the loop only.
  struct Link {
    StreamBody* owner = nullptr;
    event::Loop* loop = nullptr;
    std::atomic<bool> is_posted = false;
  };
  void wake() {
    if (waker_.wake == nullptr) return;
    const http::Waker waker = waker_;
    waker_ = {};
    waker.wake(waker.context);
  }

  event::Loop& loop_;
  std::unique_ptr<ByteStream> stream_;
  std::shared_ptr<Link> link_;
  http::Waker waker_;
  event::Timer tick_;
};

ApiRequest to_api_request(const http::Exchange& exchange, const http::Request& request) {
  ApiRequest made;
  made.method = request.method;
  const auto question = request.path.find('?');
  made.path = request.path.substr(0, question);
  if (question != std::string_view::npos)
    made.query = parse_query(request.path.substr(question + 1));
  for (const auto& field : request.headers) {
    made.headers.emplace_back(to_lower(field.name), std::string(field.value));
  }
  made.upgrade = request.upgrade;
  made.remote = exchange.connection.remote.to_string();
  return made;
}

}  // namespace

ApiResponse serve_authenticated(Api& api, Authenticator& authenticator, ApiRequest& request,
                                const net::TlsInfo* tls) {
  auto user = authenticator.authenticate(tls, request.header("authorization"));
  if (!user.ok()) return ApiResponse::of(user.error());
  request.user = std::move(*user);
  return api.handle(request);
}

// A request in the pool. Owned by the exchange's scope until it completes; `token` tells a late
// completion that the exchange is gone.
struct NetworkService::Pending final : event::Scope::Operation {
  struct Token {
    bool is_alive = true;  // loop thread only
  };
  Pending(http::Exchange& exchange_in, http::Body tunnel_in, http::Done done_in)
      : Operation(exchange_in.scope),
        exchange(exchange_in),
        tunnel(std::move(tunnel_in)),
        done(std::move(done_in)) {}
  void cancel() override {
    token->is_alive = false;
    delete this;
  }
  void complete(ApiResponse answer) {
    token->is_alive = false;
    unlink();
    http::Response response(exchange.arena);
    response.status = answer.status;
    if (answer.takeover != nullptr) {
      response.headers.add("upgrade", answer.takeover->protocol());
      for (const auto& [name, value] : answer.takeover->headers())
        response.headers.add(name, value);
      response.body = answer.takeover->start(exchange.loop, std::move(tunnel));
    } else {
      response.headers.add("content-type", answer.content_type);
      for (const auto& [name, value] : answer.headers) response.headers.add(name, value);
      if (answer.stream != nullptr) {
        response.body =
            http::Body(std::make_unique<StreamBody>(exchange.loop, std::move(answer.stream)));
      } else {
        response.headers.add("content-length", std::to_string(answer.body.size()));
        response.body = http::Body::of(std::move(answer.body));
      }
    }
    http::Done finished = std::move(done);
    delete this;
    finished(std::move(response));
  }

  std::shared_ptr<Token> token = std::make_shared<Token>();
  http::Exchange& exchange;
  http::Body tunnel;
  http::Done done;
};

void NetworkService::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  ApiRequest made = to_api_request(exchange, request);
  if (!made.upgrade.empty()) {
    submit(exchange, std::move(made), std::move(request.body), std::move(done));
    return;
  }
  if (request.body.empty()) {
    submit(exchange, std::move(made), {}, std::move(done));
    return;
  }
  http::read_all(exchange.scope, exchange.loop, std::move(request.body), kMostBodyBytes,
                 [this, &exchange, made = std::make_unique<ApiRequest>(std::move(made)),
                  done = std::move(done)](Result<Buffer> body) mutable {
                   if (!body.ok()) {
                     const Status status{413, "RequestEntityTooLarge",
                                         "Request entity too large: limit is 3145728", Json()};
                     ApiResponse answer = ApiResponse::of(status);
                     http::Response response = http::Response::text(
                         exchange.arena, 413, std::move(answer.body), "application/json");
                     done(std::move(response));
                     return;
                   }
                   made->body = body->to_string();
                   submit(exchange, std::move(*made), {}, std::move(done));
                 });
}

void NetworkService::submit(http::Exchange& exchange, ApiRequest request, http::Body tunnel,
                            http::Done done) {
  auto* pending = new Pending(exchange, std::move(tunnel), std::move(done));
  // The connection may die while a worker runs: it works on a copy of what TLS learnt.
  auto tls = exchange.connection.tls != nullptr
                 ? std::make_unique<net::TlsInfo>(*exchange.connection.tls)
                 : nullptr;
  event::Loop& loop = exchange.loop;
  auto work = [this, pending, token = pending->token, &loop, tls = std::move(tls),
               made = std::make_unique<ApiRequest>(std::move(request))]() mutable {
    auto answer =
        std::make_unique<ApiResponse>(serve_authenticated(api_, authenticator_, *made, tls.get()));
    loop.post([pending, token, answer = std::move(answer)]() mutable {
      if (token->is_alive) pending->complete(std::move(*answer));
    });
  };
  if (!pool_.submit(std::move(work))) {
    pending->complete(ApiResponse::of(
        Status::too_many_requests("the server has too many requests under way", 1)));
  }
}

}  // namespace lateen::cluster::apiserver
