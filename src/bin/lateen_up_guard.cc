// The guard: the supervisor's twin that only holds on to descriptors and waits for it to die.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/log.h"
#include "bin/supervisor.h"
#include "linux/fd_passing.h"
#include "linux/files.h"

namespace lateen::bin {

using data::Json;
using data::JsonObject;

void apply_message(Holdings& held, const Json& message, std::vector<Fd> fds) {
  const auto operation = data::get_string(message, {"op"});
  const int port = static_cast<int>(data::get_int(message, {"port"}));
  if (operation == "port" && fds.size() == 1) {
    held.ports[port] = HostPort{static_cast<int>(data::get_int(message, {"hostPort"})),
                                std::move(fds[0]), data::get_bool(message, {"listening"})};
  } else if (operation == "drop") {
    held.ports.erase(port);
  } else if (operation == "init" && fds.size() == 2) {
    held.init_pid = static_cast<pid_t>(data::get_int(message, {"pid"}));
    held.init = std::move(fds[0]);
    held.control = std::move(fds[1]);
  } else if (operation == "ready") {
    held.is_ready = true;
    held.progress.close();
  } else if (operation == "ending") {
    held.is_ending = true;
  }
}

namespace {

class Guard {
 public:
  Guard(Holdings& held, Fd link) : held_(held), link_(std::move(link)), signals_(watch_signals()) {}

  int run() {
    ::prctl(PR_SET_NAME, "lateen-guard");
    int pause_ms = 0;
    while (true) {
      const std::int64_t started = steady_ms();
      if (link_.is_open() || start_supervisor()) follow();
      link_.close();
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      if (has_ended_) return finish();
      pause_ms = restart_pause(pause_ms, steady_ms() - started);
      LOG(kWarn, "guard", "the supervisor died; it is started again");
      ::usleep(static_cast<useconds_t>(pause_ms) * 1000);
    }
  }

 private:
  bool start_supervisor() {
    auto pair = os::make_packet_pair();
    if (!pair.ok()) {
      LOG(kError, "guard", "{}", pair.error().message());
      return false;
    }
    const pid_t guard = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
      LOG(kError, "guard", "{}", errno_error("starting the supervisor", errno).message());
      return false;
    }
    if (pid == 0) {
      signals_.close();
      pair->first.close();
      std::_Exit(run_supervisor(held_, std::move(pair->second), guard));
    }
    link_ = std::move(pair->first);
    return true;
  }

  // Until the supervisor is gone.
  void follow() {
    while (true) {
      pollfd watched[2] = {{link_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      ::poll(watched, 2, -1);
      for (int number; (number = next_signal(signals_)) != 0;)
        if (number == SIGTERM || number == SIGINT) end();
      if (watched[0].revents == 0) continue;
      auto message = os::receive_message(link_.get());
      if (!message.ok()) return;
      const auto json = data::parse_json(message->text);
      if (!json.ok()) continue;
      if (data::get_string(*json, {"op"}) == "ended") {
        has_ended_ = true;
        status_ = static_cast<int>(data::get_int(*json, {"status"}));
      }
      apply_message(held_, *json, std::move(message->fds));
    }
  }

  void end() {
    held_.is_ending = true;
    (void)os::send_message(link_.get(), data::dump_json(JsonObject{{"op", "end"}}));
  }

  // The lock goes last: who finds it free finds the ports free too.
  int finish() {
    held_.api.close();
    held_.ports.clear();
    ::unlink(pid_path(held_.options.data_dir).c_str());
    return status_;
  }

  Holdings& held_;
  Fd link_;
  Fd signals_;
  bool has_ended_ = false;
  int status_ = 0;
};

}  // namespace

int run_guard(Holdings& held, Fd link) { return Guard(held, std::move(link)).run(); }

int supervise(const UpOptions& options, os::PidFile pid_file, HostSockets sockets, Fd progress) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  auto life = os::make_pipe();
  if (!life.ok()) {
    LOG(kError, "guard", "{}", life.error().message());
    return 1;
  }
  Holdings held{options,
                os::own_program(),
                std::move(pid_file),
                std::move(progress),
                std::move(sockets.api),
                {},
                {},
                0,
                {},
                std::move(life).value()};
  for (auto& [mapping, fd] : sockets.reserved)
    held.ports[mapping.port] = HostPort{mapping.host_port, std::move(fd), false};
  return run_guard(held, Fd());
}

}  // namespace lateen::bin
