// Child processes: starting them from a plan of namespace, mount and credential steps, waiting for
// them and signalling them through pidfds.
//
// spawn() may be called from any thread of a process with many: between the clone and the exec the
// child only makes system calls on memory prepared before, it never allocates and takes no lock.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "linux/fd.h"

namespace lateen::os {

struct ExitStatus {
  int code = 0;    // exit code; 128 + signal when killed
  int signal = 0;  // 0: exited by itself
};

// A child of this process. Dropping it neither kills nor reaps.
class Child {
 public:
  Child() = default;
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable once it ended
  bool is_started() const { return pid_ > 0; }
  // False when it is gone already.
  bool signal(int number) const;
  // Blocks and reaps. Call once.
  Result<ExitStatus> wait() const;
  // Waits at most `limit_ms` without reaping; true when it ended.
  bool wait_ended(int limit_ms) const;

 private:
  pid_t pid_ = 0;
  Fd pidfd_;
};

// One thing that a child does before it runs its program. Made by the functions below.
struct Step {
  enum class Kind : unsigned char {
    kJoinNamespace,    // fd, flags (CLONE_NEW…)
    kMount,            // a: source, b: target, c: type, d: data; flags: MS_…
    kReadOnlyTree,     // b: target; mount_setattr(MOUNT_ATTR_RDONLY); flags: 1 for the whole tree
    kMakeDirectory,    // b, with its parents; flags: mode. An existing one is fine
    kMakeFile,         // b; flags: mode. An existing one is fine
    kSymlink,          // a: to, b: where. An existing one is fine
    kWriteFile,        // b: path, a: text. Not created
    kPivotRoot,        // b: new root; a: where the old one goes, inside the new one; empty: nowhere
    kDetach,           // b: unmounted lazily, and the mount point removed
    kHostname,         // a
    kChangeDirectory,  // b; made when flags is 1
    kCloseOnExecAll,   // every descriptor from 3 on
    kLoopbackUp,
  };
  Kind kind{};
  bool is_optional = false;  // a failure is ignored
  int fd = -1;
  std::uint64_t flags = 0;
  std::string a, b, c, d;
};
Step mount_step(std::string source, std::string target, std::string type, std::uint64_t flags,
                std::string data = {});
// A recursive bind mount: in a user namespace a locked submount must come along.
Step bind_step(std::string source, std::string target);
Step path_step(Step::Kind kind, std::string path, std::uint64_t flags = 0);
Step optional_step(Step step);

struct Credentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::uint64_t capabilities = ~0ull;  // bounding set; permitted and effective too while uid is 0
  bool is_no_new_privileges = false;
};

struct SpawnPlan {
  std::uint64_t namespaces = 0;  // CLONE_NEW… flags of the clone
  std::vector<Step> steps;
  // First try candidates in order: full paths of the program inside the new root.
  std::vector<std::string> programs;
  std::vector<std::string> arguments;      // argv, with argv[0]
  std::vector<std::string> environment;    // "NAME=value"
  std::optional<Credentials> credentials;  // nullopt: unchanged
  int stdin_fd = -1;                       // -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
  bool is_terminal = false;  // stdin_fd is a terminal to become the controlling one
  std::vector<std::pair<int, int>>
      kept_fds;        // {ours, number in the child}; numbers from 3 on; at most 16
  int cgroup_fd = -1;  // cgroup v2 directory to start in
  std::vector<std::string>
      cgroup_procs;  // cgroup v1: cgroup.procs files to write "0" to; failures are ignored
  int parent_death_signal = 0;
};

// Fails when a step failed (saying which) or no candidate could be run: NotFound when none exists,
// else PermissionDenied and so on by errno. Then no child is left.
Result<Child> spawn(const SpawnPlan& plan);

// Programs to try for `name`: itself when it has a slash, else one per directory of `path`.
std::vector<std::string> program_candidates(const std::string& name, std::string_view path);

Result<Fd> open_pidfd(pid_t pid);
// Bits of capability names with or without CAP_; nullopt for an unknown name. "ALL" is all.
std::optional<std::uint64_t> capability_bits(std::string_view name);

}  // namespace lateen::os
