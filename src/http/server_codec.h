// What serve() drives: a codec on a connection whose protocol is decided.
#pragma once

#include "http/server.h"

namespace lateen::http {

class ServerCodec : public ServerConnection {
 public:
  // Starts with bytes that were read while the protocol was found out. Called once, from the loop.
  virtual void begin(Buffer already_read) = 0;
  // The stream's readiness; serve() owns the stream's callback.
  virtual void ready(bool readable, bool writable) = 0;
};

namespace h2 {
std::unique_ptr<ServerCodec> make_server_codec(event::Loop& loop,
                                               std::unique_ptr<net::Stream> stream,
                                               ConnectionInfo info, Service& service,
                                               const ServerOptions& options,
                                               Function<void(ServerConnection&)> on_closed);
}  // namespace h2

}  // namespace lateen::http
