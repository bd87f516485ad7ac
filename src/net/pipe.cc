// Two bounded byte queues; readiness is told through the loop, never inside a call.
#include "net/pipe.h"

#include <algorithm>

namespace lateen::net {
namespace {

struct Queue {
  Buffer bytes;
  bool is_ended = false;   // the writer shut down or died
  bool is_broken = false;  // either side was reset, or the reader died
};

class PipeEnd;

// What both ends share; an end that died is null.
struct Shared {
  Shared(event::Loop& l, std::size_t c) : loop(l), capacity(c) {}
  event::Loop& loop;
  std::size_t capacity;
  Queue queues[2];  // queues[i] is read by ends[i]
  PipeEnd* ends[2] = {nullptr, nullptr};
};

class PipeEnd final : public Stream {
 public:
  PipeEnd(std::shared_ptr<Shared> shared, int index, Address local, Address remote)
      : shared_(std::move(shared)),
        index_(index),
        local_(std::move(local)),
        remote_(std::move(remote)) {
    shared_->ends[index_] = this;
  }
  ~PipeEnd() override {
    shared_->ends[index_] = nullptr;
    outgoing().is_ended = true;
    incoming().is_broken = true;
    tell_peer();
  }

  Io read(Buffer& into, std::size_t most_bytes) override {
    Queue& queue = incoming();
    if (queue.bytes.empty()) {
      if (is_reset_ || (outgoing().is_broken && was_reset_)) return {IoState::kError};
      return {queue.is_ended ? IoState::kEof : IoState::kAgain};
    }
    const std::size_t count = std::min(most_bytes, queue.bytes.size());
    const bool was_full = queue.bytes.size() >= shared_->capacity;
    into.append(queue.bytes.take(count).to_string());
    if (was_full) tell_peer();
    return {IoState::kOk, count};
  }

  Io write(Buffer& from) override {
    Queue& queue = outgoing();
    if (queue.is_broken || queue.is_ended) return {IoState::kError};
    std::size_t total = 0;
    while (!from.empty()) {
      const std::size_t room = shared_->capacity - std::min(shared_->capacity, queue.bytes.size());
      if (room == 0) break;
      const std::size_t count = std::min(room, from.size());
      queue.bytes.append(from.take(count).to_string());
      total += count;
    }
    if (total > 0) tell_peer();
    return {from.empty() ? IoState::kOk : IoState::kAgain, total};
  }

  void shutdown_write() override {
    outgoing().is_ended = true;
    tell_peer();
  }
  void reset() override {
    is_reset_ = true;
    outgoing().is_broken = incoming().is_broken = true;
    outgoing().is_ended = true;
    if (PipeEnd* peer = shared_->ends[1 - index_]) peer->was_reset_ = true;
    tell_peer();
  }
  void on_ready(Function<void(bool, bool)> callback) override {
    callback_ = std::move(callback);
    tell(index_);
  }
  const Address& local_address() const override { return local_; }
  const Address& remote_address() const override { return remote_; }
  std::string last_error() const override {
    return is_reset_ ? "reset by us" : "connection reset by peer";
  }

 private:
  Queue& incoming() { return shared_->queues[index_]; }
  Queue& outgoing() { return shared_->queues[1 - index_]; }
  void tell_peer() { tell(1 - index_); }
  void tell(int index) {
    shared_->loop.defer([shared = shared_, index] {
      PipeEnd* end = shared->ends[index];
      if (end != nullptr && end->callback_) end->callback_(true, true);
    });
  }

  std::shared_ptr<Shared> shared_;
  int index_;
  Address local_;
  Address remote_;
  bool is_reset_ = false;
  bool was_reset_ = false;
  Function<void(bool, bool)> callback_;
};

}  // namespace

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pipe(event::Loop& loop,
                                                                      std::size_t capacity_bytes,
                                                                      Address a, Address b) {
  auto shared = std::make_shared<Shared>(loop, capacity_bytes);
  auto first = std::make_unique<PipeEnd>(shared, 0, a, b);
  auto second = std::make_unique<PipeEnd>(shared, 1, b, a);
  return {std::move(first), std::move(second)};
}

}  // namespace lateen::net
