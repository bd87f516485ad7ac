// See cgroups.h.
#include "cluster/node/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "base/strings.h"
#include "linux/files.h"

namespace lateen::cluster::node {
namespace {

constexpr std::int64_t kPeriodMicros = 100'000;
constexpr int kMostDepth = 8;

// The kernel's files take one write each.
Result<> put(const std::string& path, std::string_view text) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_open()) return errno_error("opening " + path, errno);
  if (::write(fd.get(), text.data(), text.size()) < 0) return errno_error("writing " + path, errno);
  return {};
}

bool has_word(std::string_view text, std::string_view word) {
  for (const auto one : split(trim(text), ' ')) {
    if (one == word) return true;
  }
  return false;
}

bool holds(const std::string& path, std::string_view word) {
  const auto text = os::read_file(path);
  return text.ok() && has_word(*text, word);
}

bool make_group(const std::string& path) {
  return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
}

// Groups go from the innermost; one with processes stays.
void remove_groups(const std::string& path, int depth = 0) {
  if (depth > kMostDepth) return;
  if (DIR* directory = ::opendir(path.c_str())) {
    std::vector<std::string> inner;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (entry->d_type == DT_DIR && name != "." && name != "..") inner.emplace_back(name);
    }
    ::closedir(directory);
    for (const auto& name : inner) remove_groups(path + "/" + name, depth + 1);
  }
  ::rmdir(path.c_str());
}

// The group this process is in: the path of the line whose controllers hold `controller`; of
// version 2 for an empty one.
std::string own_group(std::string_view lines, std::string_view controller) {
  for (const auto line : split(lines, '\n')) {
    const auto first = split_once(line, ":");
    if (!first) continue;
    const auto second = split_once(first->second, ":");
    if (!second) continue;
    const bool is_meant = controller.empty() ? first->first == "0" && second->first.empty() : [&] {
      for (const auto one : split(second->first, ','))
        if (one == controller) return true;
      return false;
    }();
    if (is_meant) return std::string(second->second);
  }
  return "/";
}

std::string parent_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos || slash == 0 ? "" : path.substr(0, slash);
}

}  // namespace

Cgroup::~Cgroup() {
  for (const auto& path : paths_) remove_groups(path);
}

bool Cgroup::was_out_of_memory() const {
  const auto text = os::read_file(events_);
  if (!text.ok()) return false;
  for (const auto line : split(*text, '\n')) {
    const auto parts = split_once(line, " ");
    if (parts && parts->first == "oom_kill") return parse_uint(trim(parts->second)).value_or(0) > 0;
  }
  return false;
}

std::unique_ptr<Cgroups> Cgroups::find(const std::string& name, const std::string& mount,
                                       const std::string& own) {
  std::unique_ptr<Cgroups> made(new Cgroups());
  const auto lines = os::read_file(own);
  const std::string_view text = lines.ok() ? std::string_view(*lines) : std::string_view();
  if (made->try_v2(mount, text, name) || made->try_v1(mount, text, name)) return made;
  made->why_not_ =
      "limits of memory and CPU are not enforced: no cgroup with the memory controller may be made "
      "below this process's own (run as root, or in a session with delegated cgroups: systemd-run "
      "--user --scope -p Delegate=yes)";
  return made;
}

Cgroups::~Cgroups() {
  for (const auto& root : roots_) remove_groups(root);
}

// From our own group up: the first one below which a group of ours gets the memory controller. In
// our own there are processes, which keeps it from having inner groups with controllers unless it
// is the root.
bool Cgroups::try_v2(const std::string& mount, std::string_view own, const std::string& name) {
  if (!os::path_exists(mount + "/cgroup.controllers")) return false;
  std::string inside = own_group(own, "");
  for (int depth = 0; depth < kMostDepth; ++depth) {
    if (inside == "/") inside.clear();
    const std::string base = mount + inside;
    if (holds(base + "/cgroup.controllers", "memory")) {
      for (std::string_view controller : {"+memory", "+cpu"})
        (void)put(base + "/cgroup.subtree_control", controller);
      const std::string root = base + "/" + name;
      remove_groups(root);
      if (holds(base + "/cgroup.subtree_control", "memory") && make_group(root)) {
        const bool has_memory = put(root + "/cgroup.subtree_control", "+memory").ok();
        (void)put(root + "/cgroup.subtree_control", "+cpu");
        const std::string trial = root + "/trial";
        if (has_memory && make_group(trial)) {
          const bool can_limit = os::path_exists(trial + "/memory.max");
          ::rmdir(trial.c_str());
          if (can_limit) {
            is_v2_ = true;
            roots_ = {root};
            return true;
          }
        }
        ::rmdir(root.c_str());
      }
    }
    if (inside.empty()) return false;
    inside = parent_of(inside);
  }
  return false;
}

bool Cgroups::try_v1(const std::string& mount, std::string_view own, const std::string& name) {
  for (const std::string controller : {"memory", "cpu"}) {
    const std::string inside = own_group(own, controller);
    std::string base = mount + "/" + controller + (inside == "/" ? std::string() : inside);
    if (!os::path_exists(base)) base = mount + "/" + controller;
    const std::string root = base + "/" + name;
    if (!os::path_exists(base)) break;
    remove_groups(root);
    if (!make_group(root)) break;
    const bool can_limit =
        ::access((root + (controller == "memory" ? "/memory.limit_in_bytes" : "/cpu.cfs_quota_us"))
                     .c_str(),
                 W_OK) == 0;
    roots_.push_back(root);
    if (!can_limit) break;
    if (roots_.size() == 2) return true;
  }
  for (const auto& root : roots_) ::rmdir(root.c_str());
  roots_.clear();
  return false;
}

Result<std::shared_ptr<const Cgroup>> Cgroups::make(std::string_view name,
                                                    const ResourceLimits& limits) const {
  if (!is_enforcing() || limits.is_empty()) return std::shared_ptr<const Cgroup>();
  std::shared_ptr<Cgroup> made(new Cgroup());
  for (const auto& root : roots_) {
    const std::string path = fmt::format("{}/{}", root, name);
    remove_groups(path);
    if (!make_group(path)) return errno_error("making the control group " + path, errno);
    made->paths_.push_back(path);
  }
  const std::string& first = made->paths_.front();
  if (is_v2_) {
    if (limits.memory_bytes > 0) {
      TRY(put(first + "/memory.max", fmt::format("{}", limits.memory_bytes)));
      (void)put(first + "/memory.swap.max", "0");
      (void)put(first + "/memory.oom.group", "1");
    }
    if (limits.cpu_millis > 0) {
      (void)put(first + "/cpu.max",
                fmt::format("{} {}", limits.cpu_millis * kPeriodMicros / 1000, kPeriodMicros));
    }
    made->events_ = first + "/memory.events";
    made->directory_ = Fd(::open(first.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!made->directory_.is_open())
      return errno_error("opening the control group " + first, errno);
    return std::shared_ptr<const Cgroup>(std::move(made));
  }
  if (limits.memory_bytes > 0) {
    TRY(put(first + "/memory.limit_in_bytes", fmt::format("{}", limits.memory_bytes)));
    (void)put(first + "/memory.memsw.limit_in_bytes", fmt::format("{}", limits.memory_bytes));
  }
  if (limits.cpu_millis > 0) {
    const std::int64_t quota =
        std::max<std::int64_t>(limits.cpu_millis * kPeriodMicros / 1000, 1000);
    TRY(put(made->paths_[1] + "/cpu.cfs_quota_us", fmt::format("{}", quota)));
  }
  made->events_ = first + "/memory.oom_control";
  for (const auto& path : made->paths_) made->procs_.push_back(path + "/cgroup.procs");
  return std::shared_ptr<const Cgroup>(std::move(made));
}

}  // namespace lateen::cluster::node
