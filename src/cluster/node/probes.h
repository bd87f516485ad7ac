// One try of a probe or of a lifecycle hook: HTTP GET, TCP connect, gRPC health check or a command
// in the container. Blocking; when to try and what the outcome means is the pod worker's business.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/function.h"
#include "data/json.h"

namespace lateen::cluster::node {

struct Outcome {
  bool is_success = false;
  std::string message;  // of a failure, as kubelet words it
};

struct ProbeTarget {
  std::string pod_ip;
  data::Json container;  // named ports
  // Runs a command in the container: its exit code and the start of its output. DeadlineExceeded
  // when it had to be killed.
  struct Finished {
    int exit_code;
    std::string output;
  };
  Function<Result<Finished>(const std::vector<std::string>& command, milliseconds limit)> exec;
};

// `handler` has one of httpGet, tcpSocket, grpc, exec (a probe or a lifecycle handler).
Outcome try_handler(const data::Json& handler, const ProbeTarget& target, milliseconds limit);

// A container port by number or by name.
Result<int> resolve_port(const data::Json& port, const data::Json& container);

}  // namespace lateen::cluster::node
