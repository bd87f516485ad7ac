// The sending half of a call: a queue of messages that is an HTTP body.
#pragma once

#include <memory>
#include <optional>

#include "grpc/framing.h"

namespace lateen::grpc {

// Shared by a call, which puts messages in, and the body that a codec polls. Whichever ends first
// leaves the other harmless.
class Outgoing {
 public:
  explicit Outgoing(event::Loop& loop) : loop_(loop) {}

  void send(std::string message);
  void send(Buffer message);
  // After what was sent: the end, with trailers when given.
  void finish(std::optional<http::Headers> trailers);
  std::size_t pending_bytes() const { return bytes_.size(); }
  void on_drained(Function<void()> callback) { on_drained_ = std::move(callback); }
  void forget_callbacks() { on_drained_ = nullptr; }
  static http::Body body_of(std::shared_ptr<Outgoing> outgoing);

 private:
  class Source;
  void wake();

  event::Loop& loop_;
  Buffer bytes_;
  bool is_finished_ = false;
  std::optional<http::Headers> trailers_;
  http::Waker waker_{};
  Function<void()> on_drained_;
};

}  // namespace lateen::grpc
