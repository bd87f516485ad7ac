// Namespaces: which user ids can be had, whether the kernel allows what an embedded cluster needs,
// and forks into fresh namespaces. Functions that fork are for processes with one thread only.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/function.h"
#include "linux/fd.h"
#include "linux/process.h"

namespace lateen::os {

struct IdRange {
  std::uint32_t inside;
  std::uint32_t outside;
  std::uint32_t count;
};
struct IdMaps {
  enum class Kind : unsigned char {
    kIdentity,     // we are root: every id we have ourselves
    kSubordinate,  // root inside is us, others come from /etc/subuid through newuidmap(1)
    kSingle,       // root inside is us, and there is nobody else
  } kind = Kind::kSingle;
  std::vector<IdRange> uids;
  std::vector<IdRange> gids;
};
// The widest maps that this user may have.
IdMaps choose_id_maps();
// Gives the maps to a process in a fresh user namespace. A refused newuidmap falls back to the
// single map, which then is what `maps` says.
Result<> write_id_maps(pid_t pid, IdMaps& maps);

// fork() with CLONE_NEW… flags. 0 in the child. `pidfd` is set in the parent.
Result<pid_t> fork_into(std::uint64_t namespaces, Fd& pidfd);
// Runs `body` in a child in its own user and other namespaces, with id maps, and gives its error
// back. For probes.
Result<> run_in_namespaces(std::uint64_t namespaces, const Function<Result<>()>& body);

// What the cluster needs of the kernel, each tried: user, network, mount and PID namespaces, veth,
// NAT in nftables. The error names the first that is missing and what to do.
Result<> check_kernel();

// Moves the calling thread into a namespace.
Result<> join_namespace(int fd, int kind);

}  // namespace lateen::os
