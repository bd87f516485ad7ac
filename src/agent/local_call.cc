// A pool of one connection for one exchange, all owned by one operation.
#include "agent/local_call.h"

#include "tls/context.h"

namespace lateen::agent {
namespace {

class Call final : public event::Scope::Operation {
 public:
  Call(event::Scope& scope, event::Loop& loop, LocalCall call, event::Completion<LocalReply> done)
      : Operation(scope),
        loop_(loop),
        call_(std::move(call)),
        done_(std::move(done)),
        exchange_(loop, connection_),
        timer_(loop, [this] {
          finish(Error(Code::kDeadlineExceeded, call_.method + " " + call_.path + ": timed out"));
        }) {}

  void start() {
    std::shared_ptr<const tls::Context> tls;
    if (call_.is_tls) {
      tls::Options options;
      options.is_untrusted_accepted = true;
      auto context = tls::Context::make(tls::Context::Role::kClient, options);
      if (!context) return finish_later(context.error());
      tls = *std::move(context);
    }
    http::ClientOptions options;
    options.connect_timeout = call_.limit;
    pool_ = http::make_client_pool(loop_, http::make_connector(loop_, call_.to, std::move(tls)),
                                   options);
    timer_.arm(call_.limit);
    http::Request request(exchange_.arena);
    request.method = call_.method;
    request.scheme = call_.is_tls ? "https" : "http";
    request.authority = call_.host;
    request.path = call_.path;
    for (const auto& [name, value] : call_.headers) request.headers.add(name, value);
    pool_->call(scope_, exchange_, std::move(request),
                [this](http::CallResult result) { answered(std::move(result)); });
  }

 private:
  void answered(http::CallResult result) {
    if (result.error) return finish(std::move(result.error->error));
    reply_.status = result.response->status;
    reply_.content_type = result.response->headers.get("content-type").value_or("");
    http::read_all(scope_, loop_, std::move(result.response->body), call_.max_body_bytes,
                   [this](Result<Buffer> body) {
                     if (!body) return finish(std::move(body).error());
                     reply_.body = body->to_string();
                     finish(std::move(reply_));
                   });
  }
  void finish_later(Error error) {
    event::after(scope_, loop_, nanoseconds(0),
                 [this, error = std::move(error)]() mutable { finish(std::move(error)); });
  }
  void finish(Result<LocalReply> result) {
    auto done = std::move(done_);
    // The pool must not die inside its own callback.
    unlink();
    loop_.defer([this] { delete this; });
    timer_.cancel();
    done(std::move(result));
  }
  void cancel() override { delete this; }

  event::Loop& loop_;
  LocalCall call_;
  event::Completion<LocalReply> done_;
  http::ConnectionInfo connection_;
  http::Exchange exchange_;
  LocalReply reply_;
  std::unique_ptr<http::ClientPool> pool_;
  event::Timer timer_;
  event::Scope scope_;
};

}  // namespace

void call_local(event::Scope& scope, event::Loop& loop, LocalCall call,
                event::Completion<LocalReply> done) {
  (new Call(scope, loop, std::move(call), std::move(done)))->start();
}

}  // namespace lateen::agent
