// An HTTP/1 call is: head and first body bytes in one write, the rest of the upload as the socket
// takes it, the response's head, and a body that the caller pulls.
#include "http/h1_client.h"

#include "base/strings.h"
#include "http/h1_writer.h"

namespace lateen::http::h1 {
namespace {
constexpr std::size_t kHeadReadBytes = 4000;
constexpr std::size_t kBodyReadBytes = 64 * 1024;
constexpr std::size_t kMostUnsentBytes = 128 * 1024;

bool is_target(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return false;
  }
  return true;
}
}  // namespace

std::optional<Result<Chunk>> ClientCodec::ResponseBody::poll(Waker new_waker) {
  if (codec_ != nullptr) return codec_->poll_response_body(new_waker);
  if (why_) return *why_;
  return Chunk{Buffer(), true, std::nullopt};
}

ClientCodec::ClientCodec(event::Loop& loop, std::unique_ptr<net::Stream> stream,
                         const ClientOptions& options, Events& events)
    : loop_(loop), options_(options), events_(events), stream_(std::move(stream)) {
  stream_->on_ready([this](bool readable, bool writable) { ready(readable, writable); });
}

ClientCodec::~ClientCodec() {
  if (is_gone_ != nullptr) *is_gone_ = true;
  if (response_body_ != nullptr) {
    response_body_->detach(unavailable("the connection pool was closed", Blame::kUpstream));
  }
  if (call_ != nullptr) call_->remove();
}

void ClientCodec::start(Call& call) {
  call_ = &call;
  call.holder = this;
  exchange_ = &call.exchange;
  stage_ = Stage::kHead;
  is_tunnel_ = false;
  is_keep_alive_ = true;
  scan_.reset();
  ++call_count_;
  is_exhausted_ = options_.max_requests_per_connection > 0 &&
                  call_count_ >= options_.max_requests_per_connection;
  if (!write_head()) {
    stage_ = Stage::kIdle;
    call_ = nullptr;
    call.holder = nullptr;
    CallError error{invalid("the request's method, path or authority cannot be sent over HTTP/1"),
                    Sent::kNothing};
    event::after(scope_, loop_, nanoseconds(0), [this, &call, error = std::move(error)]() mutable {
      call.fail(std::move(error));
      events_.on_room(*this);
    });
    return;
  }
  is_starting_ = true;
  pump_request();
  is_starting_ = false;
}

bool ClientCodec::write_head() {
  const Request& request = call_->request;
  const bool is_connect = request.method == "CONNECT";
  const std::string_view target = is_connect ? request.authority : request.path;
  if (!is_token(request.method) || target.empty() || !is_target(target) ||
      !is_target(request.authority) || !is_field_value(request.upgrade)) {
    return false;
  }
  is_head_request_ = request.method == "HEAD";
  is_upload_held_ = is_connect || !request.upgrade.empty();
  std::optional<std::uint64_t> length = request.body.length();
  if (const auto declared = request.headers.get("content-length")) {
    if (const auto number = parse_uint(*declared)) length = number;
  }
  if (is_upload_held_) out_framing_ = Framing::kTunnel;
  else if (length) out_framing_ = Framing::kLength;
  else out_framing_ = Framing::kChunked;
  out_left_ = length.value_or(0);

  HeadWriter writer(
      out_, request.headers,
      request.method.size() + target.size() + request.authority.size() + request.upgrade.size());
  writer.text(request.method);
  writer.text(" ");
  writer.text(target);
  writer.text(" HTTP/1.1\r\nhost: ");
  writer.text(request.authority);
  writer.text("\r\n");
  writer.fields(request.headers, options_.is_h1_header_case_kept, false, false);
  if (out_framing_ == Framing::kChunked) {
    writer.text("transfer-encoding: chunked\r\n");
  } else if (out_framing_ == Framing::kLength &&
             (*length > 0 || request.headers.has("content-length") || request.method == "POST" ||
              request.method == "PUT" || request.method == "PATCH")) {
    writer.text("content-length: ");
    writer.number(*length);
    writer.text("\r\n");
  }
  if (!request.upgrade.empty()) {
    writer.text("connection: Upgrade\r\nupgrade: ");
    writer.text(request.upgrade);
    writer.text("\r\n");
  } else if (is_exhausted_) {
    writer.text("connection: close\r\n");
  }
  writer.end();
  is_upload_done_ = out_framing_ == Framing::kLength && *length == 0;
  request_body_ = std::move(call_->request.body);
  return true;
}

// Moves what the request's body has into the socket, until either says wait.
void ClientCodec::pump_request() {
  if (is_pumping_ || is_closed_) return;
  is_pumping_ = true;
  is_blocked_ = false;
  while (!is_upload_done_ && !is_upload_held_) {
    if (out_.size() >= kMostUnsentBytes) {
      if (!flush()) break;
      is_blocked_ = !out_.empty();
      if (is_blocked_) break;
    }
    auto next = request_body_.poll(
        {[](void* self) { static_cast<ClientCodec*>(self)->pump_request(); }, this});
    if (is_closed_) break;
    if (!next) break;
    if (!next->ok() || !append_request_chunk(next->value())) {
      is_pumping_ = false;
      return break_off(next->ok() ? internal("the request's body is not as long as it declared")
                                  : std::move(*next).error());
    }
  }
  is_pumping_ = false;
  if (is_closed_ || !flush()) return;
  if (!is_upload_done_ || is_upload_held_) return;
  if (is_tunnel_) {
    if (!out_.empty()) {
      is_blocked_ = true;  // FIN comes after everything else.
      return;
    }
    if (!request_body_.empty()) stream_->shutdown_write();
  }
  request_body_ = Body();
  if (is_tunnel_ && stage_ == Stage::kBody && response_body_ == nullptr) finish_response();
}

bool ClientCodec::append_request_chunk(Chunk& chunk) {
  switch (out_framing_) {
    case Framing::kLength:
      if (chunk.data.size() > out_left_) return false;
      out_left_ -= chunk.data.size();
      out_.append(std::move(chunk.data));
      if (chunk.is_last && out_left_ > 0) return false;
      if (out_left_ == 0) chunk.is_last = true;
      break;
    case Framing::kChunked:
      write_chunk(out_, std::move(chunk.data));
      if (chunk.is_last) write_last_chunk(out_, chunk.trailers ? &*chunk.trailers : nullptr);
      break;
    default: out_.append(std::move(chunk.data)); break;
  }
  is_upload_done_ = chunk.is_last;
  return true;
}

void ClientCodec::ready(bool readable, bool writable) {
  if (is_closed_) return;
  if (writable && (is_blocked_ || !out_.empty())) {
    if (!flush()) return;
    if (is_blocked_) {
      if (!survives([&] { pump_request(); }) || is_closed_) return;
    }
  }
  if (!readable) return;
  may_read_ = true;
  if (!survives([&] { fill(); }) || is_closed_) return;
  advance();
}

void ClientCodec::fill() {
  const std::size_t limit =
      std::max<std::size_t>(options_.stream_window_bytes, options_.max_header_bytes) +
      kBodyReadBytes;
  std::size_t most_bytes = stage_ == Stage::kBody ? kBodyReadBytes : kHeadReadBytes;
  while (may_read_ && !is_eof_ && in_.size() < limit) {
    const net::Io io = stream_->read(in_, most_bytes);
    switch (io.state) {
      case net::IoState::kOk: most_bytes = kBodyReadBytes; break;
      case net::IoState::kAgain: may_read_ = false; break;
      case net::IoState::kEof: is_eof_ = true; break;
      case net::IoState::kError:
        return break_off(unavailable("the upstream connection broke: " + stream_->last_error(),
                                     Blame::kUpstream));
    }
  }
}

void ClientCodec::advance() {
  switch (stage_) {
    case Stage::kIdle:
      // The peer closed, or sent what nobody asked for.
      if (is_eof_ || !in_.empty()) close_now();
      return;
    case Stage::kHead: return read_head();
    case Stage::kBody: return wake_response_body();
  }
}

void ClientCodec::read_head() {
  while (stage_ == Stage::kHead && !is_closed_) {
    const std::size_t most = std::min(in_.size(), options_.max_header_bytes + 1);
    const auto state = scan_.scan(in_.flatten(most));
    if (state == HeadScanner::State::kBareLineFeed) {
      return break_off(Error(Code::kInternal, "the upstream's header has a line without CRLF",
                             Blame::kUpstream));
    }
    if (state == HeadScanner::State::kMore) {
      if (most > options_.max_header_bytes) {
        return break_off(Error(Code::kInternal, "the upstream's response header is too large",
                               Blame::kUpstream));
      }
      if (!is_eof_) return;
      return break_off(
          unavailable("the upstream closed the connection before its response", Blame::kUpstream));
    }
    const std::size_t bytes = scan_.head_bytes();
    scan_.reset();
    const std::string_view text = exchange_->arena.copy(in_.flatten(bytes));
    in_.drop(bytes);
    if (!take_head(text)) return;
  }
}

// Says whether another head may follow (after 1xx).
bool ClientCodec::take_head(std::string_view text) {
  Response response(exchange_->arena);
  HeadFacts facts;
  const Limits limits{options_.max_header_bytes, options_.max_header_count};
  const bool is_upgrade_wanted = out_framing_ == Framing::kTunnel && is_upload_held_;
  const auto refusal =
      parse_response(text, limits, call_->request.method, is_upgrade_wanted, response, facts);
  if (refusal) {
    break_off(Error(Code::kInternal, "the upstream's response: " + std::string(refusal->why),
                    Blame::kUpstream));
    return false;
  }
  if (response.status < 200 && response.status != 101) {
    auto& send = call_->exchange.send_interim;
    if (!send) return true;
    return survives([&] { send(response.status, response.headers); }) && call_ != nullptr;
  }
  deliver(std::move(response), facts);
  return false;
}

void ClientCodec::deliver(Response response, const HeadFacts& facts) {
  is_keep_alive_ = facts.is_keep_alive && facts.framing != Framing::kTunnel;
  is_tunnel_ = facts.framing == Framing::kTunnel;
  if (is_upload_held_ && !is_tunnel_) {
    is_upload_done_ = true;  // Declined: what the tunnel would have carried is not sent.
    request_body_ = Body();
  }
  is_upload_held_ = false;
  decoder_.start(facts.framing, facts.length,
                 {options_.max_header_bytes, options_.max_header_count});
  stage_ = Stage::kBody;
  auto done = std::move(call_->done);
  CallResult result;
  result.stream = stream_.get();
  if (facts.framing == Framing::kNone) {
    finish_response();
  } else {
    auto source = std::make_unique<ResponseBody>(*this);
    response_body_ = source.get();
    response.body = facts.framing == Framing::kLength ? Body(std::move(source), facts.length)
                                                      : Body(std::move(source));
  }
  result.response.emplace(std::move(response));
  if (!survives([&] { done(std::move(result)); }) || is_closed_) return;
  if (stage_ == Stage::kBody && is_tunnel_) pump_request();
  // What is here of the next state: an idle connection that was closed meanwhile.
  if (stage_ == Stage::kIdle && (is_eof_ || !in_.empty())) close_now();
}

std::optional<Result<Chunk>> ClientCodec::poll_response_body(Waker waker) {
  response_body_->waker = {};
  Chunk chunk;
  for (;;) {
    const auto state = decoder_.decode(in_, chunk.data, kMostUnsentBytes);
    if (state == BodyDecoder::State::kMalformed) {
      Error error(Code::kInternal, "the upstream's response: " + std::string(decoder_.why()),
                  Blame::kUpstream);
      break_off(error);
      return error;
    }
    if (state == BodyDecoder::State::kDone) {
      chunk.is_last = true;
      if (!decoder_.trailer_text().empty()) {
        chunk.trailers.emplace(exchange_->arena);
        const auto text = exchange_->arena.copy(decoder_.trailer_text().to_string());
        const Limits limits{options_.max_header_bytes, options_.max_header_count};
        if (parse_trailers(text, limits, *chunk.trailers)) {
          Error error(Code::kInternal, "the upstream's trailers are malformed", Blame::kUpstream);
          break_off(error);
          return error;
        }
      }
      response_body_->detach(std::nullopt);
      response_body_ = nullptr;
      finish_response();
      return chunk;
    }
    if (!chunk.data.empty()) return chunk;
    if (is_eof_) {
      if (decoder_.finish_at_eof()) continue;
      Error error =
          unavailable("the upstream closed the connection within its response", Blame::kUpstream);
      break_off(error);
      return error;
    }
    const std::size_t had = in_.size();
    ResponseBody* source = response_body_;
    if (may_read_) fill();
    if (response_body_ != source) return source->poll(waker);  // Broken off: the source knows why.
    if (in_.size() == had && !is_eof_) break;
  }
  response_body_->waker = waker;
  return std::nullopt;
}

void ClientCodec::drop_response_body() {
  response_body_ = nullptr;
  break_off(Error(Code::kCancelled, "the response was not read to its end"));
}

void ClientCodec::wake_response_body() {
  if (response_body_ == nullptr || response_body_->waker.wake == nullptr) return;
  if (in_.empty() && !is_eof_) return;
  const Waker waker = std::exchange(response_body_->waker, {});
  waker.wake(waker.context);
}

// The response is complete. With its upload the call is over; HTTP/1 cannot abandon an upload
// otherwise than by closing.
void ClientCodec::finish_response() {
  if (is_tunnel_ && !is_upload_done_) {
    // The other direction goes on; it ends with the caller's scope at the latest.
    return;
  }
  const bool is_reusable =
      is_keep_alive_ && is_upload_done_ && !is_eof_ && in_.empty() && out_.empty();
  stage_ = Stage::kIdle;
  request_body_ = Body();
  if (call_ != nullptr) std::exchange(call_, nullptr)->remove();
  exchange_ = nullptr;
  if (!is_reusable || is_draining_ || is_exhausted_) return close_now();
  events_.on_room(*this);
}

// The caller's scope died.
void ClientCodec::forget(Call&) {
  call_ = nullptr;
  if (response_body_ != nullptr) {
    response_body_->detach(Error(Code::kCancelled, "the call was cancelled"));
    response_body_ = nullptr;
  }
  drop_request_body();
  close_now();
}

// The body's poll() may be on the stack: then it is freed at the end of the turn.
void ClientCodec::drop_request_body() {
  if (is_pumping_) loop_.defer([body = std::move(request_body_)] {});
  request_body_ = Body();
}

bool ClientCodec::flush() {
  if (out_.empty()) return true;
  const net::Io io = stream_->write(out_);
  if (io.state != net::IoState::kError) return true;
  // The peer may have answered before it closed: its answer is read first, its close then ends the
  // call.
  out_.clear();
  is_upload_done_ = true;
  is_keep_alive_ = false;
  may_read_ = true;
  event::after(scope_, loop_, nanoseconds(0), [this] {
    if (is_closed_ || stage_ == Stage::kIdle) return;
    if (!survives([&] { fill(); }) || is_closed_) return;
    if (!survives([&] { advance(); }) || is_closed_) return;
    if (stage_ == Stage::kHead && !is_eof_) {
      break_off(
          unavailable("the upstream connection broke: " + stream_->last_error(), Blame::kUpstream));
    }
  });
  return false;
}

// The connection cannot go on. Before the response's head the call fails (from the loop), after it
// the body.
void ClientCodec::break_off(Error error) {
  if (is_closed_) return;
  if (is_starting_) {
    // Inside ClientPool::call(), which must not complete its call.
    event::after(scope_, loop_, nanoseconds(0),
                 [this, error = std::move(error)]() mutable { break_off(std::move(error)); });
    return;
  }
  Call* call = std::exchange(call_, nullptr);
  const bool is_reset = error.blame() == Blame::kUpstream && error.code() == Code::kUnavailable;
  const bool is_unanswered = stage_ == Stage::kHead && in_.empty() && !scan_.has_begun();
  close_now();
  drop_request_body();
  if (response_body_ != nullptr) {
    ResponseBody* source = std::exchange(response_body_, nullptr);
    source->detach(std::move(error));
    if (call != nullptr) call->remove();
    const Waker waker = std::exchange(source->waker, {});
    if (waker.wake != nullptr) waker.wake(waker.context);
    return;
  }
  if (call == nullptr) return;
  if (!call->done) return call->remove();
  call->holder = nullptr;
  CallError failure{std::move(error), Sent::kMaybe};
  failure.is_reset = is_reset;
  failure.is_reused_connection = is_reset && is_unanswered && call_count_ > 1;
  call->fail(std::move(failure));
}

void ClientCodec::drain() {
  is_draining_ = true;
  if (stage_ == Stage::kIdle) close_now();
}

void ClientCodec::close_now() {
  if (is_closed_) return;
  is_closed_ = true;
  in_.clear();
  out_.clear();
  events_.on_closed(*this);
}

}  // namespace lateen::http::h1
