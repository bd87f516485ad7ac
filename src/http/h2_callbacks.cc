// These only record what arrived; Session::dispatch tells others about it.
#include "http/h2_callbacks.h"

#include <algorithm>

#include "base/strings.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"

namespace lateen::http::h2 {
namespace {

constexpr std::size_t kLowReadyBytes = 16 * 1024;
constexpr std::uint64_t kFreeUpdates = 1000, kMostUpdatesPerFrame = 10;

Session& of(void* user_data) { return *static_cast<Session*>(user_data); }
std::string_view view(const std::uint8_t* bytes, std::size_t length) {
  return {reinterpret_cast<const char*>(bytes), length};
}

}  // namespace

nghttp2_session* Callbacks::make_session(Session& session, bool is_server) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* options = nullptr;
  CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&options) == 0);
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_session* made = nullptr;
  const int rc = is_server ? nghttp2_session_server_new2(&made, callbacks, &session, options)
                           : nghttp2_session_client_new2(&made, callbacks, &session, options);
  nghttp2_option_del(options);
  nghttp2_session_callbacks_del(callbacks);
  CHECK(rc == 0);
  return made;
}

// Frames that cost us and carry nothing, which nghttp2 does not tell of when it ignores them.
// Window updates are welcome as long as there is something to update for.
bool Callbacks::is_costly(Session& session, const nghttp2_frame_hd& head) {
  switch (head.type) {
    case NGHTTP2_DATA: return head.length == 0 && (head.flags & NGHTTP2_FLAG_END_STREAM) == 0;
    case NGHTTP2_WINDOW_UPDATE:
      return ++session.window_updates_ >
             kFreeUpdates + kMostUpdatesPerFrame * session.data_frames_sent_;
    case NGHTTP2_HEADERS: return session.faults_ > Session::kMostFaults;
    default: return head.type > NGHTTP2_CONTINUATION;
  }
}

// nghttp2 ignores what comes for streams it does not know any more. That is right for those we
// reset; on others it is the peer's error.
int Callbacks::on_begin_frame(nghttp2_session* raw, const nghttp2_frame_hd* head, void* user_data) {
  Session& session = of(user_data);
  if (is_costly(session, *head) && session.is_flood()) return NGHTTP2_ERR_CALLBACK_FAILURE;
  if (session.side_ == Session::Side::kClient) return 0;
  const std::int32_t id = head->stream_id;
  if ((head->type != NGHTTP2_DATA && head->type != NGHTTP2_HEADERS) || id % 2 == 0 ||
      session.find(id) != nullptr)
    return 0;
  const auto has = [id](const auto& ring) {
    return std::find(ring.begin(), ring.end(), id) != ring.end();
  };
  std::uint32_t error = NGHTTP2_NO_ERROR;
  if (has(session.ended_)) {
    error = NGHTTP2_STREAM_CLOSED;
  } else if (head->type == NGHTTP2_HEADERS && session.opened_count_ > 0) {
    constexpr std::size_t kSize = Session::kRemembered;
    const std::int32_t newest = session.opened_[(session.opened_count_ - 1) % kSize];
    const std::int32_t oldest =
        session.opened_count_ < kSize ? 0 : session.opened_[session.opened_count_ % kSize];
    if (id < newest && id > oldest && !has(session.opened_)) error = NGHTTP2_PROTOCOL_ERROR;
  }
  if (error == NGHTTP2_NO_ERROR) return 0;
  nghttp2_submit_goaway(raw, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(raw), error,
                        nullptr, 0);
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Callbacks::on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
  Session& session = of(user_data);
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  const std::int32_t id = frame->hd.stream_id;
  Stream* stream = session.find(id);
  if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    session.opened_[session.opened_count_++ % Session::kRemembered] = id;
    auto opened = session.open_stream(id);
    if (opened == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    opened->id = id;
    stream = &session.add_stream(std::move(opened));
  }
  if (stream == nullptr) return 0;
  stream->last_activity = session.loop_.now();
  const bool is_trailers = stream->head && stream->head->is_complete && stream->head->status != 0
                               ? stream->head->status >= 200
                               : stream->head.has_value();
  auto& block = is_trailers ? stream->trailers : stream->head;
  block.emplace(session.arena_for(*stream));
  return 0;
}

int Callbacks::on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name_at,
                         std::size_t name_length, const std::uint8_t* value_at,
                         std::size_t value_length, std::uint8_t, void* user_data) {
  Session& session = of(user_data);
  Stream* stream = session.find(frame->hd.stream_id);
  if (stream == nullptr) return 0;
  Block* block = stream->trailers ? &*stream->trailers : stream->head ? &*stream->head : nullptr;
  if (block == nullptr) return 0;
  const std::string_view name = view(name_at, name_length);
  block->bytes += name_length + value_length + 32;
  ++block->count;
  if (block->bytes > session.limits_.max_header_bytes ||
      block->count > session.limits_.max_header_count + 5) {
    block->is_too_large = true;
    // Far beyond the limit nobody means well (HPACK bombs).
    return block->bytes > 4 * session.limits_.max_header_bytes + 65536
               ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
               : 0;
  }
  const std::string_view value = block->fields.arena().copy(view(value_at, value_length));
  if (!name.starts_with(':')) {
    if (name == "host") block->host = value;
    else block->fields.add_view(block->fields.arena().copy(name), value);
    return 0;
  }
  if (name == ":method") block->method = value;
  else if (name == ":scheme") block->scheme = value;
  else if (name == ":authority") block->authority = value;
  else if (name == ":path") block->path = value;
  else if (name == ":protocol") block->protocol = value;
  else if (name == ":status") block->status = static_cast<int>(parse_uint(value).value_or(0));
  return 0;
}

int Callbacks::on_invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*,
                                 std::size_t, const std::uint8_t*, std::size_t, std::uint8_t,
                                 void*) {
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // Malformed: a stream error (RFC 9113 §8.1.1).
}

int Callbacks::on_frame(nghttp2_session* raw, const nghttp2_frame* frame, void* user_data) {
  Session& session = of(user_data);
  const bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  Stream* stream = frame->hd.stream_id > 0 ? session.find(frame->hd.stream_id) : nullptr;
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      if (stream == nullptr) return 0;
      if (stream->trailers) {
        stream->trailers->is_complete = true;
      } else if (stream->head) {
        stream->head->is_complete = true;
        stream->head->is_end_stream = is_end;
        stream->is_head_new = true;
        // An interim head is told at once: the final one may follow in the same read.
        if (stream->head->status >= 100 && stream->head->status < 200) {
          session.dispatch_head(*stream);
          stream->is_head_new = false;
        }
      }
      session.touch(*stream);
      break;
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) session.on_ping_ack();
      if (session.is_flood()) return NGHTTP2_ERR_CALLBACK_FAILURE;
      break;
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
      if (session.is_flood()) return NGHTTP2_ERR_CALLBACK_FAILURE;
      break;
    case NGHTTP2_RST_STREAM:
      if (stream != nullptr) stream->is_reset_by_peer = true;
      break;
    case NGHTTP2_GOAWAY:
      session.is_peer_leaving_ = true;
      session.on_goaway();
      break;
    default: break;
  }
  if (stream != nullptr && is_end &&
      (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
    stream->is_receive_done = true;
    if (stream->inbound != nullptr) {
      stream->inbound->is_done_ = true;
      if (stream->trailers) stream->inbound->trailers_ = stream->trailers->fields;
    }
    session.touch(*stream);
  }
  (void)raw;
  return 0;
}

int Callbacks::on_data(nghttp2_session* raw, std::uint8_t, std::int32_t id,
                       const std::uint8_t* data, std::size_t length, void* user_data) {
  Session& session = of(user_data);
  Stream* stream = session.find(id);
  if (stream == nullptr || (stream->inbound == nullptr && !stream->is_head_new)) {
    nghttp2_session_consume(raw, id, length);
    return 0;
  }
  stream->last_activity = session.loop_.now();
  if (stream->inbound != nullptr) stream->inbound->received_.append(view(data, length));
  else stream->early.append(view(data, length));
  session.touch(*stream);
  return 0;
}

int Callbacks::on_close(nghttp2_session*, std::int32_t id, std::uint32_t error_code,
                        void* user_data) {
  Session& session = of(user_data);
  Stream* stream = session.find(id);
  if (stream == nullptr) return 0;
  stream->is_closed = true;
  stream->error_code = error_code;
  if (stream->is_receive_done || stream->is_reset_by_peer)
    session.ended_[session.ended_count_++ % Session::kRemembered] = id;
  session.touch(*stream);
  return 0;
}

int Callbacks::on_frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
  Session& session = of(user_data);
  if (frame->hd.type == NGHTTP2_DATA) ++session.data_frames_sent_;
  if (frame->hd.type == NGHTTP2_RST_STREAM) {
    // A client that makes us reset its streams has them not counted as open (CVE-2025-8671).
    const std::uint32_t error = frame->rst_stream.error_code;
    if (error == NGHTTP2_PROTOCOL_ERROR || error == NGHTTP2_FLOW_CONTROL_ERROR ||
        error == NGHTTP2_STREAM_CLOSED || error == NGHTTP2_FRAME_SIZE_ERROR)
      ++session.faults_;
  }
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  Stream* stream = session.find(frame->hd.stream_id);
  if (stream == nullptr) return 0;
  stream->last_activity = session.loop_.now();
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  stream->is_sent = true;
  session.touch(*stream);
  return 0;
}

ssize_t Callbacks::read_outgoing(nghttp2_session* raw, std::int32_t id, std::uint8_t*,
                                 std::size_t length, std::uint32_t* flags, nghttp2_data_source*,
                                 void* user_data) {
  Session& session = of(user_data);
  Stream* stream = session.find(id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (stream->ready.empty() && !stream->is_outgoing_done) {
    stream->is_deferred = true;
    if (!stream->is_held) session.hungry_.push_back(id);
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t count = std::min(length, stream->ready.size());
  const bool is_last = stream->is_outgoing_done && count == stream->ready.size();
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (is_last) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->outgoing_trailers) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      FieldList fields;
      fields.add_all(*stream->outgoing_trailers);
      nghttp2_submit_trailer(raw, id, fields.data(), fields.size());
    }
  } else if (!stream->is_outgoing_done && stream->ready.size() - count < kLowReadyBytes) {
    session.hungry_.push_back(id);
  }
  return static_cast<ssize_t>(count);
}

int Callbacks::send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* frame_head,
                         std::size_t length, nghttp2_data_source*, void* user_data) {
  Session& session = of(user_data);
  Stream* stream = session.find(frame->hd.stream_id);
  if (stream == nullptr || stream->ready.size() < length)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  session.out_.append(view(frame_head, 9));
  if (length > 0) session.out_.append(stream->ready.take(length));
  return 0;
}

void FieldList::add(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  };
  list_.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
}

void FieldList::add_all(const Headers& fields) {
  list_.reserve(list_.size() + fields.size() + 4);
  for (const auto& [name, value] : fields) {
    if (h1::is_connection_field(name) || !h1::is_token(name) || !h1::is_field_value(value))
      continue;
    if (iequals(name, "host")) continue;
    if (iequals(name, "te") && !iequals(value, "trailers")) continue;
    std::string_view lower = name;
    if (std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
      lower = fields.arena().copy(to_lower(name));
    }
    has_date_ |= lower == "date";
    has_server_ |= lower == "server";
    has_length_ |= lower == "content-length";
    add(lower, value);
  }
}

}  // namespace lateen::http::h2
