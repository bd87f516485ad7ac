// HTTP/2 client connection: a stream is a call.
#include <algorithm>

#include "base/strings.h"
#include "http/client_codec.h"
#include "http/h2_session.h"

namespace lateen::http::h2 {
namespace {

constexpr std::uint32_t kNoError = 0, kRefusedStream = 7, kCancel = 8;

struct ClientStream final : Stream {
  ClientStream(Session& session, Call& call) : Stream(session), call(&call) {}
  ~ClientStream() override { outgoing = Body(); }

  Call* call;  // deletes itself through its scope; null once told
  bool is_connect = false;
  bool is_extended_connect = false;
};

SessionLimits limits_of(const ClientOptions& options) {
  return {options.max_concurrent_streams, options.stream_window_bytes,
          options.connection_window_bytes, options.max_header_bytes, options.max_header_count};
}

class ClientCodec final : public http::ClientCodec, private Session, private Call::Holder {
 public:
  ClientCodec(event::Loop& loop, std::unique_ptr<net::Stream> stream, const ClientOptions& options,
              Events& events)
      : Session(loop, std::move(stream), Side::kClient, limits_of(options)),
        options_(options),
        events_(events),
        ping_timer_(loop, [this] { on_ping_timer(); }) {
    stream_->on_ready([this](bool readable, bool writable) { ready(readable, writable); });
    Session::start();
    schedule_flush();
    if (options_.h2_ping_interval.count() > 0) ping_timer_.arm(options_.h2_ping_interval);
  }
  ~ClientCodec() override {
    life_->self = nullptr;
    for (auto& [id, stream] : streams_) {
      close_inbound(*stream);
      if (Call* call = of(*stream).call) call->remove();
    }
    streams_.clear();
    for (Call* call : refused_) call->remove();
  }

  void start(Call& call) override;
  bool has_room() const override {
    return !is_broken_ && !is_draining_ && !is_peer_leaving_ && !is_exhausted_ &&
           streams_.size() < std::min(options_.max_concurrent_streams, peer_max_streams());
  }
  std::size_t active_count() const override { return streams_.size() + refused_.size(); }
  void drain() override;

 private:
  static ClientStream& of(Stream& stream) { return static_cast<ClientStream&>(stream); }

  std::unique_ptr<Stream> open_stream(std::int32_t) override { return nullptr; }  // no push
  Arena& arena_for(Stream& stream) override { return of(stream).call->exchange.arena; }
  void dispatch_head(Stream& stream) override;
  void dispatch_sent(Stream&) override {}
  void dispatch_closed(Stream& stream) override;
  void dispatch_inbound_dropped(Stream& stream) override;
  void on_goaway() override { is_room_due_ = true; }
  void on_ping_ack() override { is_ping_unanswered_ = false; }
  void after_turn() override;
  void on_broken(const Error& why) override;
  void forget(Call& call) override;

  void refuse(Call& call, Error error);
  void tell_broken(const Error& why);
  void on_ping_timer();

  const ClientOptions& options_;
  Events& events_;
  std::vector<Call*> refused_;
  std::uint32_t call_count_ = 0;
  bool is_exhausted_ = false;
  bool is_draining_ = false;
  bool is_room_due_ = false;  // tell the pool about room after the turn
  bool is_ping_unanswered_ = false;
  event::Timer ping_timer_;
  event::Scope scope_;
};

void ClientCodec::start(Call& call) {
  call.holder = this;
  ++call_count_;
  is_exhausted_ = options_.max_requests_per_connection > 0 &&
                  call_count_ >= options_.max_requests_per_connection;
  Request& request = call.request;
  Session& session = *this;
  auto stream = std::make_unique<ClientStream>(session, call);
  stream->is_connect = request.method == "CONNECT";
  stream->is_extended_connect = !request.upgrade.empty();
  stream->is_held = stream->is_connect || stream->is_extended_connect;
  if (stream->is_extended_connect && !is_extended_connect_accepted_by_peer()) {
    return refuse(
        call, Error(Code::kFailedPrecondition,
                    "the HTTP/2 upstream does not accept upgrades (RFC 8441)", Blame::kUpstream));
  }
  std::vector<Headers::Field> pseudo = {{":method", request.method}};
  if (stream->is_extended_connect) {
    pseudo = {{":method", "CONNECT"}, {":protocol", request.upgrade}};
  }
  if (!stream->is_connect) {
    pseudo.push_back({":scheme", !request.scheme.empty()     ? request.scheme
                                 : stream_->tls() != nullptr ? "https"
                                                             : "http"});
    pseudo.push_back({":path", request.path});
  }
  if (!request.authority.empty()) pseudo.push_back({":authority", request.authority});
  if (!submit_request(*stream, pseudo, request.headers, std::move(request.body))) {
    is_exhausted_ = true;  // Out of stream numbers.
    return refuse(call,
                  unavailable("the HTTP/2 connection takes no more streams", Blame::kUpstream));
  }
  call.stream_id = stream->id;
  Stream& added = add_stream(std::move(stream));
  if (added.has_outgoing) pump(added);
}

void ClientCodec::refuse(Call& call, Error error) {
  refused_.push_back(&call);
  event::after(scope_, loop_, nanoseconds(0),
               [this, call = &call, error = std::move(error)]() mutable {
                 if (std::erase(refused_, call) == 0) return;
                 CallError failure{std::move(error), Sent::kNothing};
                 failure.is_refused_stream = failure.error.code() == Code::kUnavailable;
                 call->holder = nullptr;
                 const auto life = life_;
                 call->fail(std::move(failure));
                 if (life->self != nullptr && !is_broken_) events_.on_room(*this);
               });
}

void ClientCodec::dispatch_head(Stream& base) {
  ClientStream& stream = of(base);
  Call* call = stream.call;
  if (call == nullptr) return;
  Block& head = *stream.head;
  if (head.is_too_large || head.status < 100) {
    stream.failure =
        Error(Code::kInternal, "the upstream's response header is too large", Blame::kUpstream);
    return reset_stream(stream, kCancel);
  }
  if (head.status < 200) {
    if (call->exchange.send_interim && head.status != 101) {
      call->exchange.send_interim(head.status, head.fields);
    }
    return;
  }
  if (!call->done) return;
  CallResult result;
  result.stream = stream_.get();
  Response& response = result.response.emplace(call->exchange.arena);
  response.version = Version::kHttp2;
  response.status = head.status;
  response.headers = std::move(head.fields);
  const bool is_accepted = stream.is_held && head.status < 300;
  if (is_accepted && stream.is_extended_connect) response.status = 101;
  std::optional<std::uint64_t> length;
  if (const auto declared = response.headers.get("content-length")) length = parse_uint(*declared);
  const bool is_empty = stream.is_receive_done && stream.early.empty() && !stream.trailers;
  if (!is_empty && call->request.method != "HEAD") response.body = make_inbound(stream, length);
  if (stream.is_held) {
    stream.is_held = false;
    if (!is_accepted) {
      stream.outgoing = Body();
      stream.is_outgoing_done = false;  // pump() polls an empty body: END_STREAM.
    }
  }
  const auto life = life_;
  auto done = std::move(call->done);
  done(std::move(result));
  if (life->self == nullptr || stream.is_erased) return;
  if (stream.has_outgoing) pump(stream);
}

void ClientCodec::dispatch_closed(Stream& base) {
  ClientStream& stream = of(base);
  is_room_due_ = true;
  Call* call = std::exchange(stream.call, nullptr);
  if (call == nullptr) return;
  call->holder = nullptr;
  if (!call->done) return call->remove();
  CallError failure{stream.failure ? *stream.failure
                    : stream.error_code == kNoError
                        ? Error(Code::kInternal, "the upstream ended the stream without a response",
                                Blame::kUpstream)
                        : unavailable("the upstream reset the stream (HTTP/2 error " +
                                          std::to_string(stream.error_code) + ")",
                                      Blame::kUpstream),
                    Sent::kMaybe};
  failure.is_reset = !stream.failure;
  if (stream.error_code == kRefusedStream && !stream.failure) {
    failure.sent = Sent::kNothing;
    failure.is_refused_stream = true;
  }
  call->fail(std::move(failure));
}

void ClientCodec::dispatch_inbound_dropped(Stream& stream) {
  if (!stream.is_closed) reset_stream(stream, kCancel);
}

// The caller's scope died.
void ClientCodec::forget(Call& call) {
  if (std::erase(refused_, &call) > 0) return;
  Stream* stream = find(call.stream_id);
  if (stream == nullptr || of(*stream).call != &call) return;
  of(*stream).call = nullptr;
  stream->error_code = kCancel;
  if (!is_broken_ && !stream->is_closed) reset_stream(*stream, kCancel);
  erase_stream(call.stream_id);
  is_room_due_ = true;
}

void ClientCodec::after_turn() {
  // After its last request an exhausted connection makes room for the next one.
  if (is_exhausted_ && streams_.empty()) is_draining_ = true;
  if (is_draining_ && streams_.empty() && refused_.empty()) close_when_done();
  if (!is_room_due_) return;
  is_room_due_ = false;
  events_.on_room(*this);  // May start calls, which schedule a flush once the turn is over.
  loop_.defer([life = life_] {
    if (life->self != nullptr) static_cast<ClientCodec*>(life->self)->ready(false, true);
  });
}

void ClientCodec::drain() {
  is_draining_ = true;
  if (is_broken_ || !streams_.empty()) return;
  send_goaway();
  close_when_done();
}

void ClientCodec::on_broken(const Error& why) {
  ping_timer_.cancel();
  loop_.defer([life = life_, why] {
    if (life->self != nullptr) static_cast<ClientCodec*>(life->self)->tell_broken(why);
  });
}

// Fails what was under way, then tells the pool, which frees us later.
void ClientCodec::tell_broken(const Error& why) {
  const auto life = life_;
  while (!streams_.empty()) {
    ClientStream& stream = of(*streams_.begin()->second);
    stream.failure = why;
    Inbound* inbound = stream.inbound;
    Call* call = std::exchange(stream.call, nullptr);
    Waker waker;
    if (inbound != nullptr) waker = take_waker(*inbound);
    erase_stream(stream.id);
    if (call != nullptr) {
      call->holder = nullptr;
      if (call->done) {
        CallError failure{why, Sent::kMaybe};
        failure.is_reset = true;
        failure.is_reused_connection = call_count_ > 1 && !stream.head;
        call->fail(std::move(failure));
      } else {
        call->remove();
      }
    }
    if (life->self == nullptr) return;
    if (waker.wake != nullptr) waker.wake(waker.context);
    if (life->self == nullptr) return;
  }
  events_.on_closed(*this);
}

void ClientCodec::on_ping_timer() {
  if (is_broken_) return;
  const bool has_limit = options_.h2_ping_timeout.count() > 0;
  if (is_ping_unanswered_ && has_limit) {
    return fail(unavailable("the HTTP/2 upstream did not answer a ping", Blame::kUpstream));
  }
  is_ping_unanswered_ = true;
  send_ping();
  ping_timer_.arm(has_limit ? std::max(options_.h2_ping_timeout, options_.h2_ping_interval)
                            : options_.h2_ping_interval);
}

}  // namespace

std::unique_ptr<http::ClientCodec> make_client_codec(event::Loop& loop,
                                                     std::unique_ptr<net::Stream> stream,
                                                     const ClientOptions& options,
                                                     http::ClientCodec::Events& events) {
  return std::make_unique<ClientCodec>(loop, std::move(stream), options, events);
}

}  // namespace lateen::http::h2
