// gRPC over HTTP/2, server side, for any message encoding: bytes in, bytes out. Lives on one loop.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"

namespace lateen::grpc {

inline constexpr std::size_t kMaxMessageBytes = 64u << 20;

// One call, seen from the server. The handler owns it until it finishes it or on_end fires.
class ServerCall {
 public:
  virtual ~ServerCall() = default;
  virtual http::Exchange& exchange() = 0;
  virtual std::string_view metadata(
      std::string_view name) const = 0;  // of the request; empty when absent
  // Queues one message. Bounded by the peer's windows: see pending_bytes().
  virtual void send(std::string message) = 0;
  virtual void send(Buffer message) = 0;
  virtual std::size_t pending_bytes() const = 0;  // accepted by send(), not yet on the wire
  // Fires when pending_bytes() falls to zero.
  virtual void on_drained(Function<void()> callback) = 0;
  // Ends the call with a status; nothing may be sent after.
  virtual void finish(Code code, std::string message) = 0;
};

// What a handler wants to hear about a call. Set synchronously from the handler.
struct CallEvents {
  Function<void(std::string message)> on_message;
  Function<void()> on_half_close;  // the client will send no more
  Function<void()> on_end;  // the call is gone (finished or cancelled); `call` is invalid after
};

// Called once per call, on the loop. `call` lives until on_end has run.
using Handler = Function<CallEvents(ServerCall& call)>;

// Routes "/package.Service/Method" to handlers; is an http::Service to put behind an http::Server.
// Unknown methods answer UNIMPLEMENTED; requests that are not gRPC go to `fallback` when there is
// one. When it is destroyed, calls that are still open are told nothing more: what their events
// point into may be gone with it.
class Service final : public http::Service {
 public:
  explicit Service(http::Service* fallback = nullptr) : fallback_(fallback) {}
  void add(std::string path, Handler handler);
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;

 private:
  http::Service* fallback_;
  std::vector<std::pair<std::string, Handler>> handlers_;
  std::shared_ptr<const bool> life_ = std::make_shared<const bool>(true);
};

}  // namespace lateen::grpc
