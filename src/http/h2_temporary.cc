// Placeholder until the HTTP/2 codecs land (minutes): refuses by closing.
#include "http/client_codec.h"
#include "http/h1_client.h"
#include "http/h1_server.h"

namespace lateen::http::h2 {
std::unique_ptr<http::ServerCodec> make_server_codec(event::Loop& loop,
                                                     std::unique_ptr<net::Stream> stream,
                                                     ConnectionInfo info, Service& service,
                                                     const ServerOptions& options,
                                                     Function<void(ServerConnection&)> on_closed) {
  return std::make_unique<h1::ServerCodec>(loop, std::move(stream), std::move(info), service,
                                           options, std::move(on_closed));
}
std::unique_ptr<http::ClientCodec> make_client_codec(event::Loop& loop,
                                                     std::unique_ptr<net::Stream> stream,
                                                     const ClientOptions& options,
                                                     http::ClientCodec::Events& events) {
  return std::make_unique<h1::ClientCodec>(loop, std::move(stream), options, events);
}
}  // namespace lateen::http::h2
