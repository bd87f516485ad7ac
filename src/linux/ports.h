// Ports of the machine's loopback, and who holds a TCP port, for messages about those that cannot
// be had.
#pragma once

#include <string>

#include "linux/fd.h"

namespace lateen::os {

// "nginx (pid 412)"; empty when it cannot be told (another user's process).
std::string port_holder(int port);

// A socket bound to 127.0.0.1:port, not listening yet: others are refused, nobody else gets it. The
// error says who has it, or that low ports need a privilege.
Result<Fd> reserve_loopback_port(int port);
Result<> start_listening(int fd);
// A UDP socket on 127.0.0.1:port.
Result<Fd> bind_loopback_udp(int port);

}  // namespace lateen::os
