// Whom a name means: a service of the cluster, a host of a ServiceEntry, a pod, an address.
#pragma once

#include "cli/explain/world.h"

namespace lateen::cli::explain {

struct Target {
  std::string host;       // the full name, or the address
  std::string authority;  // what a client writes into the host header
  std::string ip;         // that the client dials; empty: not known here
  int port = 0;
  bool is_http = true;
  bool is_tls = false;
  const Json* service = nullptr;
  const Json* port_spec = nullptr;  // of the service
  const Json* pod = nullptr;
  std::vector<ObjectRef> objects;
  std::vector<std::string> notes;
  std::string problem;  // why nothing can be sent there; empty: none
};

// `text`: [SCHEME://]HOST[:PORT], svc/NAME, pod/NAME; short names mean a service of `ns`.
Result<Target> resolve(World& world, const std::string& text, const std::string& ns);

}  // namespace lateen::cli::explain
