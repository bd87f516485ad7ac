// HTTP/1 and HTTP/2 server side of connections: picks the codec by ALPN or by the HTTP/2 preface.
#pragma once

#include <memory>

#include "http/message.h"
#include "net/socket.h"
#include "tls/context.h"

namespace lateen::http {

enum class Codec : unsigned char { kAuto, kHttp1, kHttp2 };

// Limits hold per connection. Time-outs of zero are off.
struct ServerOptions {
  Codec codec = Codec::kAuto;
  std::size_t max_header_bytes = 60 * 1024;  // Envoy's default
  std::size_t max_header_count = 100;
  std::uint32_t max_concurrent_streams = 100;  // HTTP/2
  std::uint32_t stream_window_bytes = 256 * 1024;
  std::uint32_t connection_window_bytes = 1024 * 1024;
  std::size_t body_buffer_bytes = 256 * 1024;  // read ahead per stream at most
  milliseconds header_timeout{0};              // first byte to end of headers
  milliseconds idle_timeout{3'600'000};        // no exchange under way
  milliseconds stream_idle_timeout{0};         // no byte in either direction of an exchange
  milliseconds max_connection_duration{0};
  std::uint32_t max_requests_per_connection = 0;  // 0: no bound
  bool is_http10_accepted = true;
  bool is_extended_connect_allowed = false;  // RFC 8441
  bool is_h1_header_case_kept = false;
  std::string server_name = "lateen";  // "server" header when the response has none; "" adds none
};

// One connection. Destroying it closes the socket and every exchange on it.
class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  // Finishes what is under way: "connection: close" on HTTP/1, GOAWAY on HTTP/2 (RFC 9113 §6.8),
  // then closes.
  virtual void drain() = 0;
  // The same, but an HTTP/1 connection that waits for a request goes on until its next response,
  // so that no request crosses our close on the wire.
  virtual void drain_after_next() = 0;
  virtual bool is_idle() const = 0;
  virtual const ConnectionInfo& info() const = 0;
};

// Serves `stream` until it ends, then calls `on_closed` once, from the loop (not from the
// destructor). `service` outlives the connection. `local` in `info` may differ from the socket's
// (original destination).
std::unique_ptr<ServerConnection> serve(event::Loop& loop, std::unique_ptr<net::Stream> stream,
                                        ConnectionInfo info, Service& service,
                                        const ServerOptions& options,
                                        Function<void(ServerConnection&)> on_closed);

// A whole server for programs: accepts on a listening socket, plain or TLS, and owns its
// connections. Lives on `loop`. All referenced objects outlive it.
class Server {
 public:
  Server(event::Loop& loop, Fd listening, Service& service, ServerOptions options = {},
         std::shared_ptr<const tls::Context> tls = nullptr);
  ~Server();
  const net::Address& address() const;
  // Stops accepting; calls `done` when the last exchange ended.
  void drain(Function<void()> done);
  std::size_t connection_count() const;
  // New connections use this context (certificate rotation).
  void set_tls(std::shared_ptr<const tls::Context> tls);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::http
