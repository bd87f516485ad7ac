// A turn of a session: read, let nghttp2 record, dispatch, poll bodies that ran low, write; until
// nothing is new.
#include "http/h2_session.h"

#include "http/h1_writer.h"
#include "http/h2_callbacks.h"

namespace lateen::http::h2 {
namespace {
constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kMostUnsentBytes = 64 * 1024;
constexpr std::size_t kFullReadyBytes = 64 * 1024;
constexpr std::size_t kShutReadyBytes = 16 * 1024;
constexpr std::uint32_t kMostIdleFramesPerSecond = 1000;
}  // namespace

Inbound::~Inbound() {
  if (session_ != nullptr) session_->drop_inbound(*this);
}

std::optional<Result<Chunk>> Inbound::poll(Waker waker) {
  is_waiting_ = false;
  if (!received_.empty()) {
    Chunk chunk;
    chunk.data = std::move(received_);
    chunk.is_last = is_done_;
    if (is_done_) chunk.trailers = std::move(trailers_);
    if (session_ != nullptr) session_->consume(stream_id_, chunk.data.size());
    return chunk;
  }
  if (is_done_) return Chunk{Buffer(), true, std::move(trailers_)};
  if (failure_) return *failure_;
  waker_ = waker;
  is_waiting_ = true;
  return std::nullopt;
}

Session::Session(event::Loop& loop, std::unique_ptr<net::Stream> stream, Side side,
                 const SessionLimits& limits)
    : loop_(loop),
      limits_(limits),
      stream_(std::move(stream)),
      life_(std::make_shared<Life>(Life{this})),
      last_activity_(loop.now()),
      side_(side) {
  session_ = Callbacks::make_session(*this, side == Side::kServer);
}

Session::~Session() {
  life_->self = nullptr;
  for (auto& [id, stream] : streams_) close_inbound(*stream);
  nghttp2_session_del(session_);
}

void Session::start() {
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits_.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits_.max_header_bytes)},
  };
  if (side_ == Side::kServer) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.max_concurrent_streams});
    if (limits_.is_extended_connect_allowed) {
      settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
    }
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(limits_.connection_window_bytes));
}

void Session::feed(Buffer bytes) {
  in_ = std::move(bytes);
  ready(true, true);
}

void Session::ready(bool readable, bool) { turn(readable); }

void Session::turn(bool readable) {
  if (is_broken_ || is_in_turn_) return;
  const auto life = life_;
  is_in_turn_ = true;
  if (readable) receive();
  if (is_broken_) {  // What arrived before the end still counts.
    dispatch();
    if (life->self == nullptr) return;
  }
  while (!is_broken_) {
    dispatch();
    if (life->self == nullptr) return;
    for (const std::int32_t id : std::exchange(hungry_, {})) {
      if (Stream* stream = find(id)) pump(*stream);
      if (life->self == nullptr) return;
    }
    if (is_broken_) break;
    collect_output();
    const bool has_output = !out_.empty();
    if (is_broken_ || !write_output()) break;
    if (!touched_.empty()) continue;
    // The socket is full, or there is nothing more to say.
    if (!out_.empty() || (!has_output && hungry_.empty())) break;
  }
  if (!is_broken_) after_turn();
  if (life->self == nullptr) return;
  is_in_turn_ = false;
  retired_.clear();
  if (is_broken_) return;
  if (!out_.empty() || nghttp2_session_want_write(session_) != 0) return;
  if (nghttp2_session_want_read(session_) == 0 || (is_closing_ && streams_.empty())) {
    stream_->shutdown_write();
    fail(unavailable("the HTTP/2 connection was closed", Blame::kUpstream));
  }
}

void Session::receive() {
  for (;;) {
    while (!in_.empty()) {
      const std::string_view run = in_.front();
      const ssize_t count = nghttp2_session_mem_recv(
          session_, reinterpret_cast<const std::uint8_t*>(run.data()), run.size());
      if (count < 0) {
        // A GOAWAY says why: nghttp2's own, or ours where it only gives up.
        if (count == NGHTTP2_ERR_FLOODED) {
          nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(session_),
                                NGHTTP2_ENHANCE_YOUR_CALM, nullptr, 0);
        }
        collect_output();
        write_output();
        return fail(Error(Code::kInternal,
                          std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(count)),
                          side_ == Side::kServer ? Blame::kDownstream : Blame::kUpstream));
      }
      in_.drop(static_cast<std::size_t>(count));
      if (count == 0) break;
    }
    if (is_broken_) return;
    const net::Io io = stream_->read(in_, kReadBytes);
    if (io.state == net::IoState::kAgain) return;
    if (io.state == net::IoState::kEof) {
      return fail(unavailable("the peer closed the HTTP/2 connection", Blame::kUpstream));
    }
    if (io.state == net::IoState::kError) {
      return fail(
          unavailable("the HTTP/2 connection broke: " + stream_->last_error(), Blame::kUpstream));
    }
    last_activity_ = loop_.now();
  }
}

// Tells readers, services and callers what was recorded. Their code may destroy us.
void Session::dispatch() {
  const auto life = life_;
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    Stream* stream = find(touched_[i]);
    if (stream == nullptr) continue;
    stream->is_touched = false;
    dispatch_one(*stream);
    if (life->self == nullptr) return;
  }
  touched_.clear();
}

void Session::dispatch_one(Stream& stream) {
  const auto life = life_;
  if (stream.is_head_new) {
    stream.is_head_new = false;
    if (stream.is_closed && side_ == Side::kServer) return erase_stream(stream.id);
    dispatch_head(stream);
    if (life->self == nullptr || stream.is_erased) return;
    if (stream.inbound == nullptr && !stream.early.empty()) {
      consume(stream.id, stream.early.size());
      stream.early.clear();
    }
  }
  Inbound* inbound = stream.is_closed ? close_inbound(stream) : stream.inbound;
  if (inbound != nullptr && inbound->is_waiting_ &&
      (!inbound->received_.empty() || inbound->is_done_ || inbound->failure_)) {
    inbound->is_waiting_ = false;
    const Waker waker = inbound->waker_;
    waker.wake(waker.context);
    if (life->self == nullptr || stream.is_erased) return;
  }
  if (stream.is_closed) {
    dispatch_closed(stream);
    if (life->self == nullptr || stream.is_erased) return;
    return erase_stream(stream.id);
  }
  if (stream.is_sent) dispatch_sent(stream);
}

// The stream ends under its reader: what was received stays readable.
Inbound* Session::close_inbound(Stream& stream) {
  Inbound* inbound = std::exchange(stream.inbound, nullptr);
  if (inbound == nullptr) return nullptr;
  if (!inbound->received_.empty() && !is_broken_) {
    nghttp2_session_consume_connection(session_, inbound->received_.size());
  }
  if (!inbound->is_done_ && !inbound->failure_) {
    inbound->failure_ =
        stream.failure
            ? *stream.failure
            : Error(stream.error_code == NGHTTP2_CANCEL ? Code::kCancelled : Code::kUnavailable,
                    std::string("the peer reset the stream: ") +
                        nghttp2_http2_strerror(stream.error_code),
                    side_ == Side::kServer ? Blame::kDownstream : Blame::kUpstream);
  }
  inbound->session_ = nullptr;
  return inbound;
}

Waker Session::take_waker(Inbound& inbound) {
  if (!inbound.is_waiting_) return {};
  inbound.is_waiting_ = false;
  return inbound.waker_;
}

void Session::drop_inbound(Inbound& inbound) {
  Stream* stream = find(inbound.stream_id_);
  consume(inbound.stream_id_, inbound.received_.size());
  if (stream == nullptr || stream->inbound != &inbound) return;
  stream->inbound = nullptr;
  if (!inbound.is_done_ || !inbound.received_.empty()) dispatch_inbound_dropped(*stream);
}

Body Session::make_inbound(Stream& stream, std::optional<std::uint64_t> length) {
  auto inbound = std::make_unique<Inbound>(*this, stream.id);
  stream.inbound = inbound.get();
  inbound->received_ = std::move(stream.early);
  inbound->is_done_ = stream.is_receive_done;
  if (stream.trailers && stream.is_receive_done) inbound->trailers_ = stream.trailers->fields;
  return length ? Body(std::move(inbound), *length) : Body(std::move(inbound));
}

void Session::consume(std::int32_t stream_id, std::size_t bytes) {
  if (bytes == 0 || is_broken_) return;
  if (find(stream_id) != nullptr) nghttp2_session_consume(session_, stream_id, bytes);
  else nghttp2_session_consume_connection(session_, bytes);
  if (nghttp2_session_want_write(session_) != 0) schedule_flush();
}

Stream* Session::find(std::int32_t id) {
  const auto at = streams_.find(id);
  return at != streams_.end() ? at->second.get() : nullptr;
}

Stream& Session::add_stream(std::unique_ptr<Stream> stream) {
  Stream& added = *stream;
  added.last_activity = loop_.now();
  streams_[added.id] = std::move(stream);
  return added;
}

void Session::erase_stream(std::int32_t id) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  close_inbound(*at->second);
  at->second->is_erased = true;
  retired_.push_back(std::move(at->second));
  streams_.erase(at);
  schedule_flush();
}

void Session::touch(Stream& stream) {
  if (stream.is_touched) return;
  stream.is_touched = true;
  touched_.push_back(stream.id);
}

// Polls the outgoing body as far as it fills `ready`. May run code that destroys us.
void Session::pump(Stream& stream) {
  if (stream.is_polling || stream.is_held || stream.is_erased || stream.is_outgoing_done) return;
  const auto life = life_;
  stream.is_polling = true;
  bool has_failed = false;
  // For a peer that takes nothing, little is made.
  const bool is_shut = nghttp2_session_get_stream_remote_window_size(session_, stream.id) <= 0;
  const std::size_t most = is_shut ? kShutReadyBytes : kFullReadyBytes;
  while (!stream.is_outgoing_done && stream.ready.size() < most) {
    auto next = stream.outgoing.poll({[](void* context) {
                                        auto* waiting = static_cast<Stream*>(context);
                                        if (!waiting->is_erased) waiting->session.pump(*waiting);
                                      },
                                      &stream});
    if (life->self == nullptr) return;
    if (stream.is_erased || !next) break;
    if (!next->ok()) {
      stream.failure = std::move(*next).error();
      has_failed = true;
      break;
    }
    stream.ready.append(std::move(next->value().data));
    stream.is_outgoing_done = next->value().is_last;
    stream.outgoing_trailers = std::move(next->value().trailers);
  }
  stream.is_polling = false;
  if (stream.is_erased) return;
  if (has_failed) {
    reset_stream(stream, side_ == Side::kServer ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL);
    return;
  }
  if (!stream.is_deferred || (stream.ready.empty() && !stream.is_outgoing_done)) return;
  stream.is_deferred = false;
  nghttp2_session_resume_data(session_, stream.id);
  schedule_flush();
}

void Session::submit_response(Stream& stream, int status, const Headers& fields, Body body,
                              std::string_view server_name) {
  FieldList list;
  char digits[3] = {static_cast<char>('0' + status / 100),
                    static_cast<char>('0' + status / 10 % 10),
                    static_cast<char>('0' + status % 10)};
  list.add(":status", {digits, 3});
  list.add_all(fields);
  char date[29];
  if (!list.has_date()) {
    h1::write_http_date(loop_.clock().wall(), date);
    list.add("date", {date, sizeof date});
  }
  if (!list.has_server() && !server_name.empty()) list.add("server", server_name);
  std::string length;
  if (!body.empty() && !list.has_length()) {
    if (const auto known = body.length()) {
      length = std::to_string(*known);
      list.add("content-length", length);
    }
  }
  const std::int32_t id = stream.id;
  nghttp2_data_provider provider{};
  provider.read_callback = Callbacks::read_outgoing;
  if (!body.empty()) {
    stream.outgoing = std::move(body);
    stream.has_outgoing = true;
    const auto life = life_;
    pump(stream);
    if (life->self == nullptr || stream.is_erased) return;
  }
  const int rc = nghttp2_submit_response(session_, id, list.data(), list.size(),
                                         stream.has_outgoing ? &provider : nullptr);
  if (rc != 0) reset_stream(stream, NGHTTP2_INTERNAL_ERROR);
  schedule_flush();
}

void Session::submit_interim(Stream& stream, int status, const Headers& fields) {
  FieldList list;
  const std::string text = std::to_string(status);
  list.add(":status", text);
  list.add_all(fields);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id, nullptr, list.data(), list.size(),
                         nullptr);
  schedule_flush();
}

bool Session::submit_request(Stream& stream, const std::vector<Headers::Field>& pseudo,
                             const Headers& fields, Body body) {
  FieldList list;
  for (const auto& [name, value] : pseudo) list.add(name, value);
  list.add_all(fields);
  std::string length;
  if (!body.empty() && !list.has_length()) {
    if (const auto known = body.length()) {
      length = std::to_string(*known);
      list.add("content-length", length);
    }
  }
  nghttp2_data_provider provider{};
  provider.read_callback = Callbacks::read_outgoing;
  if (!body.empty() || stream.is_held) {
    stream.outgoing = std::move(body);
    stream.has_outgoing = true;
  }
  const std::int32_t id =
      nghttp2_submit_request(session_, nullptr, list.data(), list.size(),
                             stream.has_outgoing ? &provider : nullptr, nullptr);
  if (id < 0) return false;
  stream.id = id;
  schedule_flush();
  return true;
}

void Session::reset_stream(Stream& stream, std::uint32_t error_code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, error_code);
  schedule_flush();
}

void Session::schedule_flush() {
  if (is_in_turn_ || is_flush_scheduled_ || is_broken_) return;
  is_flush_scheduled_ = true;
  loop_.defer([life = life_] {
    if (life->self == nullptr) return;
    life->self->is_flush_scheduled_ = false;
    life->self->turn(false);
  });
}

void Session::collect_output() {
  while (out_.size() < kMostUnsentBytes) {
    const std::uint8_t* bytes = nullptr;
    const std::size_t had = out_.size();
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    if (count < 0) {
      return fail(internal(std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(count))));
    }
    if (count == 0 && out_.size() == had) return;
    out_.append({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count)});
  }
}

// False when the connection broke.
bool Session::write_output() {
  if (out_.empty()) return true;
  const std::size_t had = out_.size();
  const net::Io io = stream_->write(out_);
  if (io.state == net::IoState::kError) {
    fail(unavailable("the HTTP/2 connection broke: " + stream_->last_error(), Blame::kUpstream));
    return false;
  }
  if (out_.size() < had) last_activity_ = loop_.now();
  return true;
}

bool Session::is_flood() {
  if (loop_.now() - idle_frames_since_ > seconds(1)) {
    idle_frames_since_ = loop_.now();
    idle_frames_ = 0;
  }
  if (++idle_frames_ <= kMostIdleFramesPerSecond) return false;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_ENHANCE_YOUR_CALM, nullptr, 0);
  return true;
}

void Session::send_ping() {
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  schedule_flush();
}

void Session::send_shutdown_notice() {
  nghttp2_submit_shutdown_notice(session_);
  schedule_flush();
}

void Session::send_goaway() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  schedule_flush();
}

void Session::close_when_done() {
  is_closing_ = true;
  schedule_flush();
}

void Session::fail(Error why) {
  if (is_broken_) return;
  is_broken_ = true;
  on_broken(why);
}

std::uint32_t Session::peer_max_streams() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool Session::is_extended_connect_accepted_by_peer() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
         1;
}

}  // namespace lateen::http::h2
