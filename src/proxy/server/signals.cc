// The signals are blocked in all threads and read from a descriptor.

#include "proxy/server/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace lateen::proxy {

Result<std::unique_ptr<SignalWatch>> watch_signals(event::Loop& loop,
                                                   Function<void(int)> on_signal) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  auto made = std::make_unique<SignalWatch>();
  made->fd = net::Fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!made->fd.is_open()) return errno_error("signalfd", errno);
  made->watch =
      loop.watch(made->fd.get(),
                 [fd = made->fd.get(), on_signal = std::move(on_signal)](event::FdWatch::Ready) {
                   signalfd_siginfo info;
                   while (::read(fd, &info, sizeof info) == sizeof info)
                     on_signal(static_cast<int>(info.ssi_signo));
                 });
  return made;
}

}  // namespace lateen::proxy
