// Both streams are edge-triggered: every readiness drains both directions as far as they go.

#include "proxy/network/relay.h"

namespace lateen::proxy {

Relay::Relay(std::unique_ptr<net::Stream> left, std::unique_ptr<net::Stream> right, Events events)
    : events_(std::move(events)) {
  left_.stream = std::move(left);
  right_.stream = std::move(right);
}

Relay::~Relay() = default;

void Relay::start() {
  left_.stream->on_ready([this](bool, bool) { pump(); });
  right_.stream->on_ready([this](bool, bool) { pump(); });
  pump();
}

bool Relay::move(Side& from, Side& to, std::size_t& moved) {
  while (true) {
    if (!to.out.empty()) {
      const net::Io wrote = to.stream->write(to.out);
      if (wrote.state == net::IoState::kError) {
        end(to.stream->last_error(), &to == &left_);
        return false;
      }
      if (!to.out.empty() && to.out.size() >= kMostBuffered) return true;
    }
    if (from.is_read_ended) break;
    const net::Io got = from.stream->read(to.out, 64 * 1024);
    if (got.state == net::IoState::kError) {
      end(from.stream->last_error(), &from == &left_);
      return false;
    }
    if (got.state == net::IoState::kAgain) break;
    if (got.state == net::IoState::kEof) {
      from.is_read_ended = true;
      break;
    }
    moved += got.bytes;
  }
  if (from.is_read_ended && to.out.empty() && !to.is_write_shut) {
    to.is_write_shut = true;
    to.stream->shutdown_write();
  }
  return true;
}

void Relay::pump() {
  if (is_ended_) return;
  std::size_t from_left = 0, from_right = 0;
  const bool is_alive = move(left_, right_, from_left) && move(right_, left_, from_right);
  if ((from_left > 0 || from_right > 0) && events_.on_bytes)
    events_.on_bytes(from_left, from_right);
  if (is_alive && left_.is_write_shut && right_.is_write_shut) end({}, false);
}

void Relay::end(std::string error, bool is_left) {
  if (is_ended_) return;
  is_ended_ = true;
  auto on_end = std::move(events_.on_end);
  if (on_end) on_end(std::move(error), is_left);
}

}  // namespace lateen::proxy
