// One small HTTP call of the agent to its own pod: the proxy's admin port, the application's
// metrics and probes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "http/client.h"

namespace lateen::agent {

struct LocalCall {
  net::Address to;
  std::string method = "GET";
  std::string path = "/";
  std::string host = "localhost";
  std::vector<std::pair<std::string, std::string>> headers;
  bool is_tls = false;  // https probes: certificates are not verified, as kubelet does not either
  milliseconds limit{2'000};
  std::size_t max_body_bytes = 32u << 20;
};
struct LocalReply {
  int status = 0;
  std::string content_type;
  std::string body;
};
// A connection of its own, closed after. Destroying `scope` abandons the call.
void call_local(event::Scope& scope, event::Loop& loop, LocalCall call,
                event::Completion<LocalReply> done);

}  // namespace lateen::agent
