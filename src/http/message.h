// HTTP messages as every module sees them, whatever the protocol version on the wire.
//
// One Exchange is one request with its response. Its arena owns all header text of that exchange:
// names and values are views that live as long as the exchange. Names of HTTP/2 are lower case;
// names of HTTP/1 keep their case as received and compare without it. Hop-by-hop fields (RFC 9110
// §7.6.1) are dropped by the codecs, apart from upgrades, which arrive as Request::upgrade.
#pragma once

#include <any>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/buffer.h"
#include "event/loop.h"
#include "net/address.h"
#include "net/stream.h"

namespace lateen::http {

enum class Version : unsigned char { kHttp10, kHttp11, kHttp2 };
std::string_view to_string(Version version);  // "HTTP/1.1"

// Ordered header or trailer fields; views into an arena that the creator names.
class Headers {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };
  // `arena` outlives the fields.
  explicit Headers(Arena& arena) : arena_(&arena) {}

  std::optional<std::string_view> get(std::string_view name) const;  // the first
  bool has(std::string_view name) const { return get(name).has_value(); }
  std::size_t count(std::string_view name) const;
  // Values joined with "," (RFC 9110 §5.3); empty when absent.
  std::string_view joined(std::string_view name) const;

  void reserve(std::size_t count) { fields_.reserve(count); }
  void add(std::string_view name, std::string_view value);        // copies both into the arena
  void add_view(std::string_view name, std::string_view value) {  // both outlive the exchange
    fields_.push_back({name, value});
  }
  void set(std::string_view name, std::string_view value);  // removes all of that name first
  bool remove(std::string_view name);
  template <typename Predicate>
  void remove_if(Predicate predicate) {
    std::erase_if(fields_, predicate);
  }

  bool empty() const { return fields_.empty(); }
  std::size_t size() const { return fields_.size(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  auto begin() { return fields_.begin(); }
  auto end() { return fields_.end(); }
  Arena& arena() const { return *arena_; }

 private:
  Arena* arena_;
  std::vector<Field> fields_;
};

// Told once when a source that said "not yet" has something. `context` outlives the source it is
// given to.
struct Waker {
  void (*wake)(void* context) = nullptr;
  void* context = nullptr;
};

struct Chunk {
  Buffer data;                      // may be empty
  bool is_last = false;             // nothing follows
  std::optional<Headers> trailers;  // only with is_last
};

// A body is pulled: whoever can write asks for the next chunk, so back-pressure reaches the peer's
// window.
class BodySource {
 public:
  virtual ~BodySource() =
      default;  // not read to the end: the rest is discarded or the stream reset
  // The next chunk if there is one now. nullopt: not yet; `waker` is called once, later, from the
  // loop, when asking again is worthwhile. After is_last or an error it is not called again.
  virtual std::optional<Result<Chunk>> poll(Waker waker) = 0;
};

// Move-only handle on a body. An empty Body has no bytes.
class Body {
 public:
  Body() = default;
  explicit Body(std::unique_ptr<BodySource> source,
                std::optional<std::uint64_t> length = std::nullopt)
      : source_(std::move(source)), length_(length) {}
  static Body of(Buffer bytes);
  static Body of(std::string bytes);

  bool empty() const { return source_ == nullptr; }
  // In bytes, when known before reading (content-length).
  std::optional<std::uint64_t> length() const { return empty() ? 0 : length_; }
  std::optional<Result<Chunk>> poll(Waker waker);
  std::unique_ptr<BodySource> take() { return std::move(source_); }

 private:
  std::unique_ptr<BodySource> source_;
  std::optional<std::uint64_t> length_;
};

// Reads a body to its end. Fails with ResourceExhausted when it is longer than `most_bytes`.
void read_all(event::Scope& scope, event::Loop& loop, Body body, std::size_t most_bytes,
              event::Completion<Buffer> done);

struct Request {
  explicit Request(Arena& arena) : headers(arena) {}
  std::string_view method;     // "GET", …; "CONNECT" for tunnels
  std::string_view scheme;     // "http" or "https"; from the wire (H2) or the connection (H1)
  std::string_view authority;  // Host or :authority, as sent; empty only for HTTP/1.0
  std::string_view path;     // origin form with query: "/a?b"; empty for CONNECT; "*" for OPTIONS *
  std::string_view upgrade;  // HTTP/1.1 Upgrade token or H2 :protocol; empty when none
  Version version = Version::kHttp11;
  Headers headers;  // without host, connection, transfer-encoding, upgrade
  Body body;        // after an upgrade was accepted: the raw bytes of the tunnel
};

struct Response {
  explicit Response(Arena& arena) : headers(arena) {}
  int status = 200;
  Version version =
      Version::kHttp11;  // of the upstream that sent it; ignored by the server's writer
  Headers headers;       // without connection, transfer-encoding; content-length stays
  // For 101 (HTTP/1.1 upgrade) and 2xx to CONNECT: the raw bytes of the tunnel towards the client.
  Body body;
  // Body of one piece, with content-type and content-length set.
  static Response text(Arena& arena, int status, std::string body,
                       std::string_view content_type = "text/plain; charset=utf-8");
};

// Facts of the connection that a request came on. Lives as long as the connection.
struct ConnectionInfo {
  std::uint64_t id = 0;
  net::Address local;  // where the client meant to go (original destination when redirected)
  net::Address remote;
  const net::TlsInfo* tls = nullptr;
};

// One request and its response. Made by a server per request, or by whoever makes a call of its
// own. Stays on its loop. Destroyed when the response is sent or the downstream went away; then
// `scope` cancels what is still under way.
class Exchange {
 public:
  Exchange(event::Loop& loop, const ConnectionInfo& connection)
      : loop(loop), connection(connection) {}
  event::Loop& loop;
  const ConnectionInfo& connection;
  Arena arena;
  SteadyTime started{};
  std::uint64_t request_header_bytes = 0;  // as on the wire, before decompression
  // Interim responses (1xx but 101) go down through this when set; may be called several times
  // before `done`.
  Function<void(int status, const Headers&)> send_interim;
  // Cuts the exchange off at once, whatever was sent: RST_STREAM on HTTP/2, the end of the
  // connection on HTTP/1. Set by the server. The exchange dies at the end of the turn.
  Function<void()> abort;
  // A product's own per-exchange state (the proxy's stream info); typed by who sets it.
  std::unique_ptr<struct ExchangeState> state;
  event::Scope scope;  // last: dies first
};
struct ExchangeState {
  virtual ~ExchangeState() = default;
};

// An error becomes a 5xx/4xx by its code and blame, with its message as text body.
using Done = Function<void(Result<Response>)>;

// Answers requests. Lives on the loop of the exchanges it gets, or is const and shared.
class Service {
 public:
  virtual ~Service() = default;
  // Calls `done` exactly once, at any later time or at once. `exchange` outlives `done`'s call;
  // after the downstream went away `done` may still be called and does nothing as long as
  // `exchange.scope` is respected.
  virtual void handle(Exchange& exchange, Request request, Done done) = 0;
};

}  // namespace lateen::http
