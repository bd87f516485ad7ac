// Whole answers and streams for BlockingClient; tunnels are in blocking_tunnel.cc.
#include "http/blocking_client.h"

#include "base/strings.h"
#include "http/blocking_state.h"

namespace lateen::http {
namespace {

// Reads a body to its end into the job's answer.
class WholeJob : public BlockingJob {
 public:
  using BlockingJob::BlockingJob;

 protected:
  void on_response(Response response) override {
    answer_.status = response.status;
    answer_.headers = plain_headers(response.headers);
    read_all(*scope, *loop->loop, std::move(response.body), request.max_response_bytes,
             [this](Result<Buffer> body) {
               if (!body.ok()) {
                 return finish(std::move(body).error().at(request.method + " " + request.url));
               }
               answer_.body = body->to_string();
               finish(std::move(answer_));
             });
  }

  PlainResponse answer_;
};

// Hands a 2xx body on chunk by chunk.
class StreamJob final : public WholeJob {
 public:
  StreamJob(PlainRequest request, Destination to, const Function<bool(std::string_view)>& on_chunk)
      : WholeJob(std::move(request), std::move(to)), on_chunk_(on_chunk) {}

  std::atomic<bool> has_begun = false;

 private:
  bool is_polled() const override { return request.stop == nullptr || !has_begun; }
  void on_response(Response response) override {
    if (response.status < 200 || response.status > 299)
      return WholeJob::on_response(std::move(response));
    has_begun = true;
    answer_.status = response.status;
    answer_.headers = plain_headers(response.headers);
    body_ = std::move(response.body);
    pull();
  }
  void on_finished() override {
    // A body's frame may be on the stack.
    if (loop != nullptr) loop->loop->defer([body = std::move(body_), keep = shared_from_this()] {});
  }
  void pull() {
    for (;;) {
      auto next = body_.poll({[](void* self) { static_cast<StreamJob*>(self)->pull(); }, this});
      if (!next) return;
      if (!next->ok())
        return finish(std::move(*next).error().at(request.method + " " + request.url));
      Chunk& chunk = next->value();
      while (!chunk.data.empty()) {
        const std::string_view run = chunk.data.front();
        if (!on_chunk_(run)) return finish(std::move(answer_));
        chunk.data.drop(run.size());
      }
      if (chunk.is_last) return finish(std::move(answer_));
    }
  }

  const Function<bool(std::string_view)>& on_chunk_;
  Body body_;
};

}  // namespace

std::string_view PlainResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key.size() == name.size() && iequals(key, name)) return value;
  }
  return {};
}

BlockingClient::BlockingClient(BlockingClientOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}
BlockingClient::~BlockingClient() = default;

Result<PlainResponse> BlockingClient::call(const PlainRequest& request) {
  BlockingLoop& loop = state_->loop;
  const SteadyTime until = loop.clock.steady() + request.timeout;
  auto job = std::make_shared<WholeJob>(request, TRY(loop.locate(request.url)));
  loop.submit(job);
  return job->wait(loop, until);
}

Result<PlainResponse> BlockingClient::stream(const PlainRequest& request,
                                             const Function<bool(std::string_view)>& on_chunk,
                                             const Function<bool()>& should_stop) {
  BlockingLoop& loop = state_->loop;
  const SteadyTime until = loop.clock.steady() + request.timeout;
  auto job = std::make_shared<StreamJob>(request, TRY(loop.locate(request.url)), on_chunk);
  loop.submit(job);
  // The time-out is for the beginning: a stream may go on for days.
  bool is_late = false;
  const Function<bool()> should_end = [&] {
    is_late = !job->has_begun && loop.clock.steady() >= until;
    return is_late || (should_stop && should_stop());
  };
  auto result = job->wait(loop, std::nullopt, &should_end);
  if (!result.ok() && is_late) {
    return Error(Code::kDeadlineExceeded,
                 request.method + " " + request.url + ": no answer in time", Blame::kUpstream);
  }
  return result;
}

}  // namespace lateen::http
