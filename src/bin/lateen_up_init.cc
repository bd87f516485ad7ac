// The first process of the cluster's PID namespace: starts `lateen cluster`, reaps, starts it again
// when it dies, and ends with it when told, or when nobody is left outside.
#include <fmt/format.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/clock.h"
#include "base/log.h"
#include "bin/supervisor.h"
#include "linux/process.h"

namespace lateen::bin {

std::int64_t steady_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Fd watch_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&wanted, number);
  ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
  return Fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
}

int next_signal(const Fd& signals) {
  signalfd_siginfo info;
  return ::read(signals.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                                  : 0;
}

int restart_pause(int last_pause_ms, std::int64_t lived_ms) {
  if (lived_ms >= kQuickDeathMs) return 0;
  return std::min(std::max(last_pause_ms * 2, 100), kLongestRestartPauseMs);
}

Result<> prepare_init() {
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return errno_error("making mounts private", errno);
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return errno_error("mounting /proc in the cluster's namespaces", errno);
  constexpr std::string_view kHostname = "lateen";
  if (::sethostname(kHostname.data(), kHostname.size()) != 0)
    return errno_error("setting the hostname", errno);
  return {};
}

namespace {

class Init {
 public:
  Init(const Holdings& held, const Fd& control, bool is_single_user)
      : life_(held.life.first.get()), signals_(watch_signals()) {
    plan_.programs = {held.program};
    plan_.arguments = {"lateen",       "cluster",
                       "--data-dir",   held.options.data_dir,
                       "--control-fd", std::to_string(kControlFd),
                       "--api-fd",     std::to_string(kApiFd),
                       "--api-port",   std::to_string(held.options.api_port)};
    if (is_single_user) plan_.arguments.emplace_back("--single-user");
    plan_.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                         "HOME=/root"};
    plan_.stdout_fd = 1;
    plan_.stderr_fd = 2;
    plan_.kept_fds = {{control.get(), kControlFd}, {held.api.get(), kApiFd}};
    plan_.parent_death_signal = SIGKILL;
  }

  int run() {
    while (true) {
      const std::int64_t started = steady_ms();
      auto child = os::spawn(plan_);
      if (!child.ok()) {
        LOG(kError, "init", "the cluster did not start: {}", child.error().message());
        return 1;
      }
      watch(*child);
      // Containers of a dead cluster have nobody to look after them: the next one starts them
      // afresh.
      ::kill(-1, SIGKILL);
      while (::waitpid(-1, nullptr, 0) > 0) {
      }
      if (end_at_ != 0) return 0;
      pause_ms_ = restart_pause(pause_ms_, steady_ms() - started);
      LOG(kWarn, "init", "the cluster process ended; it is started again{}",
          pause_ms_ > 0 ? fmt::format(" in {} ms", pause_ms_) : "");
      ::usleep(static_cast<useconds_t>(pause_ms_) * 1000);
    }
  }

 private:
  // Until the cluster process has ended.
  void watch(const os::Child& cluster) {
    while (true) {
      pollfd watched[2] = {{signals_.get(), POLLIN, 0}, {end_at_ == 0 ? life_ : -1, POLLIN, 0}};
      const auto left = std::max<std::int64_t>(end_at_ - steady_ms(), 0);
      ::poll(watched, 2, end_at_ == 0 ? -1 : static_cast<int>(left));
      for (int number; (number = next_signal(signals_)) != 0;)
        if (number == SIGTERM || number == SIGINT) end(cluster);
      if (watched[1].revents != 0) {
        LOG(kWarn, "init", "supervisor and guard are both gone: the cluster ends");
        end(cluster);
      }
      if (end_at_ != 0 && steady_ms() >= end_at_) cluster.signal(SIGKILL);
      // Orphans of containers come to us too.
      for (pid_t pid; (pid = ::waitpid(-1, nullptr, WNOHANG)) > 0;)
        if (pid == cluster.pid()) return;
    }
  }

  void end(const os::Child& cluster) {
    if (end_at_ == 0) end_at_ = steady_ms() + kEndLimitMs;
    cluster.signal(SIGTERM);
  }

  const int life_;
  const Fd signals_;
  os::SpawnPlan plan_;
  std::int64_t end_at_ = 0;  // 0: nobody told us to end
  int pause_ms_ = 0;
};

}  // namespace

int run_init(Holdings& held, const Fd& control, bool is_single_user) {
  ::prctl(PR_SET_NAME, "lateen-init");
  return Init(held, control, is_single_user).run();
}

}  // namespace lateen::bin
