// HTTP to Api and back: reads bodies, hands requests to the pool, streams watches, upgrades
// connections.
#pragma once

#include "cluster/apiserver/api.h"
#include "cluster/apiserver/worker_pool.h"
#include "http/message.h"

namespace lateen::cluster::apiserver {

// Lives on one loop; all arguments outlive it.
class NetworkService final : public http::Service {
 public:
  NetworkService(Api& api, Authenticator& authenticator, WorkerPool& pool)
      : api_(api), authenticator_(authenticator), pool_(pool) {}
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;

 private:
  struct Pending;
  void submit(http::Exchange& exchange, ApiRequest request, http::Body tunnel, http::Done done);
  Api& api_;
  Authenticator& authenticator_;
  WorkerPool& pool_;
};

// Authenticates and runs one request: what both doors share. `tls` may be null.
ApiResponse serve_authenticated(Api& api, Authenticator& authenticator, ApiRequest& request,
                                const net::TlsInfo* tls);

}  // namespace lateen::cluster::apiserver
