// The stream keeps the exchange that it lives in.

#include "proxy/network/tunnel.h"

#include "proxy/network/body_stream.h"
#include "proxy/stream/forwarding_stream.h"

namespace lateen::proxy {
namespace {

class TunnelStream final : public ForwardingStream {
 public:
  TunnelStream(event::Loop& loop, std::unique_ptr<BodyStream> inner)
      : ForwardingStream(std::move(inner)), exchange_(loop, info_) {}
  BodyStream& bodies() { return static_cast<BodyStream&>(*inner_); }
  http::Exchange& exchange() { return exchange_; }
  event::Scope& scope() { return scope_; }

 private:
  http::ConnectionInfo info_;
  http::Exchange exchange_;
  event::Scope scope_;  // last: the call goes first
};

// From the request to its answer.
class Opening final : public event::Scope::Operation {
 public:
  Opening(event::Scope& owner, event::Loop& loop,
          event::Completion<std::unique_ptr<net::Stream>> done)
      : Operation(owner),
        loop_(loop),
        done_(std::move(done)),
        stream_(std::make_unique<TunnelStream>(
            loop, std::make_unique<BodyStream>(loop, net::Address(), net::Address()))) {}

  void start(http::ClientPool& pool, const TunnelRequest& from) {
    Arena& arena = stream_->exchange().arena;
    http::Request request(arena);
    request.method = from.is_post ? "POST" : "CONNECT";
    request.authority = arena.copy(from.authority);
    request.version = http::Version::kHttp2;
    if (from.is_post) {
      request.path = arena.copy(from.path.empty() ? "/" : from.path);
      request.scheme = "http";
    }
    for (const auto& [name, value] : from.headers) request.headers.add(name, value);
    request.body = stream_->bodies().outgoing();
    pool.call(stream_->scope(), stream_->exchange(), std::move(request),
              [this](http::CallResult result) { on_result(std::move(result)); });
  }

 private:
  ~Opening() override = default;
  void cancel() override { delete this; }

  void on_result(http::CallResult result) {
    unlink();
    auto done = std::move(done_);
    auto stream = std::move(stream_);
    // Our callback is on the stack.
    loop_.defer([this] { delete this; });
    if (result.error) {
      loop_.defer([held = std::shared_ptr<TunnelStream>(std::move(stream))] {});
      return done(std::move(result.error->error));
    }
    const int status = result.response->status;
    if (status < 200 || status > 299) {
      loop_.defer([held = std::shared_ptr<TunnelStream>(std::move(stream))] {});
      return done(unavailable("the tunnel was refused with status " + std::to_string(status),
                              Blame::kUpstream));
    }
    stream->bodies().set_incoming(std::move(result.response->body));
    done(std::unique_ptr<net::Stream>(std::move(stream)));
  }

  event::Loop& loop_;
  event::Completion<std::unique_ptr<net::Stream>> done_;
  std::unique_ptr<TunnelStream> stream_;
};

}  // namespace

void open_tunnel(event::Scope& scope, event::Loop& loop, http::ClientPool& pool,
                 const TunnelRequest& request,
                 event::Completion<std::unique_ptr<net::Stream>> done) {
  auto* opening = new Opening(scope, loop, std::move(done));
  opening->start(pool, request);
}

}  // namespace lateen::proxy
