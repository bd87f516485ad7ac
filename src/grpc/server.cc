// A call is an operation in its exchange's scope: when the exchange ends, for whatever reason, so
// does the call, and on_end follows from the loop.
#include "grpc/server.h"

#include <algorithm>

#include "base/strings.h"
#include "grpc/outgoing.h"

namespace lateen::grpc {
namespace {

http::Response head_of(Arena& arena) {
  http::Response response(arena);
  response.headers.add_view("content-type", "application/grpc");
  return response;
}

http::Response trailers_only(Arena& arena, Code code, std::string_view message) {
  http::Response response = head_of(arena);
  add_status(response.headers, code, message);
  return response;
}

class Call final : public ServerCall, public event::Scope::Operation {
 public:
  Call(http::Exchange& exchange, http::Request request, http::Done done,
       std::weak_ptr<const bool> service)
      : Operation(exchange.scope),
        loop_(exchange.loop),
        exchange_(&exchange),
        fields_(std::move(request.headers)),
        body_(std::move(request.body)),
        done_(std::move(done)),
        outgoing_(std::make_shared<Outgoing>(exchange.loop)),
        reader_(kMaxMessageBytes),
        service_(std::move(service)) {}
  ~Call() override { outgoing_->forget_callbacks(); }

  void start(Handler& handler);

  http::Exchange& exchange() override { return *exchange_; }
  std::string_view metadata(std::string_view name) const override {
    return is_ended_ ? std::string_view() : fields_.get(name).value_or("");
  }
  void send(std::string message) override {
    if (is_ended_ || is_finished_) return;
    outgoing_->send(std::move(message));
    open();
  }
  void send(Buffer message) override {
    if (is_ended_ || is_finished_) return;
    outgoing_->send(std::move(message));
    open();
  }
  std::size_t pending_bytes() const override { return outgoing_->pending_bytes(); }
  void on_drained(Function<void()> callback) override {
    outgoing_->on_drained(std::move(callback));
  }
  void finish(Code code, std::string message) override;

 private:
  // The response begins with the first message; a call that fails before it is answered with
  // trailers only.
  void open() {
    if (!done_) return;
    http::Response response = head_of(exchange_->arena);
    response.body = Outgoing::body_of(outgoing_);
    std::exchange(done_, nullptr)(std::move(response));
  }
  void pull();
  void cancel() override {
    is_ended_ = true;
    outgoing_->forget_callbacks();
    loop_.defer([self = std::unique_ptr<Call>(this)] {
      self->body_ = http::Body();
      self->deadline_.reset();
      if (self->events_.on_end && !self->service_.expired()) self->events_.on_end();
    });
  }

  event::Loop& loop_;
  http::Exchange* exchange_;
  http::Headers fields_;
  http::Body body_;
  http::Done done_;
  std::shared_ptr<Outgoing> outgoing_;
  MessageReader reader_;
  std::weak_ptr<const bool> service_;  // who is told of the end
  CallEvents events_;
  std::unique_ptr<event::Timer> deadline_;
  bool is_finished_ = false;  // by the handler
  bool is_ended_ = false;     // the exchange is gone
  bool is_half_closed_ = false;
  bool is_pulling_ = false;
};

void Call::start(Handler& handler) {
  if (const auto timeout = parse_timeout(fields_.get("grpc-timeout").value_or(""))) {
    deadline_ = std::make_unique<event::Timer>(
        loop_, [this] { finish(Code::kDeadlineExceeded, "the call's deadline has passed"); });
    deadline_->arm(*timeout);
  }
  events_ = handler(*this);
  if (!is_ended_) pull();
}

void Call::finish(Code code, std::string message) {
  if (is_ended_ || is_finished_) return;
  is_finished_ = true;
  if (done_) return std::exchange(done_, nullptr)(trailers_only(exchange_->arena, code, message));
  http::Headers trailers(exchange_->arena);
  add_status(trailers, code, message);
  outgoing_->finish(std::move(trailers));
}

void Call::pull() {
  if (is_pulling_) return;
  is_pulling_ = true;
  while (!is_ended_ && !is_finished_ && !is_half_closed_) {
    auto next = body_.poll({[](void* self) { static_cast<Call*>(self)->pull(); }, this});
    if (!next || is_ended_) break;
    if (!next->ok()) {
      // The client went away, or sent what is no HTTP: the exchange ends by itself or with this
      // status.
      finish(Code::kCancelled, next->error().message());
      break;
    }
    reader_.add(std::move(next->value().data));
    const bool is_last = next->value().is_last;
    while (!is_ended_ && !is_finished_) {
      auto message = reader_.next();
      if (!message.ok()) {
        finish(message.error().code(), message.error().message());
        break;
      }
      if (!message->has_value()) break;
      if (events_.on_message) events_.on_message(std::move(**message));
    }
    if (!is_last || is_ended_ || is_finished_) continue;
    is_half_closed_ = true;
    if (!reader_.is_at_boundary()) {
      finish(Code::kInternal, "the request ended within a message");
    } else if (events_.on_half_close) {
      events_.on_half_close();
    }
  }
  is_pulling_ = false;
}

}  // namespace

void Service::add(std::string path, Handler handler) {
  handlers_.emplace_back(std::move(path), std::move(handler));
}

void Service::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  const std::string_view type = request.headers.get("content-type").value_or("");
  if (!type.starts_with("application/grpc") || type.starts_with("application/grpc-web")) {
    if (fallback_ != nullptr)
      return fallback_->handle(exchange, std::move(request), std::move(done));
    return done(http::Response::text(exchange.arena, 415, "only gRPC is spoken here\n"));
  }
  if (request.method != "POST") {
    return done(http::Response::text(exchange.arena, 405, "gRPC calls are POST requests\n"));
  }
  const auto found = std::find_if(handlers_.begin(), handlers_.end(),
                                  [&](const auto& entry) { return entry.first == request.path; });
  if (found == handlers_.end()) {
    return done(trailers_only(exchange.arena, Code::kUnimplemented,
                              "unknown method " + std::string(request.path)));
  }
  // Deletes itself through the exchange's scope.
  auto* call = new Call(exchange, std::move(request), std::move(done), life_);
  call->start(found->second);
}

}  // namespace lateen::grpc
