// `lateen up`, `down`, `status`, `reset`: the machine's side of the embedded cluster. Checks what
// can be checked, binds what must be bound outside, leaves a supervisor behind and tells the user
// where things are.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <utility>
#include <variant>

#include "base/clock.h"
#include "base/strings.h"
#include "bin/commands.h"
#include "bin/mesh_up.h"
#include "bin/up.h"
#include "data/json.h"
#include "linux/files.h"
#include "linux/namespaces.h"
#include "linux/pid_file.h"
#include "linux/process.h"

namespace lateen::bin {

namespace {

constexpr seconds kReadyLimit{60};
constexpr int kDownLimitMs = 25'000;
constexpr int kKillLimitMs = 2'000;
constexpr int kPollMs = 20;
constexpr int kStrangerCheckMs = 2'000;

// In the child of `up`: no terminal, no descriptors of the caller's, its own log.
void become_daemon(const std::string& log) {
  ::setsid();
  (void)!::chdir("/");
  const int null = ::open("/dev/null", O_RDWR);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  ::dup2(null, 0);
  ::dup2(out < 0 ? null : out, 1);
  ::dup2(out < 0 ? null : out, 2);
  if (null > 2) ::close(null);
  if (out > 2) ::close(out);
}

// Reads the supervisor's lines until it is ready, or says why not.
Result<> wait_until_ready(int progress_fd, const std::string& log) {
  const auto deadline = std::chrono::steady_clock::now() + kReadyLimit;
  std::string text;
  while (true) {
    const auto left =
        std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd watched{progress_fd, POLLIN, 0};
    if (left <= 0 || ::poll(&watched, 1, static_cast<int>(left)) <= 0)
      return Error(Code::kDeadlineExceeded,
                   fmt::format("the cluster is not ready after 60 s; see {}", log));
    char chunk[4096];
    const ssize_t got = ::read(progress_fd, chunk, sizeof chunk);
    if (got <= 0) return internal(fmt::format("the cluster's supervisor ended; see {}", log));
    text.append(chunk, static_cast<std::size_t>(got));
    for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      const std::string_view line = std::string_view(text).substr(0, end);
      if (line == "ready") return {};
      if (line.starts_with("error ")) return internal(std::string(line.substr(6)));
    }
  }
}

bool wait_until_free(const std::string& data_dir, int limit_ms) {
  for (int waited = 0; waited < limit_ms; waited += kPollMs) {
    if (!os::PidFile::is_held(pid_path(data_dir))) return true;
    ::usleep(kPollMs * 1000);
  }
  return !os::PidFile::is_held(pid_path(data_dir));
}

// Signals the process that the pid file names, and surely no other that got its number since.
Result<bool> signal_holder(const std::string& data_dir, pid_t pid, int number) {
  auto pidfd = os::open_pidfd(pid);
  if (!pidfd.ok() || !os::PidFile::has_open(pid, pid_path(data_dir))) return false;
  if (::syscall(SYS_pidfd_send_signal, pidfd->get(), number, nullptr, 0) != 0 && errno == EPERM)
    return Error(Code::kPermissionDenied, fmt::format("process {} belongs to another user", pid));
  return true;
}

// The processes of ours that have the data directory's lock open.
std::vector<pid_t> our_holders(const std::string& data_dir) {
  std::vector<pid_t> found;
  for (const std::string& name : os::list_directory("/proc")) {
    const auto number = parse_int(name);
    if (!number.has_value() || *number == ::getpid()) continue;
    const auto pid = static_cast<pid_t>(*number);
    const auto program = os::read_file("/proc/" + name + "/comm", 64);
    if (program.ok() && program->starts_with("lateen") &&
        os::PidFile::has_open(pid, pid_path(data_dir)))
      found.push_back(pid);
  }
  return found;
}

// Told again when another process takes over: one that died is replaced at once.
Result<> stop_cluster(const std::string& data_dir) {
  std::set<pid_t> told;
  for (int waited = 0; waited < kDownLimitMs; waited += kPollMs) {
    if (!os::PidFile::is_held(pid_path(data_dir))) return {};
    const auto pid = os::PidFile::holder(pid_path(data_dir));
    if (pid.has_value() && !told.contains(*pid) && TRY(signal_holder(data_dir, *pid, SIGTERM)))
      told.insert(*pid);
    if (waited % kStrangerCheckMs == 0 && waited > 0 && told.empty() &&
        our_holders(data_dir).empty() && os::PidFile::is_held(pid_path(data_dir)))
      return Error(Code::kFailedPrecondition,
                   pid_path(data_dir) + " is locked by a process that is not Lateen's");
    ::usleep(kPollMs * 1000);
  }
  for (const pid_t pid : our_holders(data_dir)) (void)signal_holder(data_dir, pid, SIGKILL);
  if (wait_until_free(data_dir, kKillLimitMs)) return {};
  return Error(Code::kDeadlineExceeded, fmt::format("{} is still locked by a process after {} s",
                                                    pid_path(data_dir), kDownLimitMs / 1000));
}

// Where things are, for the kubeconfig and for the user.
Result<> announce(const UpOptions& options, int api_port) {
  const std::string kubeconfig = chosen_kubeconfig(options);
  TRY(merge_kubeconfig(kubeconfig, TRY(os::read_file(cluster_kubeconfig_path(options.data_dir)))));
  std::printf("Cluster ready: https://127.0.0.1:%d, kubectl context \"lateen\" in %s.\n", api_port,
              kubeconfig.c_str());
  std::fflush(stdout);
  return {};
}

Result<> announce_running(const UpOptions& options, pid_t pid) {
  std::printf("Lateen already runs (process %d, data in %s).\n", pid, options.data_dir.c_str());
  auto state = data::parse_json(os::read_file(state_path(options.data_dir)).value_or("{}"));
  return announce(
      options, state.ok() ? static_cast<int>(data::get_int(*state, {"apiPort"}, options.api_port))
                          : options.api_port);
}

// Another `up` may be at it, or a `down` may not be through.
Result<std::optional<pid_t>> find_running(const UpOptions& options) {
  const std::string lock = pid_path(options.data_dir);
  const auto end = std::chrono::steady_clock::now() + kReadyLimit;
  for (bool is_told = false; os::PidFile::is_held(lock); ::usleep(kPollMs * 1000)) {
    const auto state = data::parse_json(os::read_file(state_path(options.data_dir)).value_or("{}"));
    if (const auto pid = os::PidFile::holder(lock);
        pid.has_value() && state.ok() && data::get_int(*state, {"supervisor"}) == *pid)
      return pid;
    if (std::chrono::steady_clock::now() > end)
      return Error(Code::kDeadlineExceeded,
                   fmt::format("another process holds {} and its cluster is not ready after {} s; "
                               "see {}",
                               lock, kReadyLimit.count(), log_path(options.data_dir)));
    if (!std::exchange(is_told, true)) {
      std::printf("Another lateen is at work in %s; waiting for it.\n", options.data_dir.c_str());
      std::fflush(stdout);
    }
  }
  return std::optional<pid_t>();
}

// What a failed `up` must not leave behind. Made before anything is.
class Traces {
 public:
  explicit Traces(std::string data_dir) : data_dir_(std::move(data_dir)) {
    std::string path = data_dir_ + "/run";
    while (!os::path_exists(path)) {
      made_.push_back(path);
      const std::size_t slash = path.find_last_of('/');
      if (slash == std::string::npos || slash == 0) break;
      path.resize(slash);
    }
    for (const std::string& name : os::list_directory(data_dir_)) before_.insert(name);
  }
  // Only with the lock: without it what is there may be another's. A cluster's data stays.
  void remove_files() const {
    if (!is_new_) return;
    for (const std::string& name : os::list_directory(data_dir_))
      if (!before_.contains(name)) (void)remove_data(data_dir_ + "/" + name);
  }
  void remove_directories() const {
    for (const std::string& directory : made_) ::rmdir(directory.c_str());
  }
  void locked() { is_new_ = !os::path_exists(data_dir_ + "/format"); }

 private:
  const std::string data_dir_;
  std::vector<std::string> made_;  // directories that are not there yet, innermost first
  std::set<std::string> before_;
  bool is_new_ = false;
};

// Everything up to a ready cluster; `child` is its guard, which has the lock from then on. The
// port of the machine that is the cluster's port 80.
Result<int> start_cluster(const UpOptions& options, std::optional<os::PidFile>& lock,
                          pid_t& child) {
  TRY(prepare_data_dir(options.data_dir));
  TRY(check_kubeconfig(chosen_kubeconfig(options)));
  auto sockets = TRY(bind_host_sockets(options));
  int http_port = options.http_port;
  for (const auto& [mapping, fd] : sockets.reserved)
    if (mapping.port == 80) http_port = mapping.host_port;
  auto progress = TRY(os::make_pipe());
  std::fflush(nullptr);
  child = ::fork();
  if (child < 0) return errno_error("starting the supervisor", errno);
  if (child == 0) {
    progress.first.close();
    become_daemon(log_path(options.data_dir));
    std::_Exit(
        supervise(options, *std::move(lock), std::move(sockets), std::move(progress.second)));
  }
  lock.reset();
  progress.second.close();
  TRY(wait_until_ready(progress.first.get(), log_path(options.data_dir)));
  TRY(announce(options, options.api_port));
  return http_port;
}

// The lock on the data directory, or the process that has it.
Result<std::variant<os::PidFile, pid_t>> lock_or_find(const UpOptions& options) {
  while (true) {
    if (const auto pid = TRY(find_running(options))) return *pid;
    auto usable = os::make_directories(options.data_dir + "/run", 0700);
    if (!usable.ok()) return cannot_write(options.data_dir, usable.error());
    auto pid_file = os::PidFile::acquire(pid_path(options.data_dir));
    if (pid_file.ok()) return std::move(pid_file).value();
    // Two at once: the other was first, or went away again and took the directory with it.
    if (pid_file.error().code() == Code::kAlreadyExists || !os::path_exists(options.data_dir))
      continue;
    return cannot_write(options.data_dir, pid_file.error());
  }
}

void undo(const UpOptions& options, const Traces& traces, std::optional<os::PidFile> lock,
          pid_t child) {
  if (child > 0) {
    (void)stop_cluster(options.data_dir);
    ::waitpid(child, nullptr, 0);
    if (auto again = os::PidFile::acquire(pid_path(options.data_dir)); again.ok())
      lock = std::move(again).value();
  }
  if (!lock.has_value()) return;  // another `up` has it now
  traces.remove_files();
  ::unlink(pid_path(options.data_dir).c_str());
  traces.remove_directories();
}

Result<> bring_up(const UpOptions& options) {
  TRY(check_format(options.data_dir));
  if (!os::PidFile::is_held(pid_path(options.data_dir))) TRY(os::check_kernel());
  Traces traces(options.data_dir);
  auto locked = lock_or_find(options);
  if (!locked.ok()) {
    traces.remove_directories();
    return std::move(locked).error();
  }
  if (const auto* pid = std::get_if<pid_t>(&*locked)) return announce_running(options, *pid);
  traces.locked();
  std::optional<os::PidFile> lock = std::move(std::get<os::PidFile>(*locked));
  ::unlink(state_path(options.data_dir).c_str());
  pid_t child = 0;
  const auto http_port = start_cluster(options, lock, child);
  if (!http_port.ok()) {
    undo(options, traces, std::move(lock), child);
    return http_port.error();
  }
  if (!options.has_mesh) return {};
  return bring_up_mesh(chosen_kubeconfig(options), *http_port);
}

int report(std::string_view command, const Error& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "lateen %.*s: %s\n", static_cast<int>(command.size()), command.data(),
               error.message().c_str());
  return 1;
}

int usage_error(std::string_view command, const Error& error) {
  report(command, error);
  std::fprintf(stderr, "usage: lateen %.*s --help\n", static_cast<int>(command.size()),
               command.data());
  return 2;
}

int up_command(int argc, char** argv) {
  const auto options = parse_up_options("up", argc, argv);
  if (!options.ok()) return usage_error("up", options.error());
  const auto done = bring_up(*options);
  return done.ok() ? 0 : report("up", done.error());
}

int down_command(int argc, char** argv) {
  const auto options = parse_up_options("down", argc, argv);
  if (!options.ok()) return usage_error("down", options.error());
  if (!os::PidFile::is_held(pid_path(options->data_dir))) {
    std::printf("Lateen does not run with data in %s.\n", options->data_dir.c_str());
    return 0;
  }
  if (const auto stopped = stop_cluster(options->data_dir); !stopped.ok())
    return report("down", stopped.error());
  std::printf("Lateen is down; its data stays in %s.\n", options->data_dir.c_str());
  return 0;
}

int reset_command(int argc, char** argv) {
  const auto options = parse_up_options("reset", argc, argv);
  if (!options.ok()) return usage_error("reset", options.error());
  if (!os::path_exists(options->data_dir)) {
    std::printf("There is no data in %s.\n", options->data_dir.c_str());
    return 0;
  }
  if (!os::path_exists(options->data_dir + "/format"))
    return report("reset", invalid(options->data_dir +
                                   " is not a data directory of Lateen's; it was left alone"));
  if (!options->is_forced) {
    std::printf("This ends the cluster and deletes %s. Go on? [y/N] ", options->data_dir.c_str());
    std::fflush(stdout);
    const int answer = std::getchar();
    if (answer != 'y' && answer != 'Y') return 1;
  }
  if (os::PidFile::is_held(pid_path(options->data_dir)))
    if (const auto stopped = stop_cluster(options->data_dir); !stopped.ok())
      return report("reset", stopped.error());
  if (const auto removed = remove_data(options->data_dir); !removed.ok())
    return report("reset", removed.error());
  if (auto cleaned = remove_from_kubeconfig(chosen_kubeconfig(*options)); !cleaned.ok())
    return report("reset", cleaned.error());
  std::printf("Lateen and its data are gone.\n");
  return 0;
}

}  // namespace
}  // namespace lateen::bin

int run_up(int argc, char** argv) { return lateen::bin::up_command(argc, argv); }

int run_down(int argc, char** argv) { return lateen::bin::down_command(argc, argv); }

int run_reset(int argc, char** argv) { return lateen::bin::reset_command(argc, argv); }
