// Limits of memory and CPU through the kernel's control groups: version 2 where a group of ours can
// be made, else version 1's memory and cpu controllers. Where the machine grants neither, pods run
// without limits and why_not() says so.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace lateen::cluster::node {

struct ResourceLimits {
  std::int64_t memory_bytes = 0;  // 0: none
  std::int64_t cpu_millis = 0;    // 0: none
  bool is_empty() const { return memory_bytes == 0 && cpu_millis == 0; }
};

// One container's group. Removed with it, once its processes are gone.
class Cgroup {
 public:
  ~Cgroup();
  // What a starting process needs to be put into it.
  int directory_fd() const { return directory_.get(); }             // v2; -1 with v1
  const std::vector<std::string>& procs() const { return procs_; }  // v1
  bool was_out_of_memory() const;

 private:
  friend class Cgroups;
  Cgroup() = default;
  std::vector<std::string> paths_;
  std::vector<std::string> procs_;
  std::string events_;  // the file that counts kills
  Fd directory_;
};

class Cgroups {
 public:
  // Looks for a place; `name` is of this cluster alone. Takes away what an earlier process left.
  static std::unique_ptr<Cgroups> find(const std::string& name,
                                       const std::string& mount = "/sys/fs/cgroup",
                                       const std::string& own = "/proc/self/cgroup");
  ~Cgroups();
  bool is_enforcing() const { return !roots_.empty(); }
  const std::string& why_not() const { return why_not_; }
  // Null without limits or where there is no enforcing.
  Result<std::shared_ptr<const Cgroup>> make(std::string_view name,
                                             const ResourceLimits& limits) const;

 private:
  Cgroups() = default;
  bool try_v2(const std::string& mount, std::string_view own, const std::string& name);
  bool try_v1(const std::string& mount, std::string_view own, const std::string& name);
  bool is_v2_ = false;
  std::vector<std::string> roots_;  // v2: one; v1: memory's, then cpu's
  std::string why_not_;
};

}  // namespace lateen::cluster::node
