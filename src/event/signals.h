// Signals as events on a loop, through a signalfd(2).
#pragma once

#include <initializer_list>
#include <memory>

#include "base/fd.h"
#include "event/loop.h"

namespace lateen::event {

// Blocks `signals` in the calling thread and ignores SIGPIPE. Call before threads start, so that
// all inherit the mask; a signal that comes before it is watched waits.
void block_signals(std::initializer_list<int> signals);

// Alive as long as the signals are wanted; they stay blocked afterwards.
struct SignalWatch {
  Fd fd;
  std::unique_ptr<FdWatch> watch;
};
// Blocks `signals` as above and calls `on_signal` on the loop for each that comes.
Result<std::unique_ptr<SignalWatch>> watch_signals(Loop& loop, std::initializer_list<int> signals,
                                                   Function<void(int signal)> on_signal);

}  // namespace lateen::event
