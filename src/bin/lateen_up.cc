// `lateen up`, `down`, `status`, `reset`: the machine's side of the embedded cluster. Checks what
// can be checked, binds what must be bound outside, leaves a supervisor behind and tells the user
// where things are.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "base/strings.h"
#include "bin/commands.h"
#include "bin/mesh_up.h"
#include "bin/up.h"
#include "data/json.h"
#include "linux/files.h"
#include "linux/namespaces.h"
#include "linux/pid_file.h"
#include "linux/ports.h"

namespace lateen::bin {

std::string default_data_dir() {
  if (const char* base = std::getenv("XDG_DATA_HOME"); base != nullptr && *base == '/')
    return std::string(base) + "/lateen";
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "/var/lib" : home) + "/.local/share/lateen";
}

std::string pid_path(const std::string& data_dir) { return data_dir + "/lateen.pid"; }
std::string log_path(const std::string& data_dir) { return data_dir + "/run/lateen.log"; }
std::string cluster_kubeconfig_path(const std::string& data_dir) {
  return data_dir + "/run/kubeconfig";
}
std::string state_path(const std::string& data_dir) { return data_dir + "/run/state.json"; }

namespace {

Result<int> parse_port(const std::string& flag, const std::string& value) {
  const auto port = parse_int(value);
  if (!port.has_value() || *port < 1 || *port > 65535)
    return invalid(fmt::format("{} wants a port from 1 to 65535, not \"{}\"", flag, value));
  return static_cast<int>(*port);
}

Result<> set_flag(UpOptions& options, const std::string& name, const std::string& value) {
  if (name == "--data-dir") {
    options.data_dir = value;
  } else if (name == "--kubeconfig") {
    options.kubeconfig = value;
  } else if (name == "--api-port") {
    options.api_port = TRY(parse_port(name, value));
  } else if (name == "--http-port") {
    options.http_port = TRY(parse_port(name, value));
    options.is_http_port_given = true;
  } else if (name == "--https-port") {
    options.https_port = TRY(parse_port(name, value));
    options.is_https_port_given = true;
  } else if (name == "-o" || name == "--output") {
    if (value != "json" && value != "text")
      return invalid("-o is json or text, not \"" + value + "\"");
    options.is_json = value == "json";
  } else {
    return invalid("unknown flag " + name);
  }
  return {};
}

}  // namespace

Result<UpOptions> parse_up_options(const std::string& command, int argc, char** argv) {
  UpOptions options;
  options.data_dir = default_data_dir();
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--no-mesh" && command == "up") {
      options.has_mesh = false;
      continue;
    }
    if (name == "--yes" && command == "reset") {
      options.is_forced = true;
      continue;
    }
    std::string value;
    if (const std::size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (name.starts_with("-") && i + 1 < argc) {
      value = argv[++i];
    } else {
      return invalid(name.starts_with("-") ? "flag " + name + " is unknown or needs a value"
                                           : "unexpected argument \"" + name + "\"");
    }
    TRY(set_flag(options, name, value));
  }
  if (!options.data_dir.starts_with("/")) {
    char* here = ::getcwd(nullptr, 0);
    options.data_dir = std::string(here == nullptr ? "" : here) + "/" + options.data_dir;
    std::free(here);
  }
  while (options.data_dir.size() > 1 && options.data_dir.ends_with("/"))
    options.data_dir.pop_back();
  return options;
}

namespace {

constexpr std::uint64_t kLeastFreeBytes = 64u << 20;
constexpr seconds kReadyLimit{60};
constexpr int kDownLimitMs = 25'000;

// Refuses what a newer program wrote, before anything is touched.
Result<> check_format(const std::string& data_dir) {
  auto text = os::read_file(data_dir + "/format", 64);
  if (!text.ok()) return {};
  const auto format = parse_int(trim(text.value()));
  if (format.has_value() && *format <= kDataFormat) return {};
  return Error(Code::kFailedPrecondition,
               fmt::format("{} was written by a newer Lateen (format {}, this one knows {}): use "
                           "that version, or another --data-dir",
                           data_dir, trim(text.value()), kDataFormat));
}

// Makes the data directory, or says why it cannot be used.
Result<> prepare_data_dir(const std::string& data_dir) {
  TRY(check_format(data_dir));
  const std::string probe = data_dir + "/run/.probe";
  auto usable = os::make_directories(data_dir + "/run", 0700);
  if (usable.ok()) usable = os::write_file(probe, "x");
  ::unlink(probe.c_str());
  if (!usable.ok())
    return Error(usable.error().code(),
                 fmt::format("the data directory {} cannot be written ({}): choose another with "
                             "--data-dir",
                             data_dir, usable.error().message()));
  struct statvfs room {};
  if (::statvfs(data_dir.c_str(), &room) == 0 &&
      static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize < kLeastFreeBytes)
    return Error(Code::kResourceExhausted,
                 fmt::format("the disk of {} is full: less than 64 MB are free; make room or "
                             "choose another --data-dir",
                             data_dir));
  return os::write_file_atomic(data_dir + "/format", std::to_string(kDataFormat) + "\n");
}

// One of the two well-known ports: where it is asked for, else at the fallback, said in a sentence.
Result<> reserve_port(HostSockets& sockets, int port, int wanted, bool is_given, int fallback) {
  auto bound = os::reserve_loopback_port(wanted);
  int host_port = wanted;
  if (!bound.ok()) {
    if (is_given) return std::move(bound).error();
    std::printf("Port %d cannot be had on this machine (%s): it is served at %d instead.\n", port,
                bound.error().message().c_str(), fallback);
    host_port = fallback;
    bound = os::reserve_loopback_port(fallback);
    if (!bound.ok())
      return Error(bound.error().code(),
                   fmt::format("{}; choose one with --{}-port", bound.error().message(),
                               port == 80 ? "http" : "https"));
  }
  sockets.reserved.emplace_back(PortMapping{port, host_port}, std::move(bound).value());
  return {};
}

Result<HostSockets> bind_host_sockets(const UpOptions& options) {
  HostSockets sockets;
  auto api = os::reserve_loopback_port(options.api_port);
  if (!api.ok())
    return Error(
        api.error().code(),
        fmt::format("the API server's {}: choose another with --api-port", api.error().message()));
  sockets.api = std::move(api).value();
  TRY(os::start_listening(sockets.api.get()));
  TRY(reserve_port(sockets, 80, options.http_port, options.is_http_port_given, 8080));
  TRY(reserve_port(sockets, 443, options.https_port, options.is_https_port_given, 8443));
  return sockets;
}

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

int stop_supervisor(pid_t pid, const std::string& data_dir) {
  if (::kill(pid, SIGTERM) != 0 && errno == EPERM) {
    std::fprintf(stderr, "lateen: process %d belongs to another user\n", pid);
    return 1;
  }
  for (int waited = 0; waited < kDownLimitMs; waited += 20) {
    if (!os::PidFile::holder(pid_path(data_dir)).has_value()) return 0;
    ::usleep(20'000);
  }
  ::kill(pid, SIGKILL);
  ::usleep(200'000);
  return os::PidFile::holder(pid_path(data_dir)).has_value() ? 1 : 0;
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

Result<> bring_up(const UpOptions& options) {
  if (const auto pid = os::PidFile::holder(pid_path(options.data_dir))) {
    std::printf("Lateen already runs (process %d, data in %s).\n", *pid, options.data_dir.c_str());
    auto state = data::parse_json(os::read_file(state_path(options.data_dir)).value_or("{}"));
    return announce(
        options, state.ok() ? static_cast<int>(data::get_int(*state, {"apiPort"}, options.api_port))
                            : options.api_port);
  }
  TRY(os::check_kernel());
  const bool is_new = !os::path_exists(options.data_dir);
  const auto undo = [&] {
    if (is_new) (void)os::remove_tree(options.data_dir);
  };
  auto prepared = prepare_data_dir(options.data_dir);
  if (!prepared.ok()) {
    undo();
    return std::move(prepared).error();
  }
  auto sockets = bind_host_sockets(options);
  if (!sockets.ok()) {
    undo();
    return std::move(sockets).error();
  }
  auto pid_file = TRY(os::PidFile::acquire(pid_path(options.data_dir)));
  auto progress = TRY(os::make_pipe());
  int http_port = options.http_port;
  for (const auto& [mapping, fd] : sockets->reserved)
    if (mapping.port == 80) http_port = mapping.host_port;
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return errno_error("starting the supervisor", errno);
  if (child == 0) {
    progress.first.close();
    become_daemon(log_path(options.data_dir));
    (void)pid_file.write_own_pid();
    const int status = supervise(options, std::move(sockets).value(), progress.second.release());
    ::unlink(pid_path(options.data_dir).c_str());
    std::_Exit(status);
  }
  progress.second.close();
  sockets->api.close();
  sockets->reserved.clear();
  auto ready = wait_until_ready(progress.first.get(), log_path(options.data_dir));
  if (!ready.ok()) {
    stop_supervisor(child, options.data_dir);
    ::waitpid(child, nullptr, 0);
    undo();
    return ready;
  }
  TRY(announce(options, options.api_port));
  if (!options.has_mesh) return {};
  return bring_up_mesh(chosen_kubeconfig(options), http_port);
}

int report(std::string_view command, const Error& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "lateen %.*s: %s\n", static_cast<int>(command.size()), command.data(),
               error.message().c_str());
  return 1;
}

int usage_error(std::string_view command, const Error& error) {
  report(command, error);
  std::fprintf(
      stderr,
      "usage: lateen %.*s [--data-dir DIR] [--kubeconfig FILE] [--api-port 6443] [--http-port 80] "
      "[--https-port 443] [--no-mesh] [-o json|text] [--yes]\n",
      static_cast<int>(command.size()), command.data());
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
  const auto pid = os::PidFile::holder(pid_path(options->data_dir));
  if (!pid.has_value()) {
    std::printf("Lateen does not run with data in %s.\n", options->data_dir.c_str());
    return 0;
  }
  const int status = stop_supervisor(*pid, options->data_dir);
  if (status == 0)
    std::printf("Lateen is down; its data stays in %s.\n", options->data_dir.c_str());
  return status;
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
  if (const auto pid = os::PidFile::holder(pid_path(options->data_dir)))
    if (stop_supervisor(*pid, options->data_dir) != 0) return 1;
  // Files of users that only exist in the cluster's user namespace can be removed only from one.
  auto removed = os::remove_tree(options->data_dir);
  if (!removed.ok())
    removed = os::run_in_namespaces(0, [&] { return os::remove_tree(options->data_dir); });
  if (!removed.ok()) return report("reset", removed.error());
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
