// Streamed: each chunk waits for its answer. Full duplex: chunks go to the processor as they come,
// and what it sends is the body.

#include "proxy/filters/ext_proc/body.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostOut = 1u << 20;  // of a duplex body that nobody reads yet

class ProcBody final : public http::BodySource {
 public:
  ProcBody(ProcSessionRef session, http::Body inner, ProcModes::Body mode, bool are_trailers_sent,
           bool is_request)
      : session_(std::move(session)),
        inner_(std::move(inner)),
        mode_(mode),
        are_trailers_sent_(are_trailers_sent),
        is_request_(is_request) {
    life_ = std::make_shared<ProcBody*>(this);
    if (mode_ == ProcModes::Body::kDuplex)
      session_->on_answer([life = life_](ProcOutcome outcome) {
        if (*life != nullptr) (*life)->on_duplex(std::move(outcome));
      });
  }
  ~ProcBody() override {
    *life_ = nullptr;
    if (mode_ == ProcModes::Body::kDuplex) session_->on_answer(nullptr);
  }

  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    waker_ = waker;
    is_polling_ = true;
    if (mode_ == ProcModes::Body::kDuplex) pump_duplex();
    else if (!is_waiting_ && !ready_ && !error_) pull();
    is_polling_ = false;
    if (error_) return Result<http::Chunk>(*error_);
    if (!ready_) return std::nullopt;
    waker_ = {};
    auto chunk = std::move(*ready_);
    ready_.reset();
    return chunk;
  }

 private:
  http::Waker own_waker() {
    return {[](void* self) { static_cast<ProcBody*>(self)->on_input(); }, this};
  }
  void on_input() {
    if (mode_ == ProcModes::Body::kDuplex) pump_duplex();
    wake();
  }
  // An answer that comes inside poll() is its result: nobody is to be woken.
  void wake() {
    if (is_polling_) return;
    const auto waker = std::exchange(waker_, {});
    if (waker.wake != nullptr) waker.wake(waker.context);
  }

  // Streamed, or trailers only.
  void pull() {
    if (is_ended_) return;
    auto next = inner_.poll(own_waker());
    if (!next) return;
    if (!next->ok()) {
      error_ = std::move(*next).error();
      return;
    }
    http::Chunk chunk = std::move(**next);
    is_ended_ = chunk.is_last;
    if (mode_ == ProcModes::Body::kStreamed && session_->is_open() &&
        (!chunk.data.empty() || (chunk.is_last && !chunk.trailers)))
      return ask_chunk(std::move(chunk));
    after_data(std::move(chunk));
  }

  void ask_chunk(http::Chunk chunk) {
    proc::ProcessingRequest request;
    auto& body = is_request_ ? *request.mutable_request_body() : *request.mutable_response_body();
    body.set_body(chunk.data.to_string());
    body.set_end_of_stream(chunk.is_last && !chunk.trailers);
    auto held = std::make_shared<http::Chunk>(std::move(chunk));
    is_waiting_ = true;
    session_->ask(std::move(request), [this, life = life_, held](ProcOutcome outcome) {
      if (*life == nullptr) return;
      is_waiting_ = false;
      if (has_failed(outcome)) return wake();
      if (outcome.kind == ProcOutcome::Kind::kAnswer) {
        const auto& answer = is_request_ ? outcome.answer.request_body().response()
                                         : outcome.answer.response_body().response();
        if (answer.body_mutation().has_body()) held->data = Buffer(answer.body_mutation().body());
        if (answer.body_mutation().clear_body()) held->data.clear();
      }
      after_data(std::move(*held));
      wake();
    });
  }

  void after_data(http::Chunk chunk) {
    if (!chunk.trailers || !are_trailers_sent_ || !session_->is_open()) {
      ready_ = std::move(chunk);
      return;
    }
    auto held = std::make_shared<http::Chunk>(std::move(chunk));
    is_waiting_ = true;
    session_->ask(trailers_request(*held->trailers), [this, life = life_, held](ProcOutcome told) {
      if (*life == nullptr) return;
      is_waiting_ = false;
      if (has_failed(told)) return wake();
      if (told.kind == ProcOutcome::Kind::kAnswer) change_trailers(told, *held->trailers);
      ready_ = std::move(*held);
      wake();
    });
  }

  proc::ProcessingRequest trailers_request(const http::Headers& trailers) {
    proc::ProcessingRequest request;
    auto& out =
        is_request_ ? *request.mutable_request_trailers() : *request.mutable_response_trailers();
    write_trailers(trailers, session_->settings().forward, *out.mutable_trailers());
    return request;
  }
  void change_trailers(const ProcOutcome& told, http::Headers& trailers) {
    const auto& answer =
        is_request_ ? told.answer.request_trailers() : told.answer.response_trailers();
    if (auto done = apply_mutation(answer.header_mutation(), session_->settings().rules, trailers,
                                   nullptr, nullptr);
        !done.ok())
      error_ = std::move(done).error();
  }
  // Too late for an answer of our own: the stream is reset.
  bool has_failed(const ProcOutcome& outcome) {
    if (outcome.kind == ProcOutcome::Kind::kImmediate)
      error_ = unavailable("the processor ended the exchange within its body", Blame::kUpstream);
    if (outcome.kind == ProcOutcome::Kind::kFailed)
      error_ = unavailable("ext_proc_error_" + outcome.why, Blame::kUpstream);
    return error_.has_value();
  }

  void pump_duplex() {
    while (!is_ended_ && !error_ && session_->is_open() && session_->pending_bytes() < kMostOut) {
      auto next = inner_.poll(own_waker());
      if (!next) return;
      if (!next->ok()) {
        error_ = std::move(*next).error();
        return;
      }
      http::Chunk& chunk = **next;
      is_ended_ = chunk.is_last;
      if (!chunk.data.empty() || (chunk.is_last && !chunk.trailers)) {
        proc::ProcessingRequest request;
        auto& body =
            is_request_ ? *request.mutable_request_body() : *request.mutable_response_body();
        body.set_body(chunk.data.to_string());
        body.set_end_of_stream(chunk.is_last && !chunk.trailers);
        session_->send(std::move(request));
      }
      if (chunk.trailers) {
        trailers_ = std::move(chunk.trailers);
        session_->send(trailers_request(*trailers_));
      }
    }
    // The processor left in good order before the end: what it did not take passes.
    if (session_->is_open() || error_ || is_out_ended_ || ready_) return;
    if (!is_ended_) {
      auto next = inner_.poll(own_waker());
      if (!next) return;
      if (!next->ok()) {
        error_ = std::move(*next).error();
        return;
      }
      is_ended_ = is_out_ended_ = (*next)->is_last;
      ready_ = std::move(**next);
      return;
    }
    is_out_ended_ = true;
    ready_ = http::Chunk{Buffer(), true, std::move(trailers_)};
  }

  void on_duplex(ProcOutcome outcome) {
    if (has_failed(outcome)) return wake();
    if (outcome.kind == ProcOutcome::Kind::kAnswer) take_duplex(outcome);
    else pump_duplex();
    wake();
  }
  void take_duplex(const ProcOutcome& outcome) {
    const proc::ProcessingResponse& answer = outcome.answer;
    if (is_request_ ? answer.has_request_trailers() : answer.has_response_trailers()) {
      if (trailers_) change_trailers(outcome, *trailers_);
      return end_duplex();
    }
    const auto& body =
        is_request_ ? answer.request_body().response() : answer.response_body().response();
    const auto& piece = body.body_mutation().streamed_response();
    if (!ready_) ready_.emplace();
    ready_->data.append(piece.body());
    if (piece.end_of_stream()) end_duplex();
  }
  void end_duplex() {
    if (is_out_ended_) return;
    is_out_ended_ = true;
    if (!ready_) ready_.emplace();
    ready_->is_last = true;
    ready_->trailers = std::move(trailers_);
  }

  ProcSessionRef session_;
  http::Body inner_;
  ProcModes::Body mode_;
  bool are_trailers_sent_;
  bool is_request_;
  std::shared_ptr<ProcBody*> life_;
  http::Waker waker_{};
  std::optional<http::Chunk> ready_;
  std::optional<Error> error_;
  std::optional<http::Headers> trailers_;
  bool is_waiting_ = false, is_ended_ = false, is_out_ended_ = false, is_polling_ = false;
};

}  // namespace

http::Body processed_body(ProcSessionRef session, http::Body body, ProcModes::Body mode,
                          bool are_trailers_sent, bool is_request) {
  return http::Body(std::make_unique<ProcBody>(std::move(session), std::move(body), mode,
                                               are_trailers_sent, is_request));
}

}  // namespace lateen::proxy
