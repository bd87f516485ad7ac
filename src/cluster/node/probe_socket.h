// A blocking TCP connection with a deadline, for probes.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "linux/fd.h"

namespace lateen::cluster::node {

class ProbeSocket {
 public:
  // Errors read like Go's: "dial tcp 10.244.0.5:8080: connect: connection refused".
  static Result<ProbeSocket> connect(const std::string& ip, int port, milliseconds limit);
  Result<> send(std::string_view bytes);
  // At least one byte; empty at the end.
  Result<std::string> receive();

 private:
  ProbeSocket(Fd fd, std::chrono::steady_clock::time_point deadline)
      : fd_(std::move(fd)), deadline_(deadline) {}
  Result<> wait(short events);
  Fd fd_;
  std::chrono::steady_clock::time_point deadline_;
};

// grpc.health.v1.Health/Check on a connection: true when SERVING. The error says what else it was.
Result<> check_grpc_health(ProbeSocket& socket, const std::string& authority,
                           const std::string& service);

}  // namespace lateen::cluster::node
