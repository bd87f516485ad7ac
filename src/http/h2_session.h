// HTTP/2 connection over nghttp2's sans-IO core: what the server and the client side have in
// common. nghttp2's callbacks only record; services, body readers and callers are told afterwards
// (dispatch), so no code of others runs inside the library. Bodies are pulled: windows open as the
// reader takes bytes, and the writer's body is polled only ahead of what the peer's window takes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "http/message.h"
#include "net/stream.h"

struct nghttp2_session;

namespace lateen::http::h2 {

class Session;
struct Callbacks;  // the C callbacks, in h2_callbacks.cc

// The receiving half of a stream as a body; owned by whoever reads it.
class Inbound final : public BodySource {
 public:
  Inbound(Session& session, std::int32_t stream_id) : session_(&session), stream_id_(stream_id) {}
  ~Inbound() override;
  std::optional<Result<Chunk>> poll(Waker waker) override;

 private:
  friend class Session;
  friend struct Callbacks;
  Session* session_;  // null once the stream is gone
  std::int32_t stream_id_;
  Buffer received_;
  bool is_done_ = false;
  bool is_waiting_ = false;
  std::optional<Headers> trailers_;
  std::optional<Error> failure_;
  Waker waker_{};
};

// One header block while it arrives, and complete.
struct Block {
  explicit Block(Arena& arena) : fields(arena) {}
  std::string_view method, scheme, authority, path, protocol, host;
  int status = 0;
  Headers fields;
  std::size_t bytes = 0;
  std::size_t count = 0;
  bool is_too_large = false;
  bool is_complete = false;
  bool is_end_stream = false;
};

struct Stream {
  explicit Stream(Session& session) : session(session) {}
  virtual ~Stream() = default;
  Session& session;
  std::int32_t id = 0;
  // Receiving.
  std::optional<Block> head;  // the last block but trailers
  std::optional<Block> trailers;
  Inbound* inbound = nullptr;  // owned by its reader; null: bytes are thrown away
  Buffer early;                // came before dispatch saw the head
  bool is_receive_done = false;
  // Sending.
  Body outgoing;
  Buffer ready;  // polled, not yet framed
  std::optional<Headers> outgoing_trailers;
  bool has_outgoing = false;      // a data provider is submitted
  bool is_outgoing_done = false;  // the body gave its last chunk
  bool is_sent = false;           // END_STREAM is on its way
  bool is_polling = false;
  bool is_held = false;      // a tunnel that the peer has not accepted yet
  bool is_deferred = false;  // nghttp2 waits for resume_data
  // Both.
  bool is_head_new = false;  // dispatch has not seen `head`
  bool is_closed = false;
  bool is_reset_by_peer = false;
  bool is_touched = false;       // waits for dispatch
  bool is_erased = false;        // only waits for its memory to be freed
  std::optional<Error> failure;  // of our own making, before RST_STREAM
  std::uint32_t error_code = 0;  // with is_closed (RFC 9113 §7)
  SteadyTime last_activity{};
};

struct SessionLimits {
  std::uint32_t max_concurrent_streams;
  std::uint32_t stream_window_bytes;
  std::uint32_t connection_window_bytes;
  std::size_t max_header_bytes;
  std::size_t max_header_count;
  bool is_extended_connect_allowed = false;
};

class Session {
 public:
  enum class Side : unsigned char { kServer, kClient };
  Session(event::Loop& loop, std::unique_ptr<net::Stream> stream, Side side,
          const SessionLimits& limits);
  virtual ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 protected:
  friend class Inbound;
  friend struct Callbacks;

  // Weak handle for callbacks that may outlive us.
  struct Life {
    Session* self;
  };

  // What the sides differ in. All but arena_for run outside nghttp2.
  virtual std::unique_ptr<Stream> open_stream(std::int32_t id) = 0;  // server: the peer opens one
  virtual Arena& arena_for(Stream& stream) = 0;
  virtual void dispatch_head(Stream& stream) = 0;    // `head` is complete
  virtual void dispatch_sent(Stream& stream) = 0;    // END_STREAM went out
  virtual void dispatch_closed(Stream& stream) = 0;  // both ends or RST_STREAM; erase follows
  virtual void dispatch_inbound_dropped(Stream& stream) = 0;  // the reader gave up before the end
  virtual void on_goaway() {}                                 // inside nghttp2: notes only
  virtual void on_ping_ack() {}                               // likewise
  virtual void after_turn() {}  // everything that arrived was dispatched and output was written
  // The connection is over; called once, within a turn: runs no code of others.
  virtual void on_broken(const Error& why) = 0;

  void start();  // sends our SETTINGS
  void feed(Buffer bytes);
  void ready(bool readable, bool writable);
  Stream* find(std::int32_t id);
  Stream& add_stream(std::unique_ptr<Stream> stream);
  void erase_stream(std::int32_t id);
  Body make_inbound(Stream& stream, std::optional<std::uint64_t> length);

  // `body` empty: END_STREAM comes with the head. `server_name` and a date are added when missing.
  void submit_response(Stream& stream, int status, const Headers& fields, Body body,
                       std::string_view server_name);
  void submit_interim(Stream& stream, int status, const Headers& fields);
  // Gives `stream` its id. False when the session takes no more streams.
  bool submit_request(Stream& stream, const std::vector<Headers::Field>& pseudo,
                      const Headers& fields, Body body);
  void reset_stream(Stream& stream, std::uint32_t error_code);
  void pump(Stream& stream);  // polls its outgoing body
  void touch(Stream& stream);
  void schedule_flush();
  void send_ping();
  void send_shutdown_notice();
  void send_goaway();
  void close_when_done();
  void fail(Error why);
  std::uint32_t peer_max_streams() const;
  bool is_extended_connect_accepted_by_peer() const;

  event::Loop& loop_;
  const SessionLimits limits_;
  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<Life> life_;
  std::unordered_map<std::int32_t, std::unique_ptr<Stream>> streams_;
  SteadyTime last_activity_;
  bool is_broken_ = false;
  bool is_peer_leaving_ = false;  // GOAWAY received

 protected:
  // Cuts the reader off from `stream`, and gives it.
  Inbound* close_inbound(Stream& stream);
  // The reader's waker when it waits; it is not called otherwise any more.
  static Waker take_waker(Inbound& inbound);

 private:
  void receive();
  void dispatch();
  void dispatch_one(Stream& stream);
  void collect_output();
  bool write_output();
  void consume(std::int32_t stream_id, std::size_t bytes);
  void drop_inbound(Inbound& inbound);
  void turn(bool readable);
  bool is_flood();

  nghttp2_session* session_ = nullptr;
  const Side side_;
  Buffer in_;
  Buffer out_;
  std::vector<std::int32_t> touched_;
  std::vector<std::int32_t> hungry_;  // streams whose `ready` ran low
  std::vector<std::unique_ptr<Stream>> retired_;
  bool is_flush_scheduled_ = false;
  bool is_in_turn_ = false;  // ready() or a scheduled flush is on the stack
  bool is_closing_ = false;
  // Of a server: the last streams the peer opened, and the last it ended itself. Frames on streams
  // that never were, or that it ended, are errors (RFC 9113 §5.1).
  static constexpr std::size_t kRemembered = 128;
  std::array<std::int32_t, kRemembered> opened_{};
  std::array<std::int32_t, kRemembered> ended_{};
  std::size_t opened_count_ = 0, ended_count_ = 0;
  static constexpr std::uint64_t kMostFaults = 100;
  std::uint64_t faults_ = 0;  // streams that we had to reset for what the peer sent
  std::uint64_t window_updates_ = 0, data_frames_sent_ = 0;
  std::uint32_t idle_frames_ = 0;  // frames that carry nothing, within a second
  SteadyTime idle_frames_since_{};
};

}  // namespace lateen::http::h2
