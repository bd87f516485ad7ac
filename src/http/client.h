// HTTP client side: connections to one upstream address, pooled. Lives on one loop.
#pragma once

#include <memory>
#include <string>

#include "http/message.h"
#include "net/socket.h"
#include "tls/context.h"

namespace lateen::http {

struct ClientOptions {
  enum class Protocol : unsigned char { kHttp1, kHttp2, kByAlpn };
  Protocol protocol = Protocol::kHttp1;
  milliseconds connect_timeout{10'000};
  milliseconds idle_timeout{3'600'000};
  std::uint32_t max_connections = 1024;  // HTTP/1: concurrent exchanges
  std::uint32_t max_pending =
      1024;  // waiting for a connection; over it fails with ResourceExhausted
  std::uint32_t max_requests_per_connection = 0;  // 0: no bound
  std::uint32_t max_concurrent_streams = 100;     // HTTP/2, with the peer's own limit
  std::uint32_t stream_window_bytes = 256 * 1024;
  std::uint32_t connection_window_bytes = 1024 * 1024;
  std::size_t max_header_bytes = 60 * 1024;
  std::size_t max_header_count = 100;
  bool is_h1_header_case_kept = false;
  milliseconds h2_ping_interval{0};  // keepalive; 0: off
  milliseconds h2_ping_timeout{0};
  milliseconds max_connection_duration{0};  // then it takes no more calls; 0: no bound
  double preconnect_ratio = 1;              // connections for each call under way or pending
  bool is_plain_get_sent_early = false;
};

// How a request ended badly, for retries: was any byte of it seen by the peer?
enum class Sent : unsigned char { kNothing, kMaybe };

// Connects a raw (or TLS) stream for the pool: TCP, TLS, Unix, an internal listener, a tunnel.
class Connector {
 public:
  virtual ~Connector() = default;
  virtual void connect(event::Scope& scope, milliseconds limit,
                       event::Completion<std::unique_ptr<net::Stream>> done) = 0;
};
// `server_name`: SNI; unused without `tls`.
std::unique_ptr<Connector> make_connector(event::Loop& loop, net::Address to,
                                          std::shared_ptr<const tls::Context> tls = nullptr,
                                          std::string server_name = {},
                                          std::vector<std::string> alpn = {});

// A failed call: the error, and whether it is safe to send again (RFC 9110 §9.2.2, RFC 9113 §8.7).
struct CallError {
  Error error;
  Sent sent;
  bool is_connect_failure = false;
  bool is_reset = false;           // the peer reset the stream or connection
  bool is_refused_stream = false;  // REFUSED_STREAM, or above the GOAWAY's last stream
  // The connection had carried a call before and ended without a byte of a response: the peer may
  // have closed it before this request came (RFC 9112 §9.3.1).
  bool is_reused_connection = false;
};
struct CallResult {
  std::optional<Response> response;     // header complete; its body is pulled
  std::optional<CallError> error;       // exactly one of both is set
  const net::Stream* stream = nullptr;  // the connection, as long as the response's body lives
};

// Connections to one upstream. Destroying it closes them; calls under way never complete.
class ClientPool {
 public:
  virtual ~ClientPool() = default;
  // Sends `request` on a pooled connection. The response's header text lives in `exchange.arena`.
  // Destroying `scope` abandons the call (RST_STREAM or close). `done` fires from the loop.
  virtual void call(event::Scope& scope, Exchange& exchange, Request request,
                    Function<void(CallResult)> done) = 0;
  // Closes idle connections, lets busy ones finish.
  virtual void drain() = 0;
  virtual std::size_t connection_count() const = 0;
  virtual std::size_t active_count() const = 0;  // exchanges under way and pending
};
std::unique_ptr<ClientPool> make_client_pool(event::Loop& loop,
                                             std::unique_ptr<Connector> connector,
                                             const ClientOptions& options);

}  // namespace lateen::http
