// A program that is a handful of servers: listening on both families, and serving until told to
// end.
#pragma once

#include <memory>
#include <vector>

#include "http/server.h"

namespace lateen::http {

// A socket that listens on `port` for IPv6 and IPv4, or for IPv4 alone where the machine has no
// IPv6.
Result<Fd> listen_on_both_families(std::uint16_t port);

// Runs the loop until SIGTERM or SIGINT: then drains all `servers`, at most for `give_up`, and
// returns. Block the signals (event/signals.h) before any thread starts.
Result<> serve_until_told(event::Loop& loop, std::vector<std::unique_ptr<Server>>& servers,
                          milliseconds give_up);

}  // namespace lateen::http
