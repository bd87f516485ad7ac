// Envoy's secret discovery service on the workload's Unix socket: "default" is the certificate with
// its key, "ROOTCA" the trust anchor, "file-cert:CHAIN~KEY" and "file-root:PATH" are files. Both
// stream variants. Lives on the loop.
#pragma once

#include <list>
#include <memory>

#include "agent/identity.h"
#include "grpc/server.h"

namespace lateen::agent {

class SdsService {
 public:
  // `identity` outlives us.
  explicit SdsService(const Identity& identity) : identity_(identity) {}
  ~SdsService();
  void register_on(grpc::Service& service);
  // New credentials: pushes to all streams that want them.
  void credentials_changed();

 private:
  class Stream;
  const Identity& identity_;
  std::list<Stream*> streams_;
  std::uint64_t version_ = 0;
};

}  // namespace lateen::agent
