// The supervisor: holds the sockets of the machine's side, makes the cluster's namespaces with a
// small init in them, and hands LoadBalancer ports in when the cluster asks. One thread; it must
// stay small and never fail.
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <map>

#include "base/clock.h"
#include "base/log.h"
#include "bin/up.h"
#include "data/json.h"
#include "linux/fd_passing.h"
#include "linux/files.h"
#include "linux/namespaces.h"
#include "linux/ports.h"
#include "linux/process.h"

namespace lateen::bin {
namespace {

using data::Json;
using data::JsonObject;

constexpr int kEndLimitMs = 20'000;  // for a graceful end
constexpr int kLongestRestartPauseMs = 5'000;
constexpr int kQuickDeathMs = 2'000;

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void block_signals() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&wanted, number);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

// The first process of the cluster's PID namespace: starts `lateen cluster`, reaps, starts it again
// when it dies.
class Init {
 public:
  Init(const UpOptions& options, std::string program, bool is_single_user, int control_fd,
       int api_fd)
      : options_(options), program_(std::move(program)), is_single_user_(is_single_user) {
    plan_.programs = {program_};
    plan_.arguments = {"lateen",       "cluster",
                       "--data-dir",   options.data_dir,
                       "--control-fd", std::to_string(kControlFd),
                       "--api-fd",     std::to_string(kApiFd),
                       "--api-port",   std::to_string(options.api_port)};
    if (is_single_user_) plan_.arguments.emplace_back("--single-user");
    plan_.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                         "HOME=/root"};
    plan_.stdout_fd = 1;
    plan_.stderr_fd = 2;
    plan_.kept_fds = {{control_fd, kControlFd}, {api_fd, kApiFd}};
    plan_.parent_death_signal = SIGKILL;
  }

  Result<> prepare() {
    if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return errno_error("making mounts private", errno);
    if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
      return errno_error("mounting /proc in the cluster's namespaces", errno);
    constexpr std::string_view kHostname = "lateen";
    if (::sethostname(kHostname.data(), kHostname.size()) != 0)
      return errno_error("setting the hostname", errno);
    return {};
  }

  int run() {
    ::prctl(PR_SET_NAME, "lateen-init");
    while (true) {
      const std::int64_t started = now_ms();
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
      if (is_ending_) return 0;
      const bool was_quick = now_ms() - started < kQuickDeathMs;
      pause_ms_ = was_quick ? std::min(std::max(pause_ms_ * 2, 100), kLongestRestartPauseMs) : 0;
      LOG(kWarn, "init", "the cluster process ended; it is started again{}",
          pause_ms_ > 0 ? fmt::format(" in {} ms", pause_ms_) : "");
      ::usleep(static_cast<useconds_t>(pause_ms_) * 1000);
    }
  }

 private:
  // Until the cluster process has ended.
  void watch(const os::Child& cluster) {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&wanted, number);
    while (true) {
      siginfo_t info{};
      const int number = ::sigwaitinfo(&wanted, &info);
      if (number == SIGTERM || number == SIGINT) {
        is_ending_ = true;
        cluster.signal(SIGTERM);
      }
      // Orphans of containers come to us too.
      for (pid_t pid; (pid = ::waitpid(-1, nullptr, WNOHANG)) > 0;)
        if (pid == cluster.pid()) return;
    }
  }

  const UpOptions& options_;
  const std::string program_;
  const bool is_single_user_;
  os::SpawnPlan plan_;
  bool is_ending_ = false;
  int pause_ms_ = 0;
};

class Supervisor {
 public:
  Supervisor(const UpOptions& options, HostSockets sockets, int progress_fd)
      : options_(options),
        api_(std::move(sockets.api)),
        progress_fd_(progress_fd),
        program_(os::own_program()) {
    for (auto& [mapping, fd] : sockets.reserved)
      ports_[mapping.port] = HostPort{mapping.host_port, std::move(fd), false};
  }

  int run() {
    block_signals();
    sigset_t wanted;
    sigemptyset(&wanted);
    for (int number : {SIGTERM, SIGINT}) sigaddset(&wanted, number);
    signals_ = os::Fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    while (true) {
      if (auto started = start_namespaces(); !started.ok()) {
        LOG(kError, "supervisor", "{}", started.error().message());
        tell("error " + started.error().message());
        return 1;
      }
      const bool is_told = watch();
      ::waitpid(init_pid_, nullptr, 0);
      if (is_told || has_failed_) return has_failed_ ? 1 : 0;
      LOG(kWarn, "supervisor", "the cluster's namespaces ended; they are made again");
      ::usleep(200'000);
    }
  }

 private:
  struct HostPort {
    int host_port = 0;
    os::Fd fd;
    bool is_listening = false;
  };

  Result<> start_namespaces() {
    os::FdPair control = TRY(os::make_packet_pair());
    os::FdPair go = TRY(os::make_pipe());
    os::FdPair failure = TRY(os::make_pipe());
    constexpr std::uint64_t kAll =
        CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
    init_pid_ = TRY(os::fork_into(kAll, init_));
    if (init_pid_ == 0) run_init(control.second, go, failure);
    control.second.close();
    go.first.close();
    failure.second.close();
    os::IdMaps maps = os::choose_id_maps();
    auto mapped = os::write_id_maps(init_pid_, maps);
    if (!mapped.ok()) {
      ::kill(init_pid_, SIGKILL);
      ::waitpid(init_pid_, nullptr, 0);
      return std::move(mapped).error();
    }
    const char kind = maps.kind == os::IdMaps::Kind::kSingle ? 's' : 'm';
    (void)!::write(go.second.get(), &kind, 1);
    // Closed when all is prepared, else it has the reason.
    std::string text(4096, '\0');
    const ssize_t got = ::read(failure.first.get(), text.data(), text.size());
    if (got > 0) {
      ::waitpid(init_pid_, nullptr, 0);
      return internal(text.substr(0, static_cast<std::size_t>(got)));
    }
    control_ = std::move(control.first);
    return {};
  }

  [[noreturn]] void run_init(const os::Fd& control, os::FdPair& go, os::FdPair& failure) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    go.second.close();
    char kind = 0;
    if (::read(go.first.get(), &kind, 1) != 1) ::_exit(1);
    Init init(options_, program_, kind == 's', control.get(), api_.get());
    auto prepared = init.prepare();
    if (!prepared.ok()) {
      (void)!::write(failure.second.get(), prepared.error().message().data(),
                     prepared.error().message().size());
      ::_exit(1);
    }
    // The supervisor's side of things is no business of ours.
    for (auto& [port, entry] : ports_) entry.fd.close();
    failure.second.close();
    if (progress_fd_ >= 0) ::close(progress_fd_);
    ::_exit(init.run());
  }

  // True when we were told to end; false when init ended by itself.
  bool watch() {
    std::int64_t kill_at = 0;
    while (true) {
      pollfd watched[3] = {{init_.get(), POLLIN, 0},
                           {signals_.get(), POLLIN, 0},
                           {control_.is_open() ? control_.get() : -1, POLLIN, 0}};
      const int limit =
          kill_at == 0 ? -1 : static_cast<int>(std::max<std::int64_t>(kill_at - now_ms(), 0));
      ::poll(watched, 3, limit);
      if (watched[1].revents != 0) {
        signalfd_siginfo info;
        while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        }
        if (kill_at == 0) {
          LOG(kInfo, "supervisor", "told to end");
          ::kill(init_pid_, SIGTERM);
          kill_at = now_ms() + kEndLimitMs;
        }
      }
      if (kill_at != 0 && now_ms() >= kill_at) ::kill(init_pid_, SIGKILL);
      if (watched[0].revents != 0) return kill_at != 0;
      if (watched[2].revents != 0) serve_control();
      if (has_failed_ && kill_at == 0) {
        ::kill(init_pid_, SIGTERM);
        kill_at = now_ms() + kEndLimitMs;
      }
    }
  }

  void serve_control() {
    auto message = os::receive_message(control_.get());
    if (!message.ok()) {
      control_.close();
      return;
    }
    auto request = data::parse_json(message->text);
    if (!request.ok()) return;
    const auto operation = data::get_string(*request, {"op"});
    const int port = static_cast<int>(data::get_int(*request, {"port"}));
    if (operation == "listen") return answer_listen(data::get_int(*request, {"id"}), port);
    if (operation == "close") return close_port(port);
    if (operation == "ready") {
      is_ready_ = true;
      write_state();
      return tell("ready");
    }
    if (operation == "failed") {
      const std::string text(data::get_string(*request, {"error"}));
      LOG(kError, "supervisor", "the cluster cannot start: {}", text);
      // After it once ran, a failing start is tried again: the disk may have room tomorrow.
      if (is_ready_) return;
      has_failed_ = true;
      tell("error " + text);
    }
  }

  void answer_listen(std::int64_t id, int port) {
    JsonObject answer{{"id", id}};
    auto opened = open_port(port);
    std::vector<int> fds;
    if (opened.ok()) {
      answer["port"] = ports_[port].host_port;
      fds.push_back(ports_[port].fd.get());
    } else {
      answer["error"] = opened.error().message();
    }
    write_state();
    if (auto sent = os::send_message(control_.get(), data::dump_json(answer), fds); !sent.ok())
      LOG(kWarn, "supervisor", "{}", sent.error().message());
  }

  Result<> open_port(int port) {
    if (port < 1 || port > 65535) return invalid("no such port");
    HostPort& entry = ports_[port];
    if (!entry.fd.is_open()) {
      auto bound = os::reserve_loopback_port(port);
      if (!bound.ok()) {
        ports_.erase(port);
        return std::move(bound).error();
      }
      entry.fd = std::move(bound).value();
      entry.host_port = port;
    }
    if (!entry.is_listening) TRY(os::start_listening(entry.fd.get()));
    entry.is_listening = true;
    return {};
  }

  void close_port(int port) {
    const auto found = ports_.find(port);
    if (found == ports_.end()) return;
    const int host_port = found->second.host_port;
    ports_.erase(found);
    // The two well-known ones stay ours while we run, wherever they ended up.
    if (port == 80 || port == 443)
      if (auto bound = os::reserve_loopback_port(host_port); bound.ok())
        ports_[port] = HostPort{host_port, std::move(bound).value(), false};
    write_state();
  }

  void write_state() {
    data::JsonArray ports;
    for (const auto& [port, entry] : ports_)
      if (entry.is_listening)
        ports.push_back(JsonObject{{"port", port}, {"hostPort", entry.host_port}});
    (void)os::write_file_atomic(
        state_path(options_.data_dir),
        data::dump_json(JsonObject{{"apiPort", options_.api_port}, {"ports", ports}}));
  }

  // To `lateen up`, while it waits.
  void tell(const std::string& line) {
    if (progress_fd_ < 0) return;
    const std::string text = line + "\n";
    (void)!::write(progress_fd_, text.data(), text.size());
    if (line.starts_with("ready") || line.starts_with("error")) {
      ::close(progress_fd_);
      progress_fd_ = -1;
    }
  }

  const UpOptions& options_;
  os::Fd api_;
  int progress_fd_;
  const std::string program_;
  std::map<int, HostPort> ports_;
  os::Fd signals_, init_, control_;
  pid_t init_pid_ = 0;
  bool is_ready_ = false;
  bool has_failed_ = false;
};

}  // namespace

int supervise(const UpOptions& options, HostSockets sockets, int progress_fd) {
  ::prctl(PR_SET_NAME, "lateen-up");
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  return Supervisor(options, std::move(sockets), progress_fd).run();
}

}  // namespace lateen::bin
