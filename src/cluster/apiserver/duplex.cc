// See duplex.h.
#include "cluster/apiserver/duplex.h"

namespace lateen::cluster::apiserver {

DuplexBody::DuplexBody(event::Loop& loop, http::Body from_client)
    : loop_(loop), input_(std::move(from_client)) {}
DuplexBody::~DuplexBody() { gate_->is_open = false; }

std::optional<Result<http::Chunk>> DuplexBody::poll(http::Waker waker) {
  if (!is_started_) {
    is_started_ = true;
    // Only once the 101 is on its way does the client's side of the tunnel open.
    gate().post([this] { pump(); });
  }
  if (queued_.empty() && !is_finished_) {
    waker_ = waker;
    return std::nullopt;
  }
  http::Chunk chunk;
  chunk.data = std::move(queued_);
  queued_ = Buffer();
  chunk.is_last = is_finished_;
  if (!is_finished_) gate().post([this] { on_drained(); });
  return Result<http::Chunk>(std::move(chunk));
}

void DuplexBody::send(std::string bytes) {
  if (is_finished_ || bytes.empty()) return;
  queued_.adopt(std::move(bytes));
  wake();
}

void DuplexBody::finish() {
  is_finished_ = true;
  wake();
}

// Through the loop: the waker may run the writer, which may end us.
void DuplexBody::wake() {
  if (waker_.wake == nullptr) return;
  const http::Waker waker = waker_;
  waker_ = {};
  gate().post([waker] { waker.wake(waker.context); });
}

void DuplexBody::resume_input() {
  if (!is_paused_) return;
  is_paused_ = false;
  gate().post([this] { pump(); });
}

void DuplexBody::pump() {
  const auto alive = gate_;
  while (alive->is_open && !is_input_ended_) {
    if (!is_input_wanted()) {
      is_paused_ = true;
      return;
    }
    auto polled =
        input_.poll(http::Waker{[](void* self) { static_cast<DuplexBody*>(self)->pump(); }, this});
    if (!polled) return;
    if (!polled->ok()) {
      is_input_ended_ = true;
    } else {
      http::Chunk& chunk = polled->value();
      is_input_ended_ = chunk.is_last;
      if (!chunk.data.empty()) {
        const std::string bytes = chunk.data.to_string();
        on_bytes(bytes);
      }
    }
    if (alive->is_open && is_input_ended_) on_end();
  }
}

}  // namespace lateen::cluster::apiserver
