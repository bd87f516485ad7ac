// Signals as events.
#include "event/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace lateen::event {
namespace {

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

}  // namespace

void block_signals(std::initializer_list<int> signals) {
  ::signal(SIGPIPE, SIG_IGN);
  const sigset_t set = set_of(signals);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Result<std::unique_ptr<SignalWatch>> watch_signals(Loop& loop, std::initializer_list<int> signals,
                                                   Function<void(int)> on_signal) {
  block_signals(signals);
  const sigset_t set = set_of(signals);
  auto made = std::make_unique<SignalWatch>();
  made->fd = Fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!made->fd.is_open()) return errno_error("signalfd", errno);
  made->watch = loop.watch(made->fd.get(),
                           [fd = made->fd.get(), on_signal = std::move(on_signal)](FdWatch::Ready) {
                             signalfd_siginfo info;
                             while (::read(fd, &info, sizeof info) == sizeof info)
                               on_signal(static_cast<int>(info.ssi_signo));
                           });
  return made;
}

}  // namespace lateen::event
