// One exchange's conversation with its external processor: requests for processing go out one at a
// time, each waits for its answer. Lives in the exchange's scope. Private to this folder.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "envoy/service/ext_proc/v3/external_processor.pb.h"
#include "grpc/client.h"
#include "proxy/filters/ext_proc/settings.h"
#include "proxy/filters/side_call.h"

namespace lateen::proxy {

namespace proc = envoy::service::ext_proc::v3;

// What a step came to.
struct ProcOutcome {
  enum class Kind : unsigned char {
    kAnswer,     // `answer` is the processor's
    kContinue,   // there is none: go on unchanged
    kImmediate,  // answer the client with `answer.immediate_response()`
    kFailed      // the processor failed and that is not allowed
  };
  Kind kind = Kind::kContinue;
  proc::ProcessingResponse answer;
  std::string why;       // of a failure, as RESPONSE_CODE_DETAILS spells it
  bool is_late = false;  // the processor did not answer in time
};

class ProcSession final : public std::enable_shared_from_this<ProcSession> {
 public:
  using Step = Function<void(ProcOutcome)>;
  ProcSession(HttpState& stream, std::shared_ptr<const ProcSettings> settings);

  HttpState& stream() { return stream_; }
  const ProcSettings& settings() const { return *settings_; }
  ProcModes& modes() { return modes_; }
  // Whether asking makes sense still: it ended neither well nor badly.
  bool is_open() const { return !is_over_; }
  // Sends `request`, then calls `step` once, maybe at once.
  void ask(proc::ProcessingRequest request, Step step);
  // For bodies in full duplex: no single answer belongs to a chunk. Each answer goes to
  // `on_answer`, until another one is set.
  void send(proc::ProcessingRequest request);
  void on_answer(Function<void(ProcOutcome)> callback) { on_answer_ = std::move(callback); }
  // No callback runs any more; the call is dropped.
  void close();
  std::size_t pending_bytes() const { return call_ == nullptr ? 0 : call_->pending_bytes(); }

 private:
  bool open();
  void on_message(std::string bytes);
  void on_end(grpc::Status status);
  void fail(std::string why, bool is_late);
  void finish(ProcOutcome outcome);
  void take_notes(const proc::ProcessingResponse& answer);

  HttpState& stream_;
  std::shared_ptr<const ProcSettings> settings_;
  ProcModes modes_;
  UpstreamRef upstream_;
  Step step_;
  Function<void(ProcOutcome)> on_answer_;
  int expected_ = 0;  // the answer's kind, as a field number
  bool is_over_ = false, is_first_ = true;
  event::Timer timer_;
  std::unique_ptr<grpc::ClientCall> call_;  // last: no callback into a half-destroyed session
};

}  // namespace lateen::proxy
