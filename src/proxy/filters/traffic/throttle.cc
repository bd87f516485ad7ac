// One chunk is held at a time, so that the sender feels the rate.

#include "proxy/filters/traffic/throttle.h"

#include <algorithm>

namespace lateen::proxy {
namespace {

class Throttled final : public http::BodySource {
 public:
  Throttled(event::Loop& loop, http::Body inner, std::shared_ptr<ByteBucket> bucket)
      : loop_(loop), inner_(std::move(inner)), bucket_(std::move(bucket)), timer_(loop, [this] {
          if (waker_.wake != nullptr) waker_.wake(waker_.context);
        }) {}

  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    if (!held_) {
      auto next = inner_.poll(waker);
      if (!next || !next->ok()) return next;
      held_ = std::move(next->value());
    }
    if (held_->data.size() == 0) return hand_out(held_->data.size());
    const std::size_t allowed = bucket_->take(held_->data.size(), loop_.now());
    if (allowed == 0) {
      waker_ = waker;
      timer_.arm(bucket_->step());
      return std::nullopt;
    }
    return hand_out(allowed);
  }

 private:
  http::Chunk hand_out(std::size_t bytes) {
    if (bytes == held_->data.size()) {
      http::Chunk whole = *std::move(held_);
      held_.reset();
      return whole;
    }
    http::Chunk part;
    part.data = held_->data.take(bytes);
    return part;
  }

  event::Loop& loop_;
  http::Body inner_;
  std::shared_ptr<ByteBucket> bucket_;
  std::optional<http::Chunk> held_;
  http::Waker waker_;
  event::Timer timer_;
};

}  // namespace

ByteBucket::ByteBucket(std::uint64_t bytes_per_second, nanoseconds step)
    : per_second_(bytes_per_second),
      step_(std::max<nanoseconds>(step, milliseconds(1))),
      tokens_(static_cast<double>(bytes_per_second) *
              std::chrono::duration<double>(step_).count()) {}

std::size_t ByteBucket::take(std::size_t wanted, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto rate = static_cast<double>(per_second_);
  if (filled_ == SteadyTime{}) filled_ = now;
  if (now - filled_ >= step_) {
    tokens_ = std::min(rate, tokens_ + rate * std::chrono::duration<double>(now - filled_).count());
    filled_ = now;
  }
  const auto allowed = std::min(wanted, static_cast<std::size_t>(std::max(0.0, tokens_)));
  tokens_ -= static_cast<double>(allowed);
  return allowed;
}

http::Body throttle(event::Loop& loop, http::Body body, std::shared_ptr<ByteBucket> bucket) {
  const auto length = body.length();
  return http::Body(std::make_unique<Throttled>(loop, std::move(body), std::move(bucket)), length);
}

}  // namespace lateen::proxy
