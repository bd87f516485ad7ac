// spawn(): clone3, then a fixed list of system calls in the child, then exec. The child shares
// nothing with the parent but copied memory, whose locks may be held by threads that do not exist
// in it: so no allocation, no logging, no library call that could lock. Failures go back through a
// pipe that exec closes.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "linux/process.h"

namespace lateen::os {
namespace {

constexpr std::uint64_t kAttrReadOnly = 0x1;  // MOUNT_ATTR_RDONLY, linux/mount.h
constexpr int kAtRecursive = 0x8000;          // AT_RECURSIVE

constexpr std::size_t kMaxKeptFds = 16;

// Where the child failed; steps count from 0, the rest are these.
enum Stage : int { kStdio = -1, kIdentity = -2, kExec = -3, kFds = -4 };
struct Failure {
  int stage;
  int error;
};

struct MountAttributes {
  std::uint64_t set = 0, clear = 0, propagation = 0, userns_fd = 0;
};

// Everything the child reads, as plain pointers.
struct Prepared {
  const SpawnPlan& plan;
  std::vector<char*> argv;
  std::vector<char*> envp;
  int failure_fd;
};

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

int loopback_up() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int error = ::ioctl(fd, SIOCSIFFLAGS, &request) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

int pivot_root(const char* root, const char* old_root) {
  if (::chdir(root) != 0) return errno;
  if (old_root != nullptr) {
    if (::mkdir(old_root, 0700) != 0 && errno != EEXIST) return errno;
    if (::syscall(SYS_pivot_root, ".", old_root) != 0) return errno;
    return ::chdir("/") == 0 ? 0 : errno;
  }
  // The old root ends up stacked under the new one and is taken away from there.
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return errno;
  if (::umount2(".", MNT_DETACH) != 0) return errno;
  return ::chdir("/") == 0 ? 0 : errno;
}

int make_path(const Step& step) {
  char path[4096];
  if (step.b.size() >= sizeof path) return ENAMETOOLONG;
  std::memcpy(path, step.b.c_str(), step.b.size() + 1);
  const auto mode = static_cast<mode_t>(step.flags);
  for (std::size_t i = 1; i < step.b.size(); ++i) {
    if (path[i] != '/') continue;
    path[i] = 0;
    if (::mkdir(path, 0755) != 0 && errno != EEXIST) return errno;
    path[i] = '/';
  }
  return ::mkdir(path, mode) == 0 || errno == EEXIST ? 0 : errno;
}

int detach(const char* path) {
  if (::umount2(path, MNT_DETACH) != 0) return errno;
  ::rmdir(path);
  return 0;
}

int write_text(const Step& step) {
  const int fd = ::open(step.b.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::write(fd, step.a.data(), step.a.size()) < 0 ? errno : 0;
  ::close(fd);
  return error;
}

int make_file(const Step& step) {
  const int fd =
      ::open(step.b.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, static_cast<mode_t>(step.flags));
  if (fd < 0) return errno == EISDIR ? 0 : errno;
  ::close(fd);
  return 0;
}

// 0 or errno.
int take_step(const Step& step) {
  const auto result = [](long value) { return value == 0 ? 0 : errno; };
  switch (step.kind) {
    case Step::Kind::kJoinNamespace:
      return result(::syscall(SYS_setns, step.fd, static_cast<int>(step.flags)));
    case Step::Kind::kMount:
      return result(
          ::mount(or_null(step.a), step.b.c_str(), or_null(step.c), step.flags, or_null(step.d)));
    case Step::Kind::kReadOnlyTree: {
      MountAttributes attributes{kAttrReadOnly, 0, 0, 0};
      return result(::syscall(SYS_mount_setattr, AT_FDCWD, step.b.c_str(),
                              step.flags == 1 ? kAtRecursive : 0, &attributes, sizeof attributes));
    }
    case Step::Kind::kMakeDirectory: return make_path(step);
    case Step::Kind::kMakeFile: return make_file(step);
    case Step::Kind::kSymlink: {
      const int error = result(::symlink(step.a.c_str(), step.b.c_str()));
      return error == EEXIST ? 0 : error;
    }
    case Step::Kind::kWriteFile: return write_text(step);
    case Step::Kind::kPivotRoot: return pivot_root(step.b.c_str(), or_null(step.a));
    case Step::Kind::kDetach: return detach(step.b.c_str());
    case Step::Kind::kHostname: return result(::sethostname(step.a.data(), step.a.size()));
    case Step::Kind::kChangeDirectory:
      if (step.flags == 1) ::mkdir(step.b.c_str(), 0755);
      return result(::chdir(step.b.c_str()));
    case Step::Kind::kCloseOnExecAll:
      return result(::syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */));
    case Step::Kind::kLoopbackUp: return loopback_up();
  }
  return EINVAL;
}

int set_identity(const Credentials& wanted) {
  // glibc's setuid() would signal the threads of a process that the child is not: raw calls.
  if (::syscall(SYS_setgroups, wanted.groups.size(), wanted.groups.data()) != 0 && errno != EPERM)
    return errno;
  for (int bit = 0; bit < 64; ++bit)
    if ((wanted.capabilities >> bit & 1) == 0 && ::prctl(PR_CAPBSET_READ, bit, 0, 0, 0) == 1 &&
        ::prctl(PR_CAPBSET_DROP, bit, 0, 0, 0) != 0)
      return errno;
  if (::syscall(SYS_setresgid, wanted.gid, wanted.gid, wanted.gid) != 0) return errno;
  if (::syscall(SYS_setresuid, wanted.uid, wanted.uid, wanted.uid) != 0) return errno;
  if (wanted.is_no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  return 0;
}

int place_stdio(const SpawnPlan& plan) {
  // The sources may be 0..2 themselves: first moved out of the way, then each to its place.
  int sources[3] = {plan.stdin_fd, plan.stdout_fd, plan.stderr_fd};
  for (int& source : sources) {
    if (source < 0) source = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (source < 0) return errno;
    source = ::fcntl(source, F_DUPFD_CLOEXEC, 64);
    if (source < 0) return errno;
  }
  for (int i = 0; i < 3; ++i)
    if (::dup2(sources[i], i) < 0) return errno;
  ::setsid();
  if (plan.is_terminal && ::ioctl(0, TIOCSCTTY, 0) != 0) return errno;
  return 0;
}

[[noreturn]] void fail(int fd, int stage, int error) {
  const Failure failure{stage, error};
  (void)!::write(fd, &failure, sizeof failure);
  ::_exit(127);
}

[[noreturn]] void run_child(const Prepared& prepared) {
  const SpawnPlan& plan = prepared.plan;
  int failure_fd = prepared.failure_fd;
  if (plan.parent_death_signal != 0) ::prctl(PR_SET_PDEATHSIG, plan.parent_death_signal, 0, 0, 0);
  for (const std::string& procs : plan.cgroup_procs) {
    const int fd = ::open(procs.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd >= 0) (void)!::write(fd, "0", 1);
    if (fd >= 0) ::close(fd);
  }
  if (const int error = place_stdio(plan); error != 0) fail(failure_fd, kStdio, error);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const int error = take_step(plan.steps[i]);
    if (error != 0 && !plan.steps[i].is_optional) fail(failure_fd, static_cast<int>(i), error);
  }
  ::syscall(SYS_close_range, 3u, ~0u, 4u);
  // Neither the pipe nor a source may sit on a number that a kept descriptor wants: all move up
  // first.
  failure_fd = ::fcntl(failure_fd, F_DUPFD_CLOEXEC, 512);
  if (failure_fd < 0) ::_exit(127);
  int sources[kMaxKeptFds];
  const std::size_t kept = plan.kept_fds.size();
  if (kept > kMaxKeptFds) fail(failure_fd, kFds, E2BIG);
  for (std::size_t i = 0; i < kept; ++i)
    if ((sources[i] = ::fcntl(plan.kept_fds[i].first, F_DUPFD_CLOEXEC, 512)) < 0)
      fail(failure_fd, kFds, errno);
  for (std::size_t i = 0; i < kept; ++i)
    if (::dup2(sources[i], plan.kept_fds[i].second) < 0) fail(failure_fd, kFds, errno);
  // Signal dispositions and the mask of the parent are no business of the program's.
  for (int number = 1; number < 32; ++number)
    if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan.credentials.has_value())
    if (const int error = set_identity(*plan.credentials); error != 0)
      fail(failure_fd, kIdentity, error);
  // setresuid clears it.
  if (plan.parent_death_signal != 0) ::prctl(PR_SET_PDEATHSIG, plan.parent_death_signal, 0, 0, 0);
  int last_error = ENOENT;
  for (const std::string& program : plan.programs) {
    ::execve(program.c_str(), prepared.argv.data(), prepared.envp.data());
    if (errno != ENOENT && errno != ENOTDIR) last_error = errno;
  }
  fail(failure_fd, kExec, last_error);
}

std::string describe(const SpawnPlan& plan, const Failure& failure) {
  if (failure.stage == kStdio) return "setting up standard input and output";
  if (failure.stage == kFds) return "handing descriptors over";
  if (failure.stage == kIdentity)
    return fmt::format("becoming user {}:{}", plan.credentials->uid, plan.credentials->gid);
  if (failure.stage == kExec) {
    const std::string name = plan.arguments.empty() ? "" : plan.arguments.front();
    return failure.error == ENOENT && name.find('/') == std::string::npos
               ? fmt::format("exec: \"{}\": executable file not found in $PATH", name)
               : fmt::format("exec: \"{}\"", name);
  }
  const Step& step = plan.steps[static_cast<std::size_t>(failure.stage)];
  switch (step.kind) {
    case Step::Kind::kMount:
      return fmt::format("mounting {} at {}", step.a.empty() ? step.c : step.a, step.b);
    case Step::Kind::kJoinNamespace: return "joining a namespace";
    case Step::Kind::kReadOnlyTree: return "making " + step.b + " read-only";
    default: return "setting up " + (step.b.empty() ? step.a : step.b);
  }
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

Result<Child> spawn(const SpawnPlan& plan) {
  FdPair failures = TRY(make_pipe());
  const Prepared prepared{plan, pointers(plan.arguments), pointers(plan.environment),
                          failures.second.get()};
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = plan.namespaces | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (plan.cgroup_fd >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(plan.cgroup_fd);
  }
  // No handler of ours may run in the child before exec.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) run_child(prepared);
  const int clone_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return errno_error("starting a process", clone_error);

  Child child(static_cast<pid_t>(pid), Fd(pidfd));
  failures.second.close();
  Failure failure{};
  ssize_t got;
  do {
    got = ::read(failures.first.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return child;
  (void)child.wait();
  if (got != sizeof failure) return internal("a process ended before it ran its program");
  const std::string what = describe(plan, failure);
  if (failure.stage == kExec && failure.error == ENOENT && what.ends_with("$PATH"))
    return not_found(what);
  return errno_error(what, failure.error);
}

}  // namespace lateen::os
