// The request side of an HTTP/1 server connection: bytes to requests, request bodies on demand,
// deadlines.
#include "http/h1_server.h"

#include <algorithm>

#include "http/status.h"

namespace lateen::http::h1 {
namespace {
constexpr std::size_t kHeadReadBytes = 4000;  // one slab of a Buffer
constexpr std::size_t kBodyReadBytes = 64 * 1024;
constexpr std::size_t kMostPipelinedBytes = 64 * 1024;
constexpr std::size_t kMostUnsentBytes = 128 * 1024;
constexpr std::uint64_t kMostDiscardBytes = 1u << 20;
}  // namespace

std::optional<Result<Chunk>> ServerCodec::RequestBody::poll(Waker waker) {
  if (server_ == nullptr) {
    return Error(Code::kCancelled, "the request ended before its body was read",
                 Blame::kDownstream);
  }
  return server_->poll_request_body(waker);
}

ServerCodec::ServerCodec(event::Loop& loop, std::unique_ptr<net::Stream> stream,
                         ConnectionInfo info, Service& service, const ServerOptions& options,
                         Function<void(ServerConnection&)> on_closed)
    : loop_(loop),
      info_(std::move(info)),
      service_(service),
      options_(options),
      on_closed_(std::move(on_closed)),
      stream_(std::move(stream)),
      life_(std::make_shared<Life>(Life{this})),
      opened_(loop.now()),
      last_activity_(loop.now()),
      timer_(loop, [this] { on_timer(); }) {}

ServerCodec::~ServerCodec() {
  life_->self = nullptr;
  if (active_ != nullptr && active_->request_body != nullptr) active_->request_body->detach();
}

void ServerCodec::begin(Buffer already_read) {
  in_ = std::move(already_read);
  ready(true, true);
}

void ServerCodec::ready(bool readable, bool writable) {
  if (is_closed_) return;
  if (readable) {
    may_read_ = true;
    fill(active_ != nullptr ? kBodyReadBytes : kHeadReadBytes);
    if (is_closed_) return;
  }
  if (writable && (is_blocked_ || !out_.empty())) {
    if (!flush()) return;
    if (active_ != nullptr && active_->is_responding && is_blocked_) pump_response();
  }
  advance();
}

// Reads until the socket is empty or enough is buffered; what is left waits in the kernel and holds
// the peer back.
void ServerCodec::fill(std::size_t most_bytes) {
  const std::size_t limit =
      active_ != nullptr
          ? std::max(options_.body_buffer_bytes, options_.max_header_bytes + kBodyReadBytes)
          : std::max(options_.max_header_bytes + 1, kMostPipelinedBytes);
  while (may_read_ && !is_eof_ && in_.size() < limit) {
    const net::Io io = stream_->read(in_, most_bytes);
    switch (io.state) {
      case net::IoState::kOk:
        last_activity_ = loop_.now();
        if (is_lingering_ || is_discarding_) {
          if (is_lingering_) in_.clear();
          discarded_bytes_ += io.bytes;
          if (discarded_bytes_ > kMostDiscardBytes) return abort();
        }
        most_bytes = kBodyReadBytes;
        break;
      case net::IoState::kAgain: may_read_ = false; break;
      case net::IoState::kEof: is_eof_ = true; break;
      case net::IoState::kError: return close_now();
    }
  }
}

// Goes on with whatever can: the next request, the waiting reader of a body, the end.
void ServerCodec::advance() {
  if (is_advancing_ || is_closed_) return;
  is_advancing_ = true;
  while (!is_closed_) {
    if (active_ != nullptr) {
      const Active* before = active_.get();
      wake_request_body();
      if (active_.get() != before) continue;
      if (!is_tunnel_over()) break;
      finish_exchange();
      continue;
    }
    if (is_closing_) {
      close_when_flushed();
      break;
    }
    if (is_discarding_) {
      discard_rest();
      if (is_discarding_) break;
      continue;
    }
    if (out_.size() > kMostUnsentBytes || !start_next()) break;
  }
  is_advancing_ = false;
  if (is_closed_) return;
  if (is_eof_) {
    if (active_ == nullptr && out_.empty()) return close_now();
    // The peer went away before its answer. A tunnel has directions that end one by one.
    if (active_ != nullptr && !active_->is_tunnel && !active_->is_response_done) return close_now();
  }
  update_deadline();
}

// Starts the next exchange when its head is complete; says whether there is more to do.
bool ServerCodec::start_next() {
  if (!scan_.has_begun()) {
    // Empty lines before a request line are ignored (RFC 9112 §2.2).
    while (in_.size() >= 2 && in_.flatten(2) == "\r\n") in_.drop(2);
    // A lone CR may be half of one.
    const bool is_half = in_.size() == 1 && in_.front() == "\r";
    if (in_.empty() || is_half) {
      if (may_read_ && !is_eof_) {
        fill(kHeadReadBytes);
        return in_.size() > (is_half ? 1 : 0);
      }
      return false;
    }
    head_started_ = loop_.now();
  }
  const std::size_t most = std::min(in_.size(), options_.max_header_bytes + 1);
  const auto state = scan_.scan(in_.flatten(most));
  if (state == HeadScanner::State::kBareLineFeed) {
    refuse({400, "a header line does not end with CRLF"});
    return true;
  }
  if (state == HeadScanner::State::kMore) {
    if (most <= options_.max_header_bytes) {
      if (!may_read_ || is_eof_) return false;
      fill(kHeadReadBytes);
      return in_.size() > most;
    }
    refuse({431, "the request's header is too large"});
    return true;
  }
  const std::size_t bytes = scan_.head_bytes();
  scan_.reset();
  active_ = std::make_unique<Active>(loop_, info_);
  const std::string_view text = active_->exchange.arena.copy(in_.flatten(bytes));
  in_.drop(bytes);
  start_exchange(text);
  return true;
}

void ServerCodec::start_exchange(std::string_view head_text) {
  Active& active = *active_;
  Exchange& exchange = active.exchange;
  active.id = ++last_id_;
  exchange.started = loop_.now();
  exchange.request_header_bytes = head_text.size();

  Request request(exchange.arena);
  HeadFacts facts;
  const Limits limits{options_.max_header_bytes, options_.max_header_count};
  auto refusal = parse_request(head_text, limits, request, facts);
  if (!refusal && request.version == Version::kHttp10 && !options_.is_http10_accepted) {
    refusal = Refusal{426, "HTTP/1.0 is not accepted here"};
  }
  if (refusal) {
    active_.reset();
    return refuse(*refusal);
  }
  if (request.scheme.empty()) request.scheme = stream_->tls() != nullptr ? "https" : "http";
  active.method = request.method;
  active.upgrade = request.upgrade;
  active.version = request.version;
  ++request_count_;
  const bool is_last = options_.max_requests_per_connection > 0 &&
                       request_count_ >= options_.max_requests_per_connection;
  active.is_keep_alive = facts.is_keep_alive && !is_draining_ && !is_last;
  active.must_send_continue = facts.is_continue_expected && facts.framing != Framing::kNone &&
                              facts.framing != Framing::kTunnel;
  decoder_.start(facts.framing, facts.length, limits);
  if (facts.framing != Framing::kNone) {
    auto source = std::make_unique<RequestBody>(*this);
    active.request_body = source.get();
    request.body = facts.framing == Framing::kLength ? Body(std::move(source), facts.length)
                                                     : Body(std::move(source));
  }
  exchange.send_interim = [this](int status, const Headers& headers) {
    send_interim(status, headers);
  };
  exchange.abort = [this, id = active.id] {
    if (!is_closed_ && active_ != nullptr && active_->id == id) abort();
  };

  active.is_handling = true;
  service_.handle(exchange, std::move(request), [life = life_, id = active.id](Result<Response> r) {
    if (life->self != nullptr) life->self->respond(id, std::move(r));
  });
  if (is_closed_ || active_ == nullptr) return;
  active_->is_handling = false;
  if (!active_->answer) return;
  Result<Response> answer = std::move(*active_->answer);
  active_->answer.reset();
  begin_response(std::move(answer));
}

// Answers a message we cannot go on after, then closes.
void ServerCodec::refuse(const Refusal& refusal) {
  Arena arena;
  Response response = Response::text(arena, refusal.status, std::string(refusal.why) + "\n");
  active_ = std::make_unique<Active>(loop_, info_);
  active_->id = ++last_id_;
  active_->is_keep_alive = false;
  decoder_.start(Framing::kNone, 0, {});
  begin_response(std::move(response));
}

// After a response that did not want the whole request body: reads it away, so that the connection
// can go on.
void ServerCodec::discard_rest() {
  for (;;) {
    Buffer away;
    const auto state = decoder_.decode(in_, away, kBodyReadBytes);
    if (state == BodyDecoder::State::kDone) {
      is_discarding_ = false;
      return;
    }
    if (state == BodyDecoder::State::kMalformed) return abort();
    // What is left without having been taken is the begin of a line that has not come whole.
    if (!away.empty() && !in_.empty()) continue;
    if (!may_read_ || is_eof_) return;
    const std::size_t held = in_.size();
    fill(kBodyReadBytes);
    if (is_closed_ || in_.size() == held) return;
  }
}

std::optional<Result<Chunk>> ServerCodec::poll_request_body(Waker waker) {
  Active& active = *active_;
  request_waker_ = {};
  if (decoder_.is_tunnel() && !active.is_tunnel) {
    if (active.is_responding)
      return Chunk{Buffer(), true, std::nullopt};  // The upgrade was declined.
    request_waker_ = waker;
    return std::nullopt;
  }
  Chunk chunk;
  for (;;) {
    const auto state = decoder_.decode(in_, chunk.data, kBodyReadBytes);
    if (state == BodyDecoder::State::kMalformed) {
      active.is_keep_alive = false;
      return Error(Code::kInvalidArgument, "request body: " + std::string(decoder_.why()),
                   Blame::kDownstream);
    }
    if (state == BodyDecoder::State::kDone) {
      chunk.is_last = true;
      if (is_tunnel_over()) {
        loop_.defer([life = life_] {
          if (life->self != nullptr) life->self->advance();
        });
      }
      if (!decoder_.trailer_text().empty()) {
        const Limits limits{options_.max_header_bytes, options_.max_header_count};
        Arena& arena = active.exchange.arena;
        chunk.trailers.emplace(arena);
        const auto text = arena.copy(decoder_.trailer_text().to_string());
        if (parse_trailers(text, limits, *chunk.trailers)) {
          active.is_keep_alive = false;
          return invalid("request body: malformed trailers", Blame::kDownstream);
        }
      }
      return chunk;
    }
    if (!chunk.data.empty()) return chunk;
    if (is_eof_) {
      if (decoder_.finish_at_eof()) continue;
      return Error(Code::kCancelled, "the client closed within its request's body",
                   Blame::kDownstream);
    }
    if (!may_read_) break;
    const std::size_t had = in_.size();
    fill(kBodyReadBytes);
    if (is_closed_) return Error(Code::kCancelled, "the client went away", Blame::kDownstream);
    if (in_.size() == had && !is_eof_) break;
  }
  if (active.must_send_continue) {
    active.must_send_continue = false;
    if (!active.is_responding) out_.append(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"));
    flush();
    if (is_closed_) return Error(Code::kCancelled, "the client went away", Blame::kDownstream);
  }
  request_waker_ = waker;
  return std::nullopt;
}

void ServerCodec::drop_request_body() {
  if (active_ != nullptr) active_->request_body = nullptr;
  request_waker_ = {};
}

// Tells the reader of the request's body that asking again is worthwhile.
void ServerCodec::wake_request_body() {
  if (active_->is_tunnel && active_->request_body == nullptr) {
    in_.clear();  // Nobody wants the rest of the tunnel.
    return;
  }
  if (request_waker_.wake == nullptr || (in_.empty() && !is_eof_)) return;
  if (decoder_.is_tunnel() && !active_->is_tunnel && !active_->is_responding) return;
  const Waker waker = std::exchange(request_waker_, {});
  waker.wake(waker.context);
}

// Both directions of a tunnel have ended.
bool ServerCodec::is_tunnel_over() const {
  return active_->is_tunnel && active_->is_response_done && out_.empty() &&
         (active_->request_body == nullptr || decoder_.is_done());
}

void ServerCodec::drain() {
  is_draining_ = true;
  if (is_closed_) return;
  if (active_ != nullptr) {
    active_->is_keep_alive = false;
  } else if (!scan_.has_begun() && in_.empty() && !is_discarding_) {
    is_closing_ = true;
    close_when_flushed();
  }
}

void ServerCodec::drain_after_next() {
  is_draining_ = true;
  if (active_ != nullptr) active_->is_keep_alive = false;
}

// Deadlines are checked lazily: activity only moves a time stamp, and the timer is touched when it
// has to fire earlier than it would.
void ServerCodec::update_deadline() {
  if (is_closed_) return;
  constexpr SteadyTime kNever = SteadyTime::max();
  SteadyTime due = kNever;
  const auto consider = [&](SteadyTime from, milliseconds limit) {
    if (limit > milliseconds(0)) due = std::min(due, from + limit);
  };
  if (!is_draining_) consider(opened_, options_.max_connection_duration);
  if (is_lingering_) due = std::min(due, linger_until_);
  else if (active_ != nullptr) consider(last_activity_, options_.stream_idle_timeout);
  else if (scan_.has_begun()) consider(head_started_, options_.header_timeout);
  else consider(last_activity_, options_.idle_timeout);
  if (due == kNever || (timer_.is_armed() && armed_due_ <= due)) return;
  armed_due_ = due;
  timer_.arm(due - loop_.now());
}

void ServerCodec::on_timer() {
  const SteadyTime now = loop_.now();
  const auto is_over = [&](SteadyTime from, milliseconds limit) {
    return limit > milliseconds(0) && now >= from + limit;
  };
  if (is_lingering_ && now >= linger_until_) return close_now();
  if (!is_draining_ && is_over(opened_, options_.max_connection_duration)) drain();
  if (is_closed_) return;
  if (active_ != nullptr) {
    if (is_over(last_activity_, options_.stream_idle_timeout)) {
      if (active_->is_responding) return abort();
      active_->is_keep_alive = false;
      return respond(active_->id,
                     Error(Code::kDeadlineExceeded, "stream timeout", Blame::kDownstream));
    }
  } else if (scan_.has_begun()) {
    if (is_over(head_started_, options_.header_timeout)) {
      refuse({408, "the request's header did not arrive in time"});
      return advance();
    }
  } else if (!is_lingering_ && is_over(last_activity_, options_.idle_timeout)) {
    return close_now();
  }
  update_deadline();
}

}  // namespace lateen::http::h1
