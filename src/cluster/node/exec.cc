// Exec and attach.
#include "cluster/node/exec.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "base/strings.h"

namespace lateen::cluster::node {
namespace {

constexpr std::size_t kMostOutputBytes = 10 * 1024;

ProcessConfig process_config(const RunningContainer& container,
                             const std::vector<std::string>& command) {
  ProcessConfig config;
  config.arguments = command;
  config.environment = container.environment;
  config.working_directory = container.working_directory;
  config.credentials = container.credentials;
  config.group = container.group.get();
  return config;
}

// One of the container's own, so that programs find it under /dev/pts; else one of the node's.
Result<os::FdPair> make_terminal(const RunningContainer& container) {
  const std::string ptmx = fmt::format("/proc/{}/root/dev/pts/ptmx", container.child.pid());
  auto own = os::make_pty_at(ptmx, 80, 24);
  return own.ok() ? std::move(own) : os::make_pty(80, 24);
}

Fd to_net(Fd fd) { return Fd(fd.release()); }

class Exec final : public ExecSession {
 public:
  Exec(os::Child child, std::shared_ptr<const RunningContainer> container)
      : child_(std::move(child)), container_(std::move(container)) {}
  ~Exec() override {
    if (is_reaped_) return;
    child_.signal(SIGKILL);
    (void)child_.wait();
  }
  Fd take_stdin() override { return std::move(stdin_); }
  int stdout_fd() const override { return stdout_.get(); }
  int stderr_fd() const override { return stderr_.get(); }
  void resize(int columns, int rows) override {
    if (terminal_.is_open()) os::resize_pty(terminal_.get(), columns, rows);
  }
  Result<int> wait() override {
    const auto status = TRY(child_.wait());
    is_reaped_ = true;
    return status.code;
  }

  Fd stdin_, stdout_, stderr_;
  Fd terminal_;

 private:
  os::Child child_;
  std::shared_ptr<const RunningContainer> container_;
  bool is_reaped_ = false;
};

class Attach final : public ExecSession {
 public:
  explicit Attach(std::shared_ptr<const RunningContainer> container)
      : container_(std::move(container)) {}
  Fd take_stdin() override { return std::move(stdin_); }
  int stdout_fd() const override { return stdout_.get(); }
  int stderr_fd() const override { return stderr_.get(); }
  void resize(int columns, int rows) override {
    if (container_->terminal_fd.is_open())
      os::resize_pty(container_->terminal_fd.get(), columns, rows);
  }
  Result<int> wait() override { return container_->ending->wait(); }

  Fd stdin_, stdout_, stderr_;

 private:
  std::shared_ptr<const RunningContainer> container_;
};

}  // namespace

Result<ProbeTarget::Finished> run_in_container(const RunningContainer& container,
                                               const std::vector<std::string>& command,
                                               milliseconds limit) {
  auto output = TRY(os::make_pipe());
  ProcessConfig config = process_config(container, command);
  config.stdout_fd = config.stderr_fd = output.second.get();
  const os::Child child = TRY(start_in_container(config, container.child));
  output.second.close();
  ProbeTarget::Finished finished{0, {}};
  const auto deadline = std::chrono::steady_clock::now() + limit;
  bool is_open = true;
  while (true) {
    const auto left =
        std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) {
      child.signal(SIGKILL);
      (void)child.wait();
      return Error(Code::kDeadlineExceeded,
                   fmt::format("\"{}\" took too long", join(command, " ")));
    }
    pollfd watched[2] = {{child.pidfd(), POLLIN, 0},
                         {is_open ? output.first.get() : -1, POLLIN, 0}};
    ::poll(watched, 2, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (watched[1].revents != 0) {
      char chunk[4096];
      const ssize_t got = ::read(output.first.get(), chunk, sizeof chunk);
      if (got <= 0) is_open = false;
      else if (finished.output.size() < kMostOutputBytes)
        finished.output.append(chunk, static_cast<std::size_t>(got));
      continue;  // what it wrote before its end comes before its end
    }
    if (watched[0].revents != 0) break;
  }
  finished.exit_code = TRY(child.wait()).code;
  return finished;
}

Result<std::unique_ptr<ExecSession>> start_exec(std::shared_ptr<const RunningContainer> container,
                                                const ExecRequest& request) {
  if (request.command.empty())
    return invalid("you must specify at least one command for the container");
  ProcessConfig config = process_config(*container, request.command);
  Fd ours_in, ours_out, ours_err, child_in, child_out, child_err, terminal;
  if (request.is_tty) {
    auto pty = TRY(make_terminal(*container));
    terminal = TRY(pty.first.duplicate());
    if (request.has_stdin) ours_in = TRY(pty.first.duplicate());
    ours_out = std::move(pty.first);
    child_in = std::move(pty.second);
    config.is_terminal = true;
    config.stdin_fd = config.stdout_fd = config.stderr_fd = child_in.get();
    const bool has_term =
        std::any_of(config.environment.begin(), config.environment.end(),
                    [](const std::string& entry) { return entry.starts_with("TERM="); });
    if (!has_term) config.environment.emplace_back("TERM=xterm");
  } else {
    if (request.has_stdin) {
      auto pipe = TRY(os::make_pipe());
      child_in = std::move(pipe.first);
      ours_in = std::move(pipe.second);
    }
    if (request.has_stdout) {
      auto pipe = TRY(os::make_pipe());
      ours_out = std::move(pipe.first);
      child_out = std::move(pipe.second);
    }
    if (request.has_stderr) {
      auto pipe = TRY(os::make_pipe());
      ours_err = std::move(pipe.first);
      child_err = std::move(pipe.second);
    }
    config.stdin_fd = child_in.get();
    config.stdout_fd = child_out.get();
    config.stderr_fd = child_err.get();
  }
  for (const Fd* fd : {&ours_in, &ours_out, &ours_err})
    if (fd->is_open()) TRY(os::set_nonblocking(fd->get(), true));
  os::Child child = TRY(start_in_container(config, container->child));
  auto session = std::make_unique<Exec>(std::move(child), std::move(container));
  session->stdin_ = to_net(std::move(ours_in));
  session->stdout_ = to_net(std::move(ours_out));
  session->stderr_ = to_net(std::move(ours_err));
  session->terminal_ = std::move(terminal);
  return std::unique_ptr<ExecSession>(std::move(session));
}

Result<std::unique_ptr<ExecSession>> start_attach(std::shared_ptr<const RunningContainer> container,
                                                  const ExecRequest& request, LogPump& pump) {
  auto session = std::make_unique<Attach>(container);
  Fd sink_out, sink_err;
  const auto make_stream = [](Fd& sink) -> Result<Fd> {
    auto pipe = TRY(os::make_pipe());
    TRY(os::set_nonblocking(pipe.first.get(), true));
    TRY(os::set_nonblocking(pipe.second.get(), true));
    sink = std::move(pipe.second);
    return to_net(std::move(pipe.first));
  };
  if (request.has_stdout) session->stdout_ = TRY(make_stream(sink_out));
  if (request.has_stderr && !container->terminal_fd.is_open())
    session->stderr_ = TRY(make_stream(sink_err));
  if (request.has_stdin) {
    const std::lock_guard lock(container->stdin_mutex);
    if (!container->stdin_fd.is_open())
      return invalid("the container has no stdin, or no longer: set stdin: true in its spec");
    Fd copy = container->is_stdin_once ? std::move(container->stdin_fd)
                                       : TRY(container->stdin_fd.duplicate());
    TRY(os::set_nonblocking(copy.get(), true));
    session->stdin_ = to_net(std::move(copy));
  }
  pump.attach(container->id, std::move(sink_out), std::move(sink_err));
  return std::unique_ptr<ExecSession>(std::move(session));
}

}  // namespace lateen::cluster::node
