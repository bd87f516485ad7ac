// gRPC over HTTP/2, client side: bytes in, bytes out, over an http::ClientPool. Lives on one loop.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "http/client.h"

namespace lateen::grpc {

using Metadata = std::vector<std::pair<std::string, std::string>>;

struct Status {
  Code code = Code::kOk;
  std::string message;
};

// One call, seen from the client. Destroying it cancels; no callback runs after.
class ClientCall {
 public:
  virtual ~ClientCall() = default;
  virtual void send(std::string message) = 0;
  virtual void half_close() = 0;
  virtual std::size_t pending_bytes() const = 0;
};
struct ClientEvents {
  Function<void(std::string message)> on_message;
  Function<void(Status)> on_end;  // once; the connection's failure is Unavailable
};
// Starts a call of "/package.Service/Method". `pool` outlives it.
std::unique_ptr<ClientCall> start_call(event::Loop& loop, http::ClientPool& pool,
                                       std::string authority, std::string path, Metadata metadata,
                                       ClientEvents events);

// One message each way.
void unary(event::Scope& scope, event::Loop& loop, http::ClientPool& pool, std::string authority,
           std::string path, Metadata metadata, std::string message, milliseconds limit,
           event::Completion<std::string> done);

}  // namespace lateen::grpc
