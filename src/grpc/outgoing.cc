// Wakes the codec when a message comes, tells the call when all were taken.
#include "grpc/outgoing.h"

namespace lateen::grpc {

class Outgoing::Source final : public http::BodySource {
 public:
  explicit Source(std::shared_ptr<Outgoing> outgoing) : outgoing_(std::move(outgoing)) {}
  ~Source() override { outgoing_->waker_ = {}; }

  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    Outgoing& out = *outgoing_;
    if (out.bytes_.empty() && !out.is_finished_) {
      out.waker_ = waker;
      return std::nullopt;
    }
    http::Chunk chunk;
    const bool is_drained = !out.bytes_.empty();
    chunk.data = std::move(out.bytes_);
    chunk.is_last = out.is_finished_;
    if (chunk.is_last) chunk.trailers = std::move(out.trailers_);
    if (is_drained && out.on_drained_) {
      out.loop_.defer([outgoing = outgoing_] {
        if (outgoing->on_drained_ && outgoing->bytes_.empty()) outgoing->on_drained_();
      });
    }
    return chunk;
  }

 private:
  std::shared_ptr<Outgoing> outgoing_;
};

http::Body Outgoing::body_of(std::shared_ptr<Outgoing> outgoing) {
  return http::Body(std::make_unique<Source>(std::move(outgoing)));
}

void Outgoing::send(std::string message) {
  if (is_finished_) return;
  append_frame(bytes_, std::move(message));
  wake();
}

void Outgoing::send(Buffer message) {
  if (is_finished_) return;
  append_frame(bytes_, std::move(message));
  wake();
}

void Outgoing::finish(std::optional<http::Headers> trailers) {
  if (is_finished_) return;
  is_finished_ = true;
  trailers_ = std::move(trailers);
  wake();
}

void Outgoing::wake() {
  const http::Waker waker = std::exchange(waker_, {});
  if (waker.wake != nullptr) waker.wake(waker.context);
}

}  // namespace lateen::grpc
