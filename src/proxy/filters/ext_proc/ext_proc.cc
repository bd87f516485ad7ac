// envoy.filters.http.ext_proc: a service sees requests and responses as they pass, changes their
// headers, bodies and trailers, or answers itself.

#include "envoy/extensions/filters/http/ext_proc/v3/ext_proc.pb.h"
#include "proxy/filters/ext_proc/body.h"
#include "proxy/filters/filters.h"
#include "proxy/match/attributes.h"
#include "proxy/stream/failure.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::ext_proc::v3;

constexpr std::size_t kMostBuffered = 1u << 20;

// One exchange on its way through the filter.
struct Passage : std::enable_shared_from_this<Passage> {
  Passage(HttpState& stream_in, const std::string& filter_in, ProcSessionRef session_in,
          http::Request request_in, Next next_in, http::Done done_in)
      : stream(stream_in),
        filter(filter_in),
        session(std::move(session_in)),
        request(std::move(request_in)),
        next(next_in),
        done(std::move(done_in)) {}

  void start();

 private:
  using Self = std::shared_ptr<Passage>;
  using Recache = ProcSettings::Recache;

  void on_request_headers(ProcOutcome outcome);
  void do_request_body();
  void ask_request_body(WholeBody whole);
  void forward();
  void on_response(Result<http::Response> result);
  void on_response_headers(ProcOutcome outcome);
  void do_response_body();
  void ask_response_body(WholeBody whole);
  void finish_response();

  // True when the outcome ended the exchange.
  bool has_ended(const ProcOutcome& outcome);
  void fail(const std::string& why, bool is_late);
  void answer_immediately(const proc::ImmediateResponse& from);
  bool change_request(const proc::CommonResponse& change);
  bool change_response(const proc::CommonResponse& change);
  void put_attributes(proc::ProcessingRequest& out, const std::vector<std::string>& names);

  HttpState& stream;
  const std::string& filter;  // its name; the stream holds the filters
  ProcSessionRef session;
  http::Request request;
  Next next;
  http::Done done;
  std::optional<http::Response> response;
  std::optional<WholeBody> whole;
  bool is_request_body_done = false, is_response_body_done = false;
};

void Passage::put_attributes(proc::ProcessingRequest& out, const std::vector<std::string>& names) {
  if (names.empty()) return;
  auto& fields = *(*out.mutable_attributes())["envoy.filters.http.ext_proc"].mutable_fields();
  for (const auto& name : names)
    if (const auto value = find_attribute(name, stream.info, &request))
      fields[name] = xds::json_to_value(*value);
}

void Passage::start() {
  if (!session->modes().sends_request_headers) return do_request_body();
  proc::ProcessingRequest ask;
  auto& headers = *ask.mutable_request_headers();
  write_request(request, session->settings().forward, *headers.mutable_headers());
  headers.set_end_of_stream(request.body.empty());
  put_attributes(ask, session->settings().request_attributes);
  session->ask(std::move(ask), [self = shared_from_this()](ProcOutcome outcome) {
    self->on_request_headers(std::move(outcome));
  });
}

void Passage::on_request_headers(ProcOutcome outcome) {
  if (has_ended(outcome)) return;
  if (outcome.kind == ProcOutcome::Kind::kAnswer &&
      !change_request(outcome.answer.request_headers().response()))
    return;
  do_request_body();
}

bool Passage::change_request(const proc::CommonResponse& change) {
  const auto changed = apply_mutation(change.header_mutation(), session->settings().rules,
                                      request.headers, &request, nullptr);
  if (!changed.ok()) {
    fail(changed.error().message(), false);
    return false;
  }
  const auto recache = session->settings().recache;
  if (recache == Recache::kAlways || (recache == Recache::kAsked && change.clear_route_cache()))
    select_route(stream, request);
  if (change.status() != proc::CommonResponse::CONTINUE_AND_REPLACE) return true;
  request.headers.remove("content-length");
  request.body = http::Body::of(std::string(change.body_mutation().body()));
  is_request_body_done = true;
  return true;
}

void Passage::do_request_body() {
  const ProcModes& modes = session->modes();
  if (request.body.empty() || is_request_body_done || !session->is_open() ||
      !request.upgrade.empty() || request.method == "CONNECT")
    return forward();
  if (modes.request_body != ProcModes::Body::kBuffered) {
    if (modes.request_body == ProcModes::Body::kNone && !modes.sends_request_trailers)
      return forward();
    if (modes.request_body != ProcModes::Body::kNone) request.headers.remove("content-length");
    request.body = processed_body(session, std::move(request.body), modes.request_body,
                                  modes.sends_request_trailers, true);
    return forward();
  }
  collect_body(stream.exchange.scope, stream.exchange.loop, std::move(request.body), kMostBuffered,
               [self = shared_from_this()](Result<WholeBody> body) {
                 if (!body.ok())
                   return self->done(local_reply(self->stream, 413, "Payload Too Large",
                                                 "request_payload_too_large"));
                 self->ask_request_body(*std::move(body));
               });
}

void Passage::ask_request_body(WholeBody body) {
  proc::ProcessingRequest ask;
  ask.mutable_request_body()->set_body(body.data.to_string());
  ask.mutable_request_body()->set_end_of_stream(!body.trailers);
  whole = std::move(body);
  session->ask(std::move(ask), [self = shared_from_this()](ProcOutcome outcome) {
    if (self->has_ended(outcome)) return;
    if (outcome.kind == ProcOutcome::Kind::kAnswer) {
      const auto& change = outcome.answer.request_body().response();
      if (!self->change_request(change)) return;
      if (change.body_mutation().has_body())
        self->whole->data = Buffer(change.body_mutation().body());
      if (change.body_mutation().clear_body()) self->whole->data.clear();
    }
    if (self->request.headers.has("content-length"))
      self->request.headers.set("content-length", std::to_string(self->whole->data.size()));
    http::Body body = body_of(*std::exchange(self->whole, std::nullopt));
    const bool are_trailers_sent = self->session->modes().sends_request_trailers;
    self->request.body =
        are_trailers_sent && !body.empty()
            ? processed_body(self->session, std::move(body), ProcModes::Body::kNone, true, true)
            : std::move(body);
    self->forward();
  });
}

void Passage::forward() {
  next(stream, std::move(request), [self = shared_from_this()](Result<http::Response> result) {
    self->on_response(std::move(result));
  });
}

void Passage::on_response(Result<http::Response> result) {
  if (!result.ok()) return done(std::move(result));
  response = *std::move(result);
  if (!session->is_open()) return finish_response();
  if (!session->modes().sends_response_headers) return do_response_body();
  proc::ProcessingRequest ask;
  auto& headers = *ask.mutable_response_headers();
  write_response(response->status, response->headers, session->settings().forward,
                 *headers.mutable_headers());
  headers.set_end_of_stream(response->body.empty());
  put_attributes(ask, session->settings().response_attributes);
  session->ask(std::move(ask), [self = shared_from_this()](ProcOutcome outcome) {
    self->on_response_headers(std::move(outcome));
  });
}

bool Passage::change_response(const proc::CommonResponse& change) {
  const auto changed = apply_mutation(change.header_mutation(), session->settings().rules,
                                      response->headers, nullptr, &response->status);
  if (!changed.ok()) {
    fail(changed.error().message(), false);
    return false;
  }
  if (change.status() != proc::CommonResponse::CONTINUE_AND_REPLACE) return true;
  response->headers.set("content-length", std::to_string(change.body_mutation().body().size()));
  response->body = http::Body::of(std::string(change.body_mutation().body()));
  is_response_body_done = true;
  return true;
}

void Passage::on_response_headers(ProcOutcome outcome) {
  if (has_ended(outcome)) return;
  if (outcome.kind == ProcOutcome::Kind::kAnswer &&
      !change_response(outcome.answer.response_headers().response()))
    return;
  do_response_body();
}

void Passage::do_response_body() {
  const ProcModes& modes = session->modes();
  const bool is_tunnel = response->status == 101 || request.method == "CONNECT";
  if (response->body.empty() || is_response_body_done || !session->is_open() || is_tunnel)
    return finish_response();
  if (modes.response_body != ProcModes::Body::kBuffered) {
    if (modes.response_body == ProcModes::Body::kNone && !modes.sends_response_trailers)
      return finish_response();
    if (modes.response_body != ProcModes::Body::kNone) response->headers.remove("content-length");
    response->body = processed_body(session, std::move(response->body), modes.response_body,
                                    modes.sends_response_trailers, false);
    return finish_response();
  }
  collect_body(stream.exchange.scope, stream.exchange.loop, std::move(response->body),
               kMostBuffered, [self = shared_from_this()](Result<WholeBody> body) {
                 if (!body.ok())
                   return self->done(local_reply(self->stream, 500, "Internal Server Error",
                                                 "response_payload_too_large"));
                 self->ask_response_body(*std::move(body));
               });
}

void Passage::ask_response_body(WholeBody body) {
  proc::ProcessingRequest ask;
  ask.mutable_response_body()->set_body(body.data.to_string());
  ask.mutable_response_body()->set_end_of_stream(!body.trailers);
  whole = std::move(body);
  session->ask(std::move(ask), [self = shared_from_this()](ProcOutcome outcome) {
    if (self->has_ended(outcome)) return;
    if (outcome.kind == ProcOutcome::Kind::kAnswer) {
      const auto& change = outcome.answer.response_body().response();
      if (!self->change_response(change)) return;
      if (change.body_mutation().has_body())
        self->whole->data = Buffer(change.body_mutation().body());
      if (change.body_mutation().clear_body()) self->whole->data.clear();
    }
    if (self->response->headers.has("content-length"))
      self->response->headers.set("content-length", std::to_string(self->whole->data.size()));
    http::Body body = body_of(*std::exchange(self->whole, std::nullopt));
    const bool are_trailers_sent = self->session->modes().sends_response_trailers;
    self->response->body =
        are_trailers_sent && !body.empty()
            ? processed_body(self->session, std::move(body), ProcModes::Body::kNone, true, false)
            : std::move(body);
    self->finish_response();
  });
}

void Passage::finish_response() { done(*std::exchange(response, std::nullopt)); }

bool Passage::has_ended(const ProcOutcome& outcome) {
  if (outcome.kind == ProcOutcome::Kind::kImmediate) {
    answer_immediately(outcome.answer.immediate_response());
    return true;
  }
  if (outcome.kind == ProcOutcome::Kind::kFailed) {
    fail(outcome.why, outcome.is_late);
    return true;
  }
  return false;
}

void Passage::fail(const std::string& why, bool is_late) {
  response.reset();
  name_decider(stream.info, filter, session->settings().service.cluster);
  done(local_reply(stream, is_late ? 504 : session->settings().error_status, "",
                   "ext_proc_error_" + why));
}

void Passage::answer_immediately(const proc::ImmediateResponse& from) {
  response.reset();
  name_decider(stream.info, filter, session->settings().service.cluster);
  const int status = from.status().code() >= 200 ? from.status().code() : 200;
  const std::string details = from.details().empty() ? "" : "{" + from.details() + "}";
  auto made = local_reply(stream, status, from.body(), "ext_proc_immediate_response" + details);
  if (from.has_grpc_status() && stream.info.is_grpc)
    made.headers.set("grpc-status", std::to_string(from.grpc_status().status()));
  // Rules do not bind the processor's own answer, but framing stays ours.
  const auto changed = apply_mutation(from.headers(), session->settings().rules, made.headers,
                                      nullptr, &made.status);
  if (!changed.ok()) return fail(changed.error().message(), false);
  done(std::move(made));
}

class ExtProc final : public HttpFilter {
 public:
  ExtProc(std::string name, std::shared_ptr<const ProcSettings> settings)
      : name_(std::move(name)), settings_(std::move(settings)) {}

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, name_);
    const auto* route =
        entry == nullptr ? nullptr : dynamic_cast<const ProcRoute*>(entry->config.get());
    if (route != nullptr && route->is_disabled)
      return next(stream, std::move(request), std::move(done));
    auto settings = route != nullptr ? route->over(*settings_) : settings_;
    if (settings->modes.is_silent()) return next(stream, std::move(request), std::move(done));
    auto session = std::make_shared<ProcSession>(stream, std::move(settings));
    // The session must not outlive the exchange: callbacks hold it only as long as they wait.
    new Anchor(stream.exchange.scope, session);
    std::make_shared<Passage>(stream, name_, std::move(session), std::move(request), next,
                              std::move(done))
        ->start();
  }

 private:
  // Ends the conversation with the exchange, whoever else still holds it.
  class Anchor final : public event::Scope::Operation {
   public:
    Anchor(event::Scope& scope, ProcSessionRef session)
        : Operation(scope), session_(std::move(session)) {}

   private:
    void cancel() override {
      session_->close();
      delete this;
    }
    ProcSessionRef session_;
  };
  std::string name_;
  std::shared_ptr<const ProcSettings> settings_;
};

}  // namespace

Result<HttpFilterRef> make_ext_proc(const google::protobuf::Any& config,
                                    const CompileContext& context) {
  const auto from = TRY(xds::unpack<api::ExternalProcessor>(config));
  return HttpFilterRef(
      std::make_shared<const ExtProc>(context.filter_name, TRY(ProcSettings::compile(from))));
}

Result<RouteConfigRef> make_ext_proc_route(const google::protobuf::Any& config,
                                           const CompileContext&) {
  const auto from = TRY(xds::unpack<api::ExtProcPerRoute>(config));
  return RouteConfigRef(TRY(ProcRoute::compile(from)));
}

}  // namespace lateen::proxy
