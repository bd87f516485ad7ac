// The agent's connection to the control plane: one HTTP/2 pool per address, TLS against the mesh's
// root certificate, resolved anew for each connection. Lives on the agent's loop.
#pragma once

#include <memory>
#include <string>

#include "grpc/client.h"
#include "http/client.h"
#include "net/resolver.h"

namespace lateen::agent {

class Upstream {
 public:
  // `address` is host:port; `root_file` is read for every connection, so that a rotated root is
  // used. `loop` and `resolver` outlive us.
  Upstream(event::Loop& loop, net::Resolver& resolver, std::string address, std::string root_file);

  http::ClientPool& pool() { return *pool_; }
  const std::string& authority() const { return address_; }

 private:
  std::string address_;
  std::unique_ptr<http::ClientPool> pool_;
};

// The projected service account token as gRPC metadata {"authorization", "Bearer …"}; read each
// time: kubelet rotates it.
Result<grpc::Metadata> token_metadata(const std::string& token_file, const std::string& cluster_id);

}  // namespace lateen::agent
