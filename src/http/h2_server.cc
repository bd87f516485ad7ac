// HTTP/2 server connection: a stream is an exchange.
#include "base/strings.h"
#include "http/h1_parser.h"
#include "http/h2_session.h"
#include "http/server_codec.h"
#include "http/status.h"

namespace lateen::http::h2 {
namespace {

constexpr std::uint32_t kNoError = 0, kProtocolError = 1, kInternalError = 2, kCancel = 8;
constexpr milliseconds kDrainNotice{1000};

struct ServerStream final : Stream {
  ServerStream(Session& session, event::Loop& loop, const ConnectionInfo& info)
      : Stream(session), exchange(loop, info) {}
  ~ServerStream() override { outgoing = Body(); }

  Exchange exchange;
  std::string_view method;
  bool is_extended_connect = false;
  bool is_tunnel = false;
  bool is_handling = false;
  bool is_responded = false;
  std::optional<Result<Response>> answer;  // came inside handle
};

SessionLimits limits_of(const ServerOptions& options) {
  return {options.max_concurrent_streams,  options.stream_window_bytes,
          options.connection_window_bytes, options.max_header_bytes,
          options.max_header_count,        options.is_extended_connect_allowed};
}

// "cookie" may come in crumbs (RFC 9113 §8.2.3).
void join_cookies(Headers& headers) {
  if (headers.count("cookie") < 2) return;
  std::string_view all;
  for (const auto& field : headers) {
    if (!iequals(field.name, "cookie")) continue;
    all = all.empty() ? field.value : headers.arena().concat(all, "; ", field.value);
  }
  headers.set("cookie", all);
}

class ServerCodec final : public http::ServerCodec, private Session {
 public:
  ServerCodec(event::Loop& loop, std::unique_ptr<net::Stream> stream, ConnectionInfo info,
              Service& service, const ServerOptions& options,
              Function<void(ServerConnection&)> on_closed)
      : Session(loop, std::move(stream), Side::kServer, limits_of(options)),
        info_(std::move(info)),
        service_(service),
        options_(options),
        on_closed_(std::move(on_closed)),
        opened_(loop.now()),
        timer_(loop, [this] { on_timer(); }),
        head_timer_(loop, [this] { on_head_timer(); }) {}
  ~ServerCodec() override {
    life_->self = nullptr;
    for (auto& [id, stream] : streams_) close_inbound(*stream);
    streams_.clear();
  }

  void begin(Buffer already_read) override {
    start();
    feed(std::move(already_read));
  }
  void ready(bool readable, bool writable) override { Session::ready(readable, writable); }
  void drain() override;
  void drain_after_next() override { drain(); }
  bool is_idle() const override { return streams_.empty(); }
  const ConnectionInfo& info() const override { return info_; }

 private:
  static ServerStream& of(Stream& stream) { return static_cast<ServerStream&>(stream); }

  std::unique_ptr<Stream> open_stream(std::int32_t id) override {
    if (is_broken_) return nullptr;
    if (options_.header_timeout.count() > 0) opening_ = id;
    Session& session = *this;
    auto stream = std::make_unique<ServerStream>(session, loop_, info_);
    stream->exchange.started = loop_.now();
    return stream;
  }
  Arena& arena_for(Stream& stream) override { return of(stream).exchange.arena; }
  void dispatch_head(Stream& stream) override;
  void dispatch_sent(Stream& stream) override;
  void dispatch_closed(Stream& stream) override { of(stream).exchange.scope.cancel_all(); }
  void dispatch_inbound_dropped(Stream&) override {}  // The rest is read away.
  void on_ping_ack() override { is_notice_seen_ = is_draining_; }
  void after_turn() override;
  void on_broken(const Error& why) override;

  Request request_of(ServerStream& stream);
  void respond(std::int32_t id, Result<Response> result);
  void begin_response(ServerStream& stream, Result<Response> result);
  void on_timer();
  void on_head_timer();

  ConnectionInfo info_;
  Service& service_;
  const ServerOptions& options_;
  Function<void(ServerConnection&)> on_closed_;
  SteadyTime opened_;
  SteadyTime drain_started_{};
  std::uint32_t request_count_ = 0;
  bool is_draining_ = false;
  bool is_notice_seen_ = false;  // the client answered our ping, so it knows that we are leaving
  bool is_goaway_sent_ = false;
  std::int32_t opening_ = 0;  // the stream whose header block began last, with a header timeout
  event::Timer timer_;
  event::Timer head_timer_;
  event::Scope scope_;
};

Request ServerCodec::request_of(ServerStream& stream) {
  Block& head = *stream.head;
  Request request(stream.exchange.arena);
  request.version = Version::kHttp2;
  request.method = head.method;
  request.scheme = head.scheme;
  request.authority = head.authority.empty() ? head.host : head.authority;
  request.path = head.path;
  request.headers = std::move(head.fields);
  stream.exchange.request_header_bytes = head.bytes;
  join_cookies(request.headers);
  if (!head.protocol.empty()) {
    // Extended CONNECT (RFC 8441) says in HTTP/2 what GET with Upgrade says in HTTP/1.
    stream.is_extended_connect = true;
    request.method = "GET";
    request.upgrade = head.protocol;
  }
  stream.method = request.method;
  std::optional<std::uint64_t> length;
  if (const auto declared = request.headers.get("content-length")) length = parse_uint(*declared);
  if (const auto expect = request.headers.get("expect");
      expect && iequals(*expect, "100-continue")) {
    request.headers.remove("expect");
    submit_interim(stream, 100, Headers(stream.exchange.arena));
  }
  const bool is_empty = stream.is_receive_done && stream.early.empty() && !stream.trailers;
  if (!is_empty) request.body = make_inbound(stream, length);
  return request;
}

void ServerCodec::dispatch_head(Stream& base) {
  ServerStream& stream = of(base);
  const Block& head = *stream.head;
  const std::int32_t id = stream.id;
  // User information is for no server to see, and "@" hides from people where a request goes.
  if (!h1::is_authority(head.authority) || !h1::is_authority(head.host))
    return reset_stream(stream, kProtocolError);
  if (head.is_too_large) {
    stream.method = "GET";
    return begin_response(
        stream, Response::text(stream.exchange.arena, 431, "the request's header is too large\n"));
  }
  ++request_count_;
  if (options_.max_requests_per_connection > 0 &&
      request_count_ >= options_.max_requests_per_connection) {
    drain();
  }
  Request request = request_of(stream);
  stream.exchange.send_interim = [this, life = life_, id](int status, const Headers& fields) {
    if (life->self == nullptr) return;
    Stream* to = find(id);
    if (to == nullptr || of(*to).is_responded || status < 100 || status > 199 || status == 101)
      return;
    submit_interim(*to, status, fields);
  };
  stream.exchange.abort = [this, id] {
    if (Stream* to = find(id); to != nullptr && !to->is_closed) reset_stream(*to, kInternalError);
  };
  stream.is_handling = true;
  service_.handle(stream.exchange, std::move(request),
                  [this, life = life_, id](Result<Response> result) {
                    if (life->self != nullptr) respond(id, std::move(result));
                  });
  if (stream.is_erased) return;
  stream.is_handling = false;
  if (!stream.answer) return;
  Result<Response> answer = std::move(*stream.answer);
  stream.answer.reset();
  begin_response(stream, std::move(answer));
}

void ServerCodec::respond(std::int32_t id, Result<Response> result) {
  Stream* found = find(id);
  if (found == nullptr || is_broken_) return;
  ServerStream& stream = of(*found);
  if (stream.is_responded || stream.answer || stream.is_closed) return;
  if (stream.is_handling) {
    stream.answer.emplace(std::move(result));
    return;
  }
  begin_response(stream, std::move(result));
}

void ServerCodec::begin_response(ServerStream& stream, Result<Response> result) {
  Arena& arena = stream.exchange.arena;
  Response response =
      result.ok() ? std::move(result).value() : error_response(arena, result.error());
  if (response.status == 101 && stream.is_extended_connect) {
    response.status = 200;
    stream.is_tunnel = true;
  } else if (response.status < 200) {
    response = error_response(arena, internal("the service answered with an interim status"));
  }
  if (stream.method == "CONNECT" && response.status < 300) stream.is_tunnel = true;
  stream.is_responded = true;
  const bool has_body = stream.is_tunnel || !is_bodiless(stream.method, response.status);
  submit_response(stream, response.status, response.headers,
                  has_body ? std::move(response.body) : Body(), options_.server_name);
}

// The response is out. What is left of the request nobody needs (RFC 9113 §8.1), unless this is a
// tunnel.
void ServerCodec::dispatch_sent(Stream& base) {
  ServerStream& stream = of(base);
  if (stream.is_receive_done || stream.is_closed) return;
  if (stream.is_tunnel && stream.inbound != nullptr) return;
  reset_stream(stream, kNoError);
}

void ServerCodec::drain() {
  if (is_draining_ || is_broken_) return;
  is_draining_ = true;
  drain_started_ = loop_.now();
  send_shutdown_notice();
  send_ping();
  timer_.arm(kDrainNotice);
}

void ServerCodec::after_turn() {
  if (opening_ != 0) {
    const Stream* stream = find(opening_);
    if (stream == nullptr || (stream->head && stream->head->is_complete)) {
      opening_ = 0;
      head_timer_.cancel();
    } else if (!head_timer_.is_armed()) {
      head_timer_.arm(options_.header_timeout);
    }
  }
  if (is_draining_ && !is_goaway_sent_ && is_notice_seen_) {
    is_goaway_sent_ = true;
    send_goaway();
    close_when_done();
    // The turn has written its output already.
    loop_.defer([life = life_] {
      if (life->self != nullptr) static_cast<ServerCodec*>(life->self)->ready(false, true);
    });
  }
  if (timer_.is_armed()) return;
  milliseconds tick{0};
  for (const milliseconds limit :
       {options_.idle_timeout, options_.stream_idle_timeout, options_.max_connection_duration}) {
    if (limit.count() > 0 && (tick.count() == 0 || limit < tick)) tick = limit;
  }
  if (tick.count() > 0) timer_.arm(tick);
}

void ServerCodec::on_timer() {
  if (is_broken_) return;
  const SteadyTime now = loop_.now();
  SteadyTime due = SteadyTime::max();
  // Whether `limit` after `from` is over; notes when it will be.
  const auto is_over = [&](SteadyTime from, milliseconds limit) {
    if (limit.count() <= 0) return false;
    if (now >= from + limit) return true;
    due = std::min(due, from + limit);
    return false;
  };
  if (!is_draining_ && is_over(opened_, options_.max_connection_duration)) drain();
  if (is_draining_ && is_over(drain_started_, kDrainNotice)) {
    is_notice_seen_ = true;
    schedule_flush();
  }
  if (streams_.empty() && !is_draining_ && is_over(last_activity_, options_.idle_timeout)) drain();
  if (options_.stream_idle_timeout.count() > 0) {
    std::vector<std::int32_t> expired;
    for (const auto& [id, stream] : streams_) {
      if (is_over(stream->last_activity, options_.stream_idle_timeout)) expired.push_back(id);
    }
    for (const std::int32_t id : expired) {
      Stream* stream = find(id);
      if (stream == nullptr) continue;
      if (of(*stream).is_responded) reset_stream(*stream, kCancel);
      else respond(id, Error(Code::kDeadlineExceeded, "stream timeout", Blame::kDownstream));
    }
    due = std::min(due, now + options_.stream_idle_timeout);
  }
  if (options_.idle_timeout.count() > 0) due = std::min(due, now + options_.idle_timeout);
  if (due != SteadyTime::max()) timer_.arm(due - now);
}

// A header block did not end in time; nothing else can come before it does (RFC 9113 §4.3).
void ServerCodec::on_head_timer() {
  if (is_broken_) return;
  if (Stream* stream = find(opening_)) reset_stream(*stream, kCancel);
  send_goaway();
  close_when_done();
}

void ServerCodec::on_broken(const Error&) {
  timer_.cancel();
  head_timer_.cancel();
  std::vector<std::int32_t> ids;
  for (const auto& [id, stream] : streams_) ids.push_back(id);
  for (const std::int32_t id : ids) {
    if (Stream* stream = find(id)) {
      stream->error_code = kInternalError;
      of(*stream).exchange.scope.cancel_all();
      erase_stream(id);
    }
  }
  event::after(scope_, loop_, nanoseconds(0), [this] {
    auto on_closed = std::move(on_closed_);
    if (on_closed) on_closed(*this);
  });
}

}  // namespace

std::unique_ptr<http::ServerCodec> make_server_codec(event::Loop& loop,
                                                     std::unique_ptr<net::Stream> stream,
                                                     ConnectionInfo info, Service& service,
                                                     const ServerOptions& options,
                                                     Function<void(ServerConnection&)> on_closed) {
  return std::make_unique<ServerCodec>(loop, std::move(stream), std::move(info), service, options,
                                       std::move(on_closed));
}

}  // namespace lateen::http::h2
