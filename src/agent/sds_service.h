// Envoy's secret discovery service on the workload's Unix socket: "default" is the certificate with
// its key, "ROOTCA" the trust anchor with the revocation lists that are mounted,
// "file-cert:CHAIN~KEY" and "file-root:PATH" are files. Both stream variants. Lives on the loop.
#pragma once

#include <list>
#include <memory>

#include "agent/identity.h"
#include "grpc/server.h"

namespace lateen::agent {

class SdsService {
 public:
  // `identity` outlives us. The lists' file may be missing.
  SdsService(const Identity& identity, std::string crl_file)
      : identity_(identity), crl_file_(std::move(crl_file)) {}
  ~SdsService();
  void register_on(grpc::Service& service);
  // New credentials: pushes to all streams that want them.
  void credentials_changed();
  // Looks at the lists' file: when it changed, pushes. Cheap; called now and then.
  void check_lists();

 private:
  class Stream;
  const Identity& identity_;
  std::string crl_file_;
  std::string crl_;  // as it was pushed
  std::list<Stream*> streams_;
  std::uint64_t version_ = 0;
};

}  // namespace lateen::agent
