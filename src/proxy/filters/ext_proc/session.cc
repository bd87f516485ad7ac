// The gRPC stream to the processor, its time-outs, and what its end means.

#include "proxy/filters/ext_proc/session.h"

#include "base/log.h"
#include "base/strings.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {

namespace {
constexpr std::string_view kMethod = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
constexpr std::size_t kMostUnsent = 1u << 20;  // in full duplex, before the body waits
}  // namespace

ProcSession::ProcSession(HttpState& stream, std::shared_ptr<const ProcSettings> settings)
    : stream_(stream),
      settings_(std::move(settings)),
      modes_(settings_->modes),
      timer_(stream.exchange.loop, [this] { fail("per-message_timeout_exceeded", true); }) {}

bool ProcSession::open() {
  if (call_ != nullptr) return true;
  const auto target = find_target(stream_.info.worker, settings_->service.cluster, true);
  if (!target) return false;
  upstream_ = target->upstream;
  grpc::ClientEvents events;
  events.on_message = [this](std::string bytes) { on_message(std::move(bytes)); };
  events.on_end = [this](grpc::Status status) { on_end(std::move(status)); };
  call_ = grpc::start_call(stream_.exchange.loop, *target->pool, settings_->service.authority,
                           std::string(kMethod), settings_->service.metadata, std::move(events));
  return !is_over_;
}

void ProcSession::close() {
  is_over_ = true;
  timer_.cancel();
  step_ = nullptr;
  on_answer_ = nullptr;
  call_.reset();
}

void ProcSession::send(proc::ProcessingRequest request) {
  if (is_over_) return;
  const auto held = shared_from_this();
  if (!open()) {
    if (!is_over_) fail("gRPC_error_14{no_healthy_upstream}", false);
    return;
  }
  request.set_observability_mode(settings_->is_watching);
  if (std::exchange(is_first_, false)) {
    using Mode = envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
    const auto mode = [](ProcModes::Body body) {
      return body == ProcModes::Body::kStreamed   ? Mode::STREAMED
             : body == ProcModes::Body::kBuffered ? Mode::BUFFERED
             : body == ProcModes::Body::kDuplex   ? Mode::FULL_DUPLEX_STREAMED
                                                  : Mode::NONE;
    };
    request.mutable_protocol_config()->set_request_body_mode(mode(modes_.request_body));
    request.mutable_protocol_config()->set_response_body_mode(mode(modes_.response_body));
  }
  for (const auto& name : settings_->sent_metadata)
    if (const auto* value = stream_.info.metadata.if_contains(name);
        value != nullptr && value->if_object() != nullptr)
      (*request.mutable_metadata_context()->mutable_filter_metadata())[name] =
          xds::json_to_struct(*value->if_object());
  if (call_->pending_bytes() > kMostUnsent) return fail("gRPC_error_8{flow_control}", false);
  call_->send(request.SerializeAsString());
}

void ProcSession::ask(proc::ProcessingRequest request, Step step) {
  if (is_over_) return step({});
  if (settings_->is_watching) {
    send(std::move(request));
    return step({});
  }
  step_ = std::move(step);
  expected_ = request.request_case();
  const auto held = shared_from_this();
  timer_.arm(settings_->timeout);
  send(std::move(request));
}

void ProcSession::take_notes(const proc::ProcessingResponse& answer) {
  if (!answer.has_dynamic_metadata()) return;
  for (const auto& name : settings_->taken_metadata) {
    const auto found = answer.dynamic_metadata().fields().find(name);
    if (found == answer.dynamic_metadata().fields().end() || !found->second.has_struct_value())
      continue;
    stream_.info.metadata[name] = xds::struct_to_json(found->second.struct_value());
  }
}

void ProcSession::on_message(std::string bytes) {
  const auto held = shared_from_this();
  ProcOutcome outcome;
  outcome.kind = ProcOutcome::Kind::kAnswer;
  if (!outcome.answer.ParseFromString(bytes)) return fail("gRPC_error_13{bad_message}", false);
  if (settings_->is_watching) return;
  if (outcome.answer.has_override_message_timeout() && step_) {
    const auto wanted = xds::to_millis(outcome.answer.override_message_timeout());
    if (wanted.count() >= 1 && wanted <= settings_->most_timeout) timer_.arm(wanted);
    return;
  }
  take_notes(outcome.answer);
  if (outcome.answer.has_immediate_response()) {
    if (settings_->is_immediate_denied) return fail("immediate_response_disabled", false);
    outcome.kind = ProcOutcome::Kind::kImmediate;
    is_over_ = true;
    return finish(std::move(outcome));
  }
  // The numbers of answers are those of their requests less one.
  constexpr int kShift = 1;
  const int kind = outcome.answer.response_case();
  if (kind == proc::ProcessingResponse::RESPONSE_NOT_SET) return;
  if (step_ && kind + kShift != expected_ && !on_answer_) return fail("spurious_message", false);
  if (step_ && kind + kShift == expected_) {
    if (settings_->is_override_allowed && outcome.answer.has_mode_override() &&
        (kind == proc::ProcessingResponse::kRequestHeaders ||
         kind == proc::ProcessingResponse::kResponseHeaders))
      if (auto modes = ProcModes::compile(outcome.answer.mode_override()); modes.ok()) {
        // What is past keeps its mode.
        modes->sends_request_headers = modes_.sends_request_headers;
        modes_ = *modes;
      }
    return finish(std::move(outcome));
  }
  if (on_answer_) on_answer_(std::move(outcome));
}

void ProcSession::on_end(grpc::Status status) {
  const auto held = shared_from_this();
  if (is_over_) return;
  if (status.code == Code::kOk) {
    // The processor has seen enough.
    is_over_ = true;
    return finish({});
  }
  std::string why = "gRPC_error_" + std::to_string(static_cast<int>(status.code));
  if (!status.message.empty()) why += "{" + replace_all(status.message, " ", "_") + "}";
  fail(std::move(why), false);
}

void ProcSession::fail(std::string why, bool is_late) {
  if (is_over_) return;
  is_over_ = true;
  LOG(kDebug, "ext_proc", "processor in cluster '{}': {}", settings_->service.cluster, why);
  ProcOutcome outcome;
  if (!settings_->is_failure_allowed) {
    outcome.kind = ProcOutcome::Kind::kFailed;
    outcome.why = std::move(why);
    outcome.is_late = is_late;
  }
  finish(std::move(outcome));
}

void ProcSession::finish(ProcOutcome outcome) {
  const auto held = shared_from_this();
  timer_.cancel();
  if (step_) {
    auto step = std::move(step_);
    step_ = nullptr;
    return step(std::move(outcome));
  }
  if (on_answer_) on_answer_(std::move(outcome));
}

}  // namespace lateen::proxy
