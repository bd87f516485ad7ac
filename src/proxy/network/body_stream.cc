// Wakers and readiness are told from the loop, never within a call of either side.

#include "proxy/network/body_stream.h"

#include <algorithm>

namespace lateen::proxy {

namespace {
constexpr std::size_t kMostUnsent = 64 * 1024;
}

// What was written and not polled yet; shared with the body that goes out.
struct BodyStream::Outbox {
  Buffer bytes;
  bool is_shut = false;
  bool is_reset = false;
  bool is_dropped = false;  // nobody reads it any more
  http::Waker waker{};
  BodyStream* owner = nullptr;
};

class BodyStream::Source final : public http::BodySource {
 public:
  explicit Source(std::shared_ptr<Outbox> out) : out_(std::move(out)) {}
  ~Source() override {
    out_->waker = {};
    if (out_->is_dropped) return;
    out_->is_dropped = true;
    const bool is_complete = out_->is_shut && out_->bytes.empty();
    if (out_->owner != nullptr && !is_complete) out_->owner->notify(true, true);
  }
  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    Outbox& out = *out_;
    out.waker = {};
    if (out.is_reset) return Error(Code::kCancelled, "the tunnel was cut", Blame::kLocal);
    if (out.bytes.empty() && !out.is_shut) {
      out.waker = waker;
      return std::nullopt;
    }
    http::Chunk chunk;
    chunk.data = std::move(out.bytes);
    out.bytes = Buffer();
    chunk.is_last = out.is_shut;
    if (chunk.is_last) out.is_dropped = true;
    else if (out.owner != nullptr) out.owner->notify(false, true);
    return chunk;
  }

 private:
  std::shared_ptr<Outbox> out_;
};

BodyStream::BodyStream(event::Loop& loop, net::Address local, net::Address remote)
    : loop_(loop),
      local_(std::move(local)),
      remote_(std::move(remote)),
      out_(std::make_shared<Outbox>()) {
  out_->owner = this;
}

BodyStream::~BodyStream() {
  out_->owner = nullptr;
  if (out_->is_shut) return;
  out_->is_reset = true;
  // The reader of the outgoing body learns it; it may outlive us.
  loop_.defer([out = out_] {
    const http::Waker waker = std::exchange(out->waker, {});
    if (waker.wake != nullptr) waker.wake(waker.context);
  });
}

http::Body BodyStream::outgoing() { return http::Body(std::make_unique<Source>(out_)); }

void BodyStream::set_incoming(http::Body body) {
  in_ = std::move(body);
  has_incoming_ = true;
  is_read_ended_ = in_.empty();
  notify(true, false);
}

net::Io BodyStream::read(Buffer& into, std::size_t most_bytes) {
  if (!error_.empty()) return {net::IoState::kError};
  while (received_.empty() && !is_read_ended_) {
    if (!has_incoming_) return {net::IoState::kAgain};
    auto chunk =
        in_.poll({[](void* self) { static_cast<BodyStream*>(self)->notify(true, false); }, this});
    if (!chunk) return {net::IoState::kAgain};
    if (!chunk->ok()) {
      error_ = chunk->error().message();
      return {net::IoState::kError};
    }
    received_.append(std::move((*chunk)->data));
    is_read_ended_ = (*chunk)->is_last;
  }
  if (received_.empty()) return {net::IoState::kEof};
  const std::size_t count = std::min(most_bytes, received_.size());
  into.append(received_.take(count));
  return {net::IoState::kOk, count};
}

net::Io BodyStream::write(Buffer& from) {
  if (out_->is_dropped || out_->is_shut) {
    if (error_.empty()) error_ = "the tunnel was closed";
    return {net::IoState::kError};
  }
  const std::size_t room = kMostUnsent - std::min(kMostUnsent, out_->bytes.size());
  const std::size_t count = std::min(room, from.size());
  if (count > 0) {
    out_->bytes.append(from.take(count));
    wake_reader();
  }
  return {from.empty() ? net::IoState::kOk : net::IoState::kAgain, count};
}

void BodyStream::shutdown_write() {
  out_->is_shut = true;
  wake_reader();
}

void BodyStream::reset() {
  out_->is_reset = true;
  error_ = "the tunnel was cut";
  wake_reader();
}

void BodyStream::on_ready(Function<void(bool, bool)> callback) { callback_ = std::move(callback); }

void BodyStream::notify(bool readable, bool writable) {
  is_readable_ = is_readable_ || readable;
  is_writable_ = is_writable_ || writable;
  if (is_notify_due_) return;
  is_notify_due_ = true;
  event::after(scope_, loop_, nanoseconds(0), [this] {
    is_notify_due_ = false;
    const bool is_readable = std::exchange(is_readable_, false);
    const bool is_writable = std::exchange(is_writable_, false);
    if (callback_) callback_(is_readable, is_writable);
  });
}

void BodyStream::wake_reader() {
  if (is_wake_due_) return;
  is_wake_due_ = true;
  event::after(scope_, loop_, nanoseconds(0), [this] {
    is_wake_due_ = false;
    const http::Waker waker = std::exchange(out_->waker, {});
    if (waker.wake != nullptr) waker.wake(waker.context);
  });
}

}  // namespace lateen::proxy
