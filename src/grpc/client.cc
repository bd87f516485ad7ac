// A client call: an HTTP exchange of its own, a queue of messages up, a reader of messages down.
#include "grpc/client.h"

#include "base/strings.h"
#include "grpc/outgoing.h"
#include "grpc/server.h"

namespace lateen::grpc {
namespace {

class Call final : public ClientCall {
 public:
  Call(event::Loop& loop, http::ClientPool& pool, std::string authority, std::string path,
       Metadata metadata, ClientEvents events)
      : authority_(std::move(authority)),
        path_(std::move(path)),
        metadata_(std::move(metadata)),
        events_(std::move(events)),
        outgoing_(std::make_shared<Outgoing>(loop)),
        reader_(kMaxMessageBytes),
        exchange_(loop, connection_) {
    http::Request request(exchange_.arena);
    request.method = "POST";
    request.authority = authority_;
    request.path = path_;
    request.version = http::Version::kHttp2;
    request.headers.add_view("content-type", "application/grpc");
    request.headers.add_view("te", "trailers");
    request.headers.add_view("user-agent", "lateen-grpc");
    for (const auto& [name, value] : metadata_) request.headers.add_view(name, value);
    request.body = Outgoing::body_of(outgoing_);
    pool.call(exchange_.scope, exchange_, std::move(request),
              [this](http::CallResult result) { on_result(std::move(result)); });
  }
  ~Call() override {
    if (is_gone_ != nullptr) *is_gone_ = true;
  }

  void send(std::string message) override { outgoing_->send(std::move(message)); }
  void half_close() override { outgoing_->finish(std::nullopt); }
  std::size_t pending_bytes() const override { return outgoing_->pending_bytes(); }

 private:
  void on_result(http::CallResult result);
  void pull();
  void end(Code code, std::string message);

  const std::string authority_;
  const std::string path_;
  const Metadata metadata_;
  ClientEvents events_;
  std::shared_ptr<Outgoing> outgoing_;
  MessageReader reader_;
  bool* is_gone_ = nullptr;  // set by the destructor for a frame that called out
  bool is_ended_ = false;
  bool is_pulling_ = false;
  http::ConnectionInfo connection_;
  http::Exchange exchange_;
  http::Body body_;
};

void Call::on_result(http::CallResult result) {
  if (result.error) {
    const Error& error = result.error->error;
    return end(error.code() == Code::kResourceExhausted ? error.code() : Code::kUnavailable,
               error.message());
  }
  http::Response& response = *result.response;
  if (const auto status = read_status(response.headers)) return end(status->first, status->second);
  const std::string_view type = response.headers.get("content-type").value_or("");
  if (response.status != 200 || !type.starts_with("application/grpc")) {
    return end(response.status == 200 ? Code::kUnknown : code_of_http_status(response.status),
               "the server answered with HTTP " + std::to_string(response.status) +
                   " and content-type '" + std::string(type) + "' instead of gRPC");
  }
  body_ = std::move(response.body);
  pull();
}

void Call::pull() {
  if (is_pulling_) return;
  is_pulling_ = true;
  while (!is_ended_) {
    auto next = body_.poll({[](void* self) { static_cast<Call*>(self)->pull(); }, this});
    if (!next) break;
    if (!next->ok()) return end(Code::kUnavailable, next->error().message());
    http::Chunk& chunk = next->value();
    reader_.add(std::move(chunk.data));
    for (;;) {
      auto message = reader_.next();
      if (!message.ok()) return end(message.error().code(), message.error().message());
      if (!message->has_value()) break;
      if (!events_.on_message) continue;
      bool is_gone = false;
      is_gone_ = &is_gone;
      events_.on_message(std::move(**message));
      if (is_gone) return;
      is_gone_ = nullptr;
    }
    if (!chunk.is_last) continue;
    const auto status = chunk.trailers ? read_status(*chunk.trailers) : std::nullopt;
    if (status) return end(status->first, status->second);
    return end(Code::kInternal, "the server ended the call without a status");
  }
  is_pulling_ = false;
}

// The last thing that happens to a call: on_end may destroy it.
void Call::end(Code code, std::string message) {
  if (std::exchange(is_ended_, true)) return;
  outgoing_->finish(std::nullopt);
  auto on_end = std::move(events_.on_end);
  if (on_end) on_end(Status{code, std::move(message)});
}

class Unary final : public event::Scope::Operation {
 public:
  Unary(event::Scope& scope, event::Loop& loop, http::ClientPool& pool, std::string authority,
        std::string path, Metadata metadata, std::string message, milliseconds limit,
        event::Completion<std::string> done)
      : Operation(scope), path_(path), done_(std::move(done)), timer_(loop, [this] {
          finish(Error(Code::kDeadlineExceeded, path_ + ": no answer in time", Blame::kUpstream));
        }) {
    metadata.emplace_back("grpc-timeout", format_timeout(limit));
    timer_.arm(limit);
    ClientEvents events;
    events.on_message = [this](std::string reply) { reply_ = std::move(reply); };
    events.on_end = [this](Status status) {
      if (status.code != Code::kOk) {
        return finish(Error(status.code, path_ + ": " + status.message, Blame::kUpstream));
      }
      if (!reply_) return finish(Error(Code::kInternal, path_ + ": no message", Blame::kUpstream));
      finish(std::move(*reply_));
    };
    call_ = start_call(loop, pool, std::move(authority), std::move(path), std::move(metadata),
                       std::move(events));
    call_->send(std::move(message));
    call_->half_close();
  }

 private:
  void finish(Result<std::string> result) {
    auto done = std::move(done_);
    delete this;
    done(std::move(result));
  }
  void cancel() override { delete this; }

  const std::string path_;
  event::Completion<std::string> done_;
  std::optional<std::string> reply_;
  event::Timer timer_;
  std::unique_ptr<ClientCall> call_;
};

}  // namespace

std::unique_ptr<ClientCall> start_call(event::Loop& loop, http::ClientPool& pool,
                                       std::string authority, std::string path, Metadata metadata,
                                       ClientEvents events) {
  return std::make_unique<Call>(loop, pool, std::move(authority), std::move(path),
                                std::move(metadata), std::move(events));
}

void unary(event::Scope& scope, event::Loop& loop, http::ClientPool& pool, std::string authority,
           std::string path, Metadata metadata, std::string message, milliseconds limit,
           event::Completion<std::string> done) {
  new Unary(scope, loop, pool, std::move(authority), std::move(path), std::move(metadata),
            std::move(message), limit, std::move(done));
}

}  // namespace lateen::grpc
