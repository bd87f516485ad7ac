// Signals as events on a loop, through a signalfd.
#pragma once

#include <memory>

#include "event/loop.h"
#include "net/socket.h"

namespace lateen::proxy {

struct SignalWatch {
  net::Fd fd;
  std::unique_ptr<event::FdWatch> watch;
};
// SIGTERM, SIGINT and SIGUSR1. Call before threads start, so that they inherit the mask.
Result<std::unique_ptr<SignalWatch>> watch_signals(event::Loop& loop,
                                                   Function<void(int signal)> on_signal);

}  // namespace lateen::proxy
