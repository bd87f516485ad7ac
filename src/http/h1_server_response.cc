// The response side of an HTTP/1 server connection: pulls the response's body and frames it.
#include "base/strings.h"
#include "http/h1_server.h"
#include "http/h1_writer.h"
#include "http/status.h"

namespace lateen::http::h1 {
namespace {
constexpr std::size_t kMostUnsentBytes = 128 * 1024;
constexpr milliseconds kLinger{1000};
constexpr std::uint64_t kMostDiscardBytes = 1u << 20;
}  // namespace

// The service's answer; may come inside handle(), whose frame still uses the exchange.
void ServerCodec::respond(std::uint64_t id, Result<Response> result) {
  if (is_closed_ || active_ == nullptr || active_->id != id || active_->is_responding ||
      active_->answer) {
    return;
  }
  if (active_->is_handling) {
    active_->answer.emplace(std::move(result));
    return;
  }
  ++foreign_depth_;
  begin_response(std::move(result));
  --foreign_depth_;
  advance();
}

static bool is_upgrade_accepted(std::string_view method, std::string_view upgrade, int status) {
  return (status == 101 && !upgrade.empty()) ||
         (method == "CONNECT" && status >= 200 && status < 300);
}

void ServerCodec::begin_response(Result<Response> result) {
  Active& active = *active_;
  Response response = result.ok() ? std::move(result).value()
                                  : error_response(active.exchange.arena, result.error());
  active.is_tunnel = is_upgrade_accepted(active.method, active.upgrade, response.status);
  if (response.status < 200 && !active.is_tunnel) {
    response = error_response(active.exchange.arena,
                              internal("the service answered with an interim status"));
  }
  if (const auto connection = response.headers.get("connection");
      connection && has_token(*connection, "close")) {
    active.is_keep_alive = false;
  }
  // Behind a CONNECT comes what was meant for the tunnel: no requests of this connection.
  if (active.method == "CONNECT" && !active.is_tunnel) active.is_keep_alive = false;
  // An unread body that the client is still to be told to send never comes.
  if (active.must_send_continue && !decoder_.is_done()) active.is_keep_alive = false;
  // Nor is it worth reading a long one away.
  if (active.request_body == nullptr && decoder_.known_left() > kMostDiscardBytes) {
    active.is_keep_alive = false;
  }

  std::optional<std::uint64_t> length = response.body.length();
  if (const auto declared = response.headers.get("content-length")) {
    const auto number = parse_uint(*declared);
    if (number) length = number;
  }
  if (active.is_tunnel) {
    active.out_framing = Framing::kTunnel;
  } else if (is_bodiless(active.method, response.status)) {
    active.out_framing = Framing::kNone;
  } else if (length) {
    active.out_framing = Framing::kLength;
    active.out_left = *length;
  } else if (active.version == Version::kHttp11) {
    active.out_framing = Framing::kChunked;
  } else {
    active.out_framing = Framing::kUntilClose;
    active.is_keep_alive = false;
  }
  write_response_head(response, length);
  active.is_responding = true;
  if (active.out_framing == Framing::kNone) {
    active.is_response_done = true;
  } else {
    active.response_body = std::move(response.body);
  }
  // Whoever reads the request's body learns that the upgrade was accepted or declined.
  if (decoder_.is_tunnel() && request_waker_.wake != nullptr) {
    flush();
    if (is_closed_) return;
    const std::uint64_t id = active.id;
    const Waker waker = std::exchange(request_waker_, {});
    waker.wake(waker.context);
    if (is_closed_ || active_ == nullptr || active_->id != id) return;
  }
  pump_response();
}

void ServerCodec::write_response_head(const Response& response,
                                      std::optional<std::uint64_t> length) {
  Active& active = *active_;
  const bool is_bodiless_status =
      response.status == 204 || response.status == 304 || response.status < 200;
  const bool is_head = active.method == "HEAD";
  HeadWriter writer(out_, response.headers, options_.server_name.size() + active.upgrade.size());
  writer.text("HTTP/1.1 ");
  writer.number(static_cast<std::uint64_t>(response.status));
  writer.text(" ");
  writer.text(reason_phrase(response.status));
  writer.text("\r\n");
  writer.fields(response.headers, options_.is_h1_header_case_kept, false, active.is_tunnel);
  if (active.out_framing == Framing::kLength || (is_head && length && !is_bodiless_status)) {
    // A HEAD response with an empty body and no declared length says nothing about the length of
    // GET's.
    if (!is_head || *length > 0 || response.headers.has("content-length")) {
      writer.text("content-length: ");
      writer.number(*length);
      writer.text("\r\n");
    }
  } else if (active.out_framing == Framing::kChunked) {
    writer.text("transfer-encoding: chunked\r\n");
  } else if (response.status == 304) {
    if (const auto declared = response.headers.get("content-length"); declared && length) {
      writer.field("content-length", *declared);
    }
  }
  if (!writer.has_date()) {
    char date[29];
    write_http_date(loop_.clock().wall(), date);
    writer.field("date", {date, sizeof date});
  }
  if (!writer.has_server() && !options_.server_name.empty()) {
    writer.field("server", options_.server_name);
  }
  if (active.is_tunnel && response.status == 101) {
    if (!response.headers.has("upgrade")) writer.field("upgrade", active.upgrade);
    writer.text("connection: Upgrade\r\n");
  } else if (!active.is_keep_alive && !active.is_tunnel) {
    writer.text("connection: close\r\n");
  } else if (active.version == Version::kHttp10 && !active.is_tunnel) {
    writer.text("connection: keep-alive\r\n");
  }
  writer.end();
}

void ServerCodec::send_interim(int status, const Headers& headers) {
  if (is_closed_ || active_ == nullptr || active_->is_responding ||
      active_->version == Version::kHttp10 || status < 100 || status > 199 || status == 101) {
    return;
  }
  if (status == 100) {
    if (!active_->must_send_continue) return;
    active_->must_send_continue = false;
  }
  HeadWriter writer(out_, headers);
  writer.text("HTTP/1.1 ");
  writer.number(static_cast<std::uint64_t>(status));
  writer.text(" ");
  writer.text(reason_phrase(status));
  writer.text("\r\n");
  writer.fields(headers, options_.is_h1_header_case_kept, false, false);
  writer.end();
  flush();
}

// Moves what the body has into out_ and that to the socket, until either says wait.
void ServerCodec::pump_response() {
  if (is_pumping_) return;
  is_pumping_ = true;
  is_blocked_ = false;
  while (!active_->is_response_done) {
    if (out_.size() >= kMostUnsentBytes) {
      if (!flush()) break;
      is_blocked_ = !out_.empty();
      if (is_blocked_) break;
    }
    auto next = active_->response_body.poll({[](void* self) {
                                               auto* server = static_cast<ServerCodec*>(self);
                                               if (server->active_ == nullptr) return;
                                               if (!server->active_->is_responding) return;
                                               ++server->foreign_depth_;
                                               server->pump_response();
                                               --server->foreign_depth_;
                                               server->advance();
                                             },
                                             this});
    if (is_closed_) break;
    if (!next) break;
    if (!next->ok() || !append_chunk(next->value())) {
      abort();
      break;
    }
  }
  is_pumping_ = false;
  if (is_closed_) return;
  if (!flush()) return;
  // A tunnel's end is a FIN, after everything else.
  if (active_->is_response_done && active_->is_tunnel && !out_.empty()) is_blocked_ = true;
  else if (active_->is_response_done) finish_response();
}

// False when the body does not keep to the length it declared.
bool ServerCodec::append_chunk(Chunk& chunk) {
  Active& active = *active_;
  last_activity_ = loop_.now();
  switch (active.out_framing) {
    case Framing::kLength:
      if (chunk.data.size() > active.out_left) return false;
      active.out_left -= chunk.data.size();
      out_.append(std::move(chunk.data));
      if (chunk.is_last && active.out_left > 0) return false;
      if (active.out_left == 0) chunk.is_last = true;
      break;
    case Framing::kChunked:
      write_chunk(out_, std::move(chunk.data));
      if (chunk.is_last) write_last_chunk(out_, chunk.trailers ? &*chunk.trailers : nullptr);
      break;
    default: out_.append(std::move(chunk.data)); break;
  }
  active.is_response_done = chunk.is_last;
  return true;
}

void ServerCodec::finish_response() {
  if (active_->is_tunnel) {
    stream_->shutdown_write();
    if (!is_tunnel_over()) return;
  }
  finish_exchange();
}

void ServerCodec::finish_exchange() {
  const bool is_tunnel = active_->is_tunnel;
  const bool is_keep_alive = active_->is_keep_alive && !is_tunnel;
  const bool is_continue_owed = active_->must_send_continue;
  const bool is_body_missing = !decoder_.is_done() && !decoder_.is_tunnel();
  if (is_body_missing && !is_continue_owed) {
    // Bytes that are here already are discarded; whether to wait for more depends on how many may
    // come.
    is_discarding_ = is_keep_alive;
    discarded_bytes_ = 0;
  }
  is_closing_ = !is_keep_alive;
  retire_active();
  if (is_closing_) close_when_flushed();
}

// The exchange is over: cancels what it has under way now, and frees it when no frame of a service
// that called us can still be using it.
void ServerCodec::retire_active() {
  request_waker_ = {};
  if (active_->request_body != nullptr) active_->request_body->detach();
  active_->exchange.scope.cancel_all();
  if (foreign_depth_ == 0 && !active_->is_handling) {
    active_.reset();
    return;
  }
  const bool is_first = retired_.empty();
  retired_.push_back(std::move(active_));
  if (!is_first) return;
  loop_.defer([life = life_] {
    if (life->self != nullptr) life->self->retired_.clear();
  });
}

// False when the connection broke.
bool ServerCodec::flush() {
  if (out_.empty()) return true;
  const std::size_t had = out_.size();
  const net::Io io = stream_->write(out_);
  if (io.state == net::IoState::kError) {
    close_now();
    return false;
  }
  if (out_.size() < had) last_activity_ = loop_.now();
  return true;
}

// Sends FIN; when the client may still be sending, reads on for a moment, since closing with unread
// bytes makes the kernel send RST, which can destroy the response on its way.
void ServerCodec::close_when_flushed() {
  if (is_closed_ || is_lingering_ || !flush() || !out_.empty()) return;
  stream_->shutdown_write();
  const bool is_more_expected = !decoder_.is_done() || !in_.empty();
  if (is_eof_ || !is_more_expected) return close_now();
  is_lingering_ = true;
  linger_until_ = loop_.now() + kLinger;
  discarded_bytes_ = 0;
  in_.clear();
  may_read_ = true;
  fill(16 * 1024);
  if (!is_closed_ && is_eof_) return close_now();
  update_deadline();
}

void ServerCodec::abort() {
  if (is_closed_) return;
  stream_->reset();
  close_now();
}

void ServerCodec::close_now() {
  if (is_closed_) return;
  is_closed_ = true;
  timer_.cancel();
  if (active_ != nullptr) {
    // Frames of the service may be on the stack: keep its memory until the end of the turn.
    ++foreign_depth_;
    retire_active();
    --foreign_depth_;
  }
  in_.clear();
  out_.clear();
  event::after(scope_, loop_, nanoseconds(0), [this] {
    auto on_closed = std::move(on_closed_);
    if (on_closed) on_closed(*this);
  });
}

}  // namespace lateen::http::h1
