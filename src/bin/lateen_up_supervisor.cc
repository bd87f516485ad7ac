// The supervisor: holds the sockets of the machine's side, makes the cluster's namespaces with a
// small init in them, and hands LoadBalancer ports in when the cluster asks. One thread; it must
// stay small and never fail. What it learns it tells the guard before it acts on it.
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/log.h"
#include "bin/supervisor.h"
#include "data/json.h"
#include "linux/fd_passing.h"
#include "linux/files.h"
#include "linux/namespaces.h"
#include "linux/ports.h"

namespace lateen::bin {
namespace {

using data::Json;
using data::JsonObject;

constexpr int kPauseMs = 200;
// Numbers of UDP ports have this added (balancer.h: HostPorts::kUdp).
constexpr int kUdpPorts = 1 << 16;

class Supervisor {
 public:
  Supervisor(Holdings& held, Fd link, pid_t guard)
      : held_(held), link_(std::move(link)), guard_(guard), signals_(watch_signals()) {}

  int run() {
    ::prctl(PR_SET_NAME, "lateen-up");
    if (auto written = held_.pid_file.write_own_pid(); !written.ok())
      LOG(kError, "supervisor", "{}", written.error().message());
    if (held_.is_ready) write_state();
    if (held_.is_ending) end();
    while (true) {
      for (int number; (number = next_signal(signals_)) != 0;)
        if (number == SIGTERM || number == SIGINT) end();
      if (!held_.init.is_open()) {
        if (end_at_ != 0) return finish(0);
        auto started = start_namespaces();
        if (!started.ok()) {
          LOG(kError, "supervisor", "{}", started.error().message());
          if (!held_.is_ready || held_.is_ending) return finish(fail(started.error().message()));
          ::usleep(kLongestRestartPauseMs * 1000);
          continue;
        }
        if (held_.is_ready) write_state();
      }
      watch();
      ::waitpid(held_.init_pid, nullptr, 0);
      held_.init.close();
      if (end_at_ != 0) return finish(has_failed_ ? 1 : 0);
      LOG(kWarn, "supervisor", "the cluster's namespaces ended; they are made again");
      ::usleep(kPauseMs * 1000);
    }
  }

 private:
  int fail(const std::string& text) {
    progress("error " + text);
    return 1;
  }

  // Sockets first: who finds the lock free must find the ports free.
  int finish(int status) {
    held_.api.close();
    held_.ports.clear();
    ::unlink(state_path(held_.options.data_dir).c_str());
    if (!tell_guard({{"op", "ended"}, {"status", status}}))
      ::unlink(pid_path(held_.options.data_dir).c_str());
    return status;
  }

  bool tell_guard(const JsonObject& message, const std::vector<int>& fds = {}) {
    return link_.is_open() && os::send_message(link_.get(), data::dump_json(message), fds).ok();
  }

  Result<> start_namespaces() {
    os::FdPair control = TRY(os::make_packet_pair());
    os::FdPair go = TRY(os::make_pipe());
    os::FdPair failure = TRY(os::make_pipe());
    constexpr std::uint64_t kAll =
        CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
    Fd init;
    const pid_t pid = TRY(os::fork_into(kAll, init));
    if (pid == 0) {
      control.first.close();
      go.second.close();
      become_init(control.second, go.first, failure.second);
    }
    held_.init_pid = pid;
    held_.init = std::move(init);
    held_.control = std::move(control.first);
    control.second.close();
    go.first.close();
    failure.second.close();
    os::IdMaps maps = os::choose_id_maps();
    auto mapped = os::write_id_maps(pid, maps);
    if (!mapped.ok()) {
      signal_init(SIGKILL);
      ::waitpid(pid, nullptr, 0);
      held_.init.close();
      return std::move(mapped).error();
    }
    // Before it may go on: a supervisor after us must not start a second one beside it.
    tell_guard({{"op", "init"}, {"pid", pid}}, {held_.init.get(), held_.control.get()});
    const char kind = maps.kind == os::IdMaps::Kind::kSingle ? 's' : 'm';
    (void)!::write(go.second.get(), &kind, 1);
    // Closed when all is prepared, else it has the reason.
    std::string text(4096, '\0');
    const ssize_t got = ::read(failure.first.get(), text.data(), text.size());
    if (got <= 0) return {};
    ::waitpid(pid, nullptr, 0);
    held_.init.close();
    return internal(text.substr(0, static_cast<std::size_t>(got)));
  }

  [[noreturn]] void become_init(const Fd& control, const Fd& go, Fd& failure) {
    // The supervisor's side of things is no business of ours, but for the lock on the data
    // directory: nobody else may use it while we are there.
    link_.close();
    signals_.close();
    held_.life.second.close();
    held_.progress.close();
    held_.control.close();
    held_.ports.clear();
    char kind = 0;
    if (::read(go.get(), &kind, 1) != 1) ::_exit(1);
    if (auto prepared = prepare_init(); !prepared.ok()) {
      const std::string& text = prepared.error().message();
      (void)!::write(failure.get(), text.data(), text.size());
      ::_exit(1);
    }
    failure.close();
    ::_exit(run_init(held_, control, kind == 's'));
  }

  void signal_init(int number) {
    ::syscall(SYS_pidfd_send_signal, held_.init.get(), number, nullptr, 0);
  }

  void end() {
    if (end_at_ != 0) return;
    LOG(kInfo, "supervisor", "told to end");
    held_.is_ending = true;
    tell_guard({{"op", "ending"}});
    if (held_.init.is_open()) signal_init(SIGTERM);
    end_at_ = steady_ms() + kEndLimitMs;
  }

  // Until init has ended.
  void watch() {
    while (true) {
      pollfd watched[4] = {{held_.init.get(), POLLIN, 0},
                           {signals_.get(), POLLIN, 0},
                           {held_.control.is_open() ? held_.control.get() : -1, POLLIN, 0},
                           {link_.is_open() ? link_.get() : -1, POLLIN, 0}};
      int limit = link_.is_open() ? -1 : kPauseMs;
      if (end_at_ != 0)
        limit = static_cast<int>(std::clamp<std::int64_t>(end_at_ - steady_ms(), 0, kPauseMs));
      ::poll(watched, 4, limit);
      for (int number; (number = next_signal(signals_)) != 0;)
        if (number == SIGTERM || number == SIGINT) end();
      if (end_at_ != 0 && steady_ms() >= end_at_) signal_init(SIGKILL);
      if (watched[0].revents != 0) return;
      if (watched[2].revents != 0) serve_control();
      if (watched[3].revents != 0) hear_guard();
      if (!link_.is_open()) start_guard();
    }
  }

  void hear_guard() {
    auto message = os::receive_message(link_.get());
    if (!message.ok()) return link_.close();
    const auto json = data::parse_json(message->text);
    if (json.ok() && data::get_string(*json, {"op"}) == "end") end();
  }

  // The new one has all we have, by the fork.
  void start_guard() {
    ::waitpid(guard_, nullptr, WNOHANG);
    auto pair = os::make_packet_pair();
    const pid_t pid = pair.ok() ? ::fork() : -1;
    if (pid == 0) {
      signals_.close();
      pair->first.close();
      std::_Exit(run_guard(held_, std::move(pair->second)));
    }
    if (pid < 0) return;  // tried again
    LOG(kWarn, "supervisor", "the guard died; it is started again");
    link_ = std::move(pair->first);
    guard_ = pid;
    if (held_.is_ready) write_state();
  }

  void serve_control() {
    auto message = os::receive_message(held_.control.get());
    if (!message.ok()) return held_.control.close();
    auto request = data::parse_json(message->text);
    if (!request.ok()) return;
    const auto operation = data::get_string(*request, {"op"});
    const int port = static_cast<int>(data::get_int(*request, {"port"}));
    if (operation == "listen") return answer_listen(data::get_int(*request, {"id"}), port);
    if (operation == "close") return close_port(port);
    if (operation == "ready") {
      held_.is_ready = true;
      write_state();
      progress("ready");
      tell_guard({{"op", "ready"}});
    }
    if (operation == "failed") {
      const std::string text(data::get_string(*request, {"error"}));
      LOG(kError, "supervisor", "the cluster cannot start: {}", text);
      // After it once ran, a failing start is tried again: the disk may have room tomorrow.
      if (held_.is_ready) return;
      has_failed_ = true;
      fail(text);
      end();
    }
  }

  void answer_listen(std::int64_t id, int port) {
    JsonObject answer{{"id", id}};
    auto opened = open_port(port);
    std::vector<int> fds;
    if (opened.ok()) {
      const HostPort& entry = held_.ports[port];
      answer["port"] = entry.host_port;
      fds.push_back(entry.fd.get());
      tell_port(port, entry);
    } else {
      answer["error"] = opened.error().message();
    }
    write_state();
    if (auto sent = os::send_message(held_.control.get(), data::dump_json(answer), fds); !sent.ok())
      LOG(kWarn, "supervisor", "{}", sent.error().message());
  }

  void tell_port(int port, const HostPort& entry) {
    tell_guard({{"op", "port"},
                {"port", port},
                {"hostPort", entry.host_port},
                {"listening", entry.is_listening}},
               {entry.fd.get()});
  }

  Result<> open_port(int port) {
    const bool is_udp = port > kUdpPorts;
    if (port < 1 || port > kUdpPorts + 65535 || port == kUdpPorts) return invalid("no such port");
    HostPort& entry = held_.ports[port];
    if (!entry.fd.is_open()) {
      auto bound =
          is_udp ? os::bind_loopback_udp(port - kUdpPorts) : os::reserve_loopback_port(port);
      if (!bound.ok()) {
        held_.ports.erase(port);
        return std::move(bound).error();
      }
      entry.fd = std::move(bound).value();
      entry.host_port = port;
    }
    if (!entry.is_listening && !is_udp) TRY(os::start_listening(entry.fd.get()));
    entry.is_listening = true;
    return {};
  }

  void close_port(int port) {
    const auto found = held_.ports.find(port);
    if (found == held_.ports.end()) return;
    if (port == 80 || port == 443) {
      // The two well-known ones stay ours while we run, wherever they ended up: bound, but no
      // longer listening.
      ::shutdown(found->second.fd.get(), SHUT_RDWR);
      found->second.is_listening = false;
      tell_port(port, found->second);
    } else {
      held_.ports.erase(found);
      tell_guard({{"op", "drop"}, {"port", port}});
    }
    write_state();
  }

  void write_state() {
    data::JsonArray ports;
    for (const auto& [port, entry] : held_.ports)
      if (entry.is_listening && port < kUdpPorts)
        ports.push_back(JsonObject{{"port", port}, {"hostPort", entry.host_port}});
    (void)os::write_file_atomic(state_path(held_.options.data_dir),
                                data::dump_json(JsonObject{{"apiPort", held_.options.api_port},
                                                           {"ports", ports},
                                                           {"supervisor", ::getpid()},
                                                           {"guard", guard_},
                                                           {"init", held_.init_pid}}));
  }

  // To `lateen up`, while it waits.
  void progress(const std::string& line) {
    if (!held_.progress.is_open()) return;
    const std::string text = line + "\n";
    (void)!::write(held_.progress.get(), text.data(), text.size());
    held_.progress.close();
  }

  Holdings& held_;
  Fd link_;
  pid_t guard_;
  Fd signals_;
  std::int64_t end_at_ = 0;  // 0: nobody told us to end
  bool has_failed_ = false;
};

}  // namespace

int run_supervisor(Holdings& held, Fd link, pid_t guard) {
  return Supervisor(held, std::move(link), guard).run();
}

}  // namespace lateen::bin
