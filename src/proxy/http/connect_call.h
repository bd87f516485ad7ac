// CONNECT that ends here: the request's payload goes on as plain TCP (connect_config).
#pragma once

#include "proxy/http/router.h"
#include "proxy/network/relay.h"

namespace lateen::proxy {

class ConnectCall final : public RouterWork {
 public:
  ConnectCall(HttpState& stream, UpstreamRef upstream, http::Request request, http::Done done);
  void start();

 private:
  void on_connected(const HostRef& host, Result<std::unique_ptr<net::Stream>> stream);

  HttpState& stream_;
  UpstreamRef upstream_;
  http::Request request_;
  http::Done done_;
  std::unique_ptr<Relay> relay_;
  event::Scope scope_;  // last
};

}  // namespace lateen::proxy
