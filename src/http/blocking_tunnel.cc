// Upgraded connections for BlockingClient: two bounded byte queues between the caller's thread and
// the loop.
#include <cstring>

#include "http/blocking_state.h"

namespace lateen::http {
namespace {

constexpr std::size_t kMostQueuedBytes = 1u << 20;  // each way

class TunnelJob final : public BlockingJob {
 public:
  TunnelJob(PlainRequest request, Destination to, std::string protocol)
      : BlockingJob(std::move(request), std::move(to)), protocol_(std::move(protocol)) {}

  // Caller's threads.
  Result<> wait_open(BlockingLoop& on, SteadyTime until);
  Result<std::string> read(BlockingLoop& on);
  Result<> write(BlockingLoop& on, std::string_view bytes);
  PlainResponse answer;  // set before wait_open() returns

 private:
  // Upload: what write() queued.
  class Upload final : public BodySource {
   public:
    explicit Upload(TunnelJob& job) : job_(job) {}
    std::optional<Result<Chunk>> poll(Waker waker) override {
      std::lock_guard lock(job_.mutex);
      if (job_.outgoing_.empty()) {
        job_.upload_waker_ = waker;
        return std::nullopt;
      }
      Chunk chunk;
      chunk.data.adopt(std::exchange(job_.outgoing_, {}));
      job_.changed.notify_all();
      return chunk;
    }
    ~Upload() override { job_.upload_waker_ = {}; }

   private:
    TunnelJob& job_;
  };

  Body make_body() override { return Body(std::make_unique<Upload>(*this)); }
  std::string_view upgrade() const override { return protocol_; }
  void on_response(Response response) override;
  void on_finished() override;
  void pull();

  const std::string protocol_;
  Body body_;               // loop thread
  Waker upload_waker_{};    // loop thread
  bool is_open_ = false;    // the rest by `mutex`
  bool is_paused_ = false;  // `incoming_` was full
  bool is_ended_ = false;   // the peer sends no more
  std::string incoming_;
  std::string outgoing_;
};

void TunnelJob::on_response(Response response) {
  answer.status = response.status;
  answer.headers = plain_headers(response.headers);
  if (response.status != 101) {
    read_all(*scope, *loop->loop, std::move(response.body), request.max_response_bytes,
             [this](Result<Buffer> body) {
               if (!body.ok()) return finish(std::move(body).error());
               answer.body = body->to_string();
               finish(std::move(answer));
             });
    return;
  }
  body_ = std::move(response.body);
  {
    std::lock_guard lock(mutex);
    is_open_ = true;
  }
  changed.notify_all();
  pull();
}

void TunnelJob::on_finished() {
  if (loop != nullptr) loop->loop->defer([body = std::move(body_), keep = shared_from_this()] {});
}

void TunnelJob::pull() {
  for (;;) {
    {
      std::lock_guard lock(mutex);
      if (result || is_ended_) return;
      is_paused_ = incoming_.size() >= kMostQueuedBytes;
      if (is_paused_) return;
    }
    auto next = body_.poll({[](void* self) { static_cast<TunnelJob*>(self)->pull(); }, this});
    if (!next) return;
    if (!next->ok()) return finish(std::move(*next).error());
    std::lock_guard lock(mutex);
    incoming_ += next->value().data.to_string();
    is_ended_ = next->value().is_last;
    changed.notify_all();
  }
}

Result<> TunnelJob::wait_open(BlockingLoop& on, SteadyTime until) {
  {
    std::unique_lock lock(mutex);
    while (!is_open_ && !result) {
      const nanoseconds span = until - on.clock.steady();
      if (span <= nanoseconds(0)) break;
      changed.wait_for(lock, span);
    }
    if (is_open_) return {};
  }
  const PlainResponse refused = TRY(wait(on, until));
  return Error(Code::kFailedPrecondition,
               request.method + " " + request.url + ": the server answered " +
                   std::to_string(refused.status) + " instead of an upgrade to " + protocol_ +
                   ": " + refused.body.substr(0, 1024),
               Blame::kUpstream);
}

Result<std::string> TunnelJob::read(BlockingLoop& on) {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return !incoming_.empty() || is_ended_ || result; });
  if (incoming_.empty()) {
    if (is_ended_) return std::string();
    return result->ok() ? Result<std::string>(std::string()) : Result<std::string>(result->error());
  }
  std::string bytes = std::exchange(incoming_, {});
  if (is_paused_) {
    is_paused_ = false;
    on.loop->post(
        [self = std::static_pointer_cast<TunnelJob>(shared_from_this())] { self->pull(); });
  }
  return bytes;
}

Result<> TunnelJob::write(BlockingLoop& on, std::string_view bytes) {
  while (!bytes.empty()) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return outgoing_.size() < kMostQueuedBytes || result; });
    if (result) {
      return result->ok() ? Error(Code::kUnavailable, "the tunnel has ended", Blame::kUpstream)
                          : result->error();
    }
    const bool was_empty = outgoing_.empty();
    const std::size_t count = std::min(bytes.size(), kMostQueuedBytes - outgoing_.size());
    outgoing_.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
    if (!was_empty) continue;
    on.loop->post([self = std::static_pointer_cast<TunnelJob>(shared_from_this())] {
      const Waker waker = std::exchange(self->upload_waker_, {});
      if (waker.wake != nullptr) waker.wake(waker.context);
    });
  }
  return {};
}

// The caller's end. Outlived by its client.
class OpenTunnel final : public BlockingClient::Tunnel {
 public:
  OpenTunnel(BlockingLoop& loop, std::shared_ptr<TunnelJob> job)
      : loop_(loop), job_(std::move(job)) {}
  ~OpenTunnel() override { loop_.cancel(job_, Error(Code::kCancelled, "the tunnel was closed")); }
  Result<std::string> read() override { return job_->read(loop_); }
  Result<> write(std::string_view bytes) override { return job_->write(loop_, bytes); }
  const PlainResponse& response() const override { return job_->answer; }

 private:
  BlockingLoop& loop_;
  std::shared_ptr<TunnelJob> job_;
};

}  // namespace

Result<std::unique_ptr<BlockingClient::Tunnel>> BlockingClient::upgrade(const PlainRequest& request,
                                                                        std::string_view protocol) {
  BlockingLoop& loop = state_->loop;
  const SteadyTime until = loop.clock.steady() + request.timeout;
  auto job =
      std::make_shared<TunnelJob>(request, TRY(loop.locate(request.url)), std::string(protocol));
  loop.submit(job);
  TRY(job->wait_open(loop, until));
  return std::unique_ptr<Tunnel>(new OpenTunnel(loop, std::move(job)));
}

}  // namespace lateen::http
