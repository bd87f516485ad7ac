// Waiting and signalling, and the plan's small builders. The child's side of spawn() is in
// spawn.cc.
#include "linux/process.h"

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/strings.h"

namespace lateen::os {

bool Child::signal(int number) const {
  return ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0;
}

Result<ExitStatus> Child::wait() const {
  siginfo_t info{};
  int failed;
  do {
    failed =
        ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  } while (failed != 0 && errno == EINTR);
  if (failed != 0) return errno_error("waiting for process " + std::to_string(pid_), errno);
  if (info.si_code == CLD_EXITED) return ExitStatus{info.si_status, 0};
  return ExitStatus{128 + info.si_status, info.si_status};
}

bool Child::wait_ended(int limit_ms) const {
  pollfd watched{pidfd_.get(), POLLIN, 0};
  return ::poll(&watched, 1, limit_ms) > 0;
}

Result<Fd> open_pidfd(pid_t pid) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return errno_error("opening process " + std::to_string(pid), errno);
  return Fd(fd);
}

Step mount_step(std::string source, std::string target, std::string type, std::uint64_t flags,
                std::string data) {
  Step step;
  step.kind = Step::Kind::kMount;
  step.flags = flags;
  step.a = std::move(source);
  step.b = std::move(target);
  step.c = std::move(type);
  step.d = std::move(data);
  return step;
}

Step bind_step(std::string source, std::string target) {
  return mount_step(std::move(source), std::move(target), "", MS_BIND | MS_REC);
}

Step path_step(Step::Kind kind, std::string path, std::uint64_t flags) {
  Step step;
  step.kind = kind;
  step.flags = flags;
  step.b = std::move(path);
  return step;
}

Step optional_step(Step step) {
  step.is_optional = true;
  return step;
}

std::vector<std::string> program_candidates(const std::string& name, std::string_view path) {
  if (name.find('/') != std::string::npos) return {name};
  std::vector<std::string> candidates;
  for (std::string_view directory : split(path, ':'))
    if (!directory.empty()) candidates.push_back(std::string(directory) + "/" + name);
  return candidates;
}

std::optional<std::uint64_t> capability_bits(std::string_view name) {
  static constexpr std::array<std::string_view, 41> kNames = {"CHOWN",
                                                              "DAC_OVERRIDE",
                                                              "DAC_READ_SEARCH",
                                                              "FOWNER",
                                                              "FSETID",
                                                              "KILL",
                                                              "SETGID",
                                                              "SETUID",
                                                              "SETPCAP",
                                                              "LINUX_IMMUTABLE",
                                                              "NET_BIND_SERVICE",
                                                              "NET_BROADCAST",
                                                              "NET_ADMIN",
                                                              "NET_RAW",
                                                              "IPC_LOCK",
                                                              "IPC_OWNER",
                                                              "SYS_MODULE",
                                                              "SYS_RAWIO",
                                                              "SYS_CHROOT",
                                                              "SYS_PTRACE",
                                                              "SYS_PACCT",
                                                              "SYS_ADMIN",
                                                              "SYS_BOOT",
                                                              "SYS_NICE",
                                                              "SYS_RESOURCE",
                                                              "SYS_TIME",
                                                              "SYS_TTY_CONFIG",
                                                              "MKNOD",
                                                              "LEASE",
                                                              "AUDIT_WRITE",
                                                              "AUDIT_CONTROL",
                                                              "SETFCAP",
                                                              "MAC_OVERRIDE",
                                                              "MAC_ADMIN",
                                                              "SYSLOG",
                                                              "WAKE_ALARM",
                                                              "BLOCK_SUSPEND",
                                                              "AUDIT_READ",
                                                              "PERFMON",
                                                              "BPF",
                                                              "CHECKPOINT_RESTORE"};
  if (name.starts_with("CAP_")) name.remove_prefix(4);
  if (name == "ALL") return ~0ull;
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return 1ull << i;
  return std::nullopt;
}

}  // namespace lateen::os
