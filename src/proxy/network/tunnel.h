// Opening a byte stream through an HTTP upstream: CONNECT (HBONE is that over HTTP/2 with mutual
// TLS), or POST.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/client.h"

namespace lateen::proxy {

struct TunnelRequest {
  std::string authority;
  std::string path;  // with POST
  bool is_post = false;
  std::vector<std::pair<std::string, std::string>> headers;
};

// `pool` and `loop` outlive the stream. An answer other than 2xx is an error that says the status.
void open_tunnel(event::Scope& scope, event::Loop& loop, http::ClientPool& pool,
                 const TunnelRequest& request,
                 event::Completion<std::unique_ptr<net::Stream>> done);

}  // namespace lateen::proxy
