// A container's mounts, in the order the child makes them: the layered root, then a pivot into it
// with the old root kept aside, so that targets resolve inside the new root whatever links an image
// has, then everything else.
#include "cluster/node/container.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <thread>

#include "base/strings.h"
#include "linux/files.h"
#include "linux/namespaces.h"

namespace lateen::cluster::node {
namespace {

using os::bind_step;
using os::mount_step;
using os::optional_step;
using os::path_step;
using os::Step;

constexpr const char* kOldRoot = ".lateen-old";
constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string overlay_options(const std::string& lower, const std::string& layers) {
  return fmt::format("lowerdir={},upperdir={}/upper,workdir={}/work,userxattr", lower, layers,
                     layers);
}

void add_root(std::vector<Step>& steps, const ContainerConfig& config, Layering layering) {
  const std::string root = config.work_dir + "/root";
  std::string layers = config.work_dir;
  steps.push_back(mount_step("", "/", "", MS_REC | MS_PRIVATE));
  if (layering == Layering::kOverlayOnTmpfs) {
    layers = config.work_dir + "/memory";
    steps.push_back(mount_step("tmpfs", layers, "tmpfs", 0, "mode=755"));
    steps.push_back(path_step(Step::Kind::kMakeDirectory, layers + "/upper", 0755));
    steps.push_back(path_step(Step::Kind::kMakeDirectory, layers + "/work", 0755));
  }
  if (layering == Layering::kNone) {
    steps.push_back(bind_step(config.root.lower, root));
  } else {
    steps.push_back(
        mount_step("overlay", root, "overlay", 0, overlay_options(config.root.lower, layers)));
  }
  Step pivot = path_step(Step::Kind::kPivotRoot, root);
  pivot.a = kOldRoot;
  steps.push_back(std::move(pivot));
}

std::string in_old_root(const std::string& path) { return fmt::format("/{}{}", kOldRoot, path); }

void add_devices(std::vector<Step>& steps) {
  steps.push_back(mount_step("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k"));
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
    const std::string device = std::string("/dev/") + name;
    steps.push_back(path_step(Step::Kind::kMakeFile, device, 0666));
    steps.push_back(optional_step(bind_step(in_old_root(device), device)));
  }
  steps.push_back(path_step(Step::Kind::kMakeDirectory, "/dev/pts", 0755));
  steps.push_back(optional_step(mount_step("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                                           "newinstance,ptmxmode=0666")));
  steps.push_back(path_step(Step::Kind::kMakeDirectory, "/dev/shm", 01777));
  steps.push_back(optional_step(mount_step(
      "shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k")));
  steps.push_back(path_step(Step::Kind::kMakeDirectory, "/dev/mqueue", 0755));
  const std::pair<const char*, const char*> links[] = {{"pts/ptmx", "/dev/ptmx"},
                                                       {"/proc/self/fd", "/dev/fd"},
                                                       {"/proc/self/fd/0", "/dev/stdin"},
                                                       {"/proc/self/fd/1", "/dev/stdout"},
                                                       {"/proc/self/fd/2", "/dev/stderr"}};
  for (const auto& [to, where] : links) {
    Step link = path_step(Step::Kind::kSymlink, where);
    link.a = to;
    steps.push_back(std::move(link));
  }
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

void add_mount(std::vector<Step>& steps, const VolumeMount& mount) {
  if (mount.source.empty()) {
    steps.push_back(path_step(Step::Kind::kMakeDirectory, mount.target, 0777));
    steps.push_back(mount_step("tmpfs", mount.target, "tmpfs", MS_NOSUID | MS_NODEV,
                               mount.tmpfs_bytes == 0
                                   ? "mode=1777"
                                   : fmt::format("mode=1777,size={}", mount.tmpfs_bytes)));
    return;
  }
  if (os::is_directory(mount.source)) {
    steps.push_back(path_step(Step::Kind::kMakeDirectory, mount.target, 0755));
  } else {
    steps.push_back(path_step(Step::Kind::kMakeDirectory, parent_of(mount.target), 0755));
    steps.push_back(path_step(Step::Kind::kMakeFile, mount.target, 0644));
  }
  steps.push_back(bind_step(in_old_root(mount.source), mount.target));
  if (mount.is_read_only)
    steps.push_back(optional_step(path_step(Step::Kind::kReadOnlyTree, mount.target, 1)));
}

Step join(int fd, std::uint64_t kind) {
  Step step;
  step.kind = Step::Kind::kJoinNamespace;
  step.fd = fd;
  step.flags = kind;
  return step;
}

void put_into_group(os::SpawnPlan& plan, const Cgroup* group) {
  if (group == nullptr) return;
  plan.cgroup_fd = group->directory_fd();
  plan.cgroup_procs = group->procs();
}

std::string_view path_variable(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment)
    if (entry.starts_with("PATH=")) return std::string_view(entry).substr(5);
  return kDefaultPath;
}

}  // namespace

os::SpawnPlan container_plan(const ContainerConfig& config, const Sandbox& sandbox,
                             Layering layering) {
  os::SpawnPlan plan;
  plan.namespaces = CLONE_NEWNS | CLONE_NEWPID;
  auto& steps = plan.steps;
  steps.push_back(join(sandbox.net_fd(), CLONE_NEWNET));
  steps.push_back(join(sandbox.ipc_fd(), CLONE_NEWIPC));
  steps.push_back(join(sandbox.uts_fd(), CLONE_NEWUTS));
  add_root(steps, config, layering);
  for (const images::Bind& bind : config.root.binds) {
    steps.push_back(bind_step(in_old_root(bind.source), bind.target));
    if (bind.is_read_only)
      steps.push_back(optional_step(path_step(Step::Kind::kReadOnlyTree, bind.target, 1)));
  }
  for (const char* directory : {"/proc", "/sys", "/dev"})
    steps.push_back(optional_step(path_step(Step::Kind::kMakeDirectory, directory, 0755)));
  // A machine whose own /proc is partly hidden lets nobody mount a full one: then the node's shows
  // through.
  steps.push_back(optional_step(bind_step(in_old_root("/proc"), "/proc")));
  steps.push_back(
      optional_step(mount_step("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)));
  steps.push_back(optional_step(
      mount_step("sysfs", "/sys", "sysfs",
                 MS_NOSUID | MS_NODEV | MS_NOEXEC | (config.is_privileged ? 0 : MS_RDONLY))));
  add_devices(steps);
  if (layering == Layering::kNone)
    for (const char* directory : {"/tmp", "/run", "/var/log", "/var/lib", "/var/cache", "/var/tmp"})
      steps.push_back(
          optional_step(mount_step("tmpfs", directory, "tmpfs", MS_NOSUID, "mode=1777")));
  // Shorter targets first, so that a mount inside another one lands on it.
  std::vector<VolumeMount> mounts = config.mounts;
  std::stable_sort(mounts.begin(), mounts.end(), [](const VolumeMount& a, const VolumeMount& b) {
    return std::count(a.target.begin(), a.target.end(), '/') <
           std::count(b.target.begin(), b.target.end(), '/');
  });
  for (const VolumeMount& mount : mounts) add_mount(steps, mount);
  steps.push_back(path_step(Step::Kind::kDetach, std::string("/") + kOldRoot));
  const std::string directory = config.working_directory.empty() ? "/" : config.working_directory;
  steps.push_back(path_step(Step::Kind::kChangeDirectory, directory, 1));
  if (config.is_root_read_only) steps.push_back(path_step(Step::Kind::kReadOnlyTree, "/", 0));
  plan.arguments = config.arguments;
  plan.environment = config.environment;
  plan.programs =
      os::program_candidates(config.arguments.front(), path_variable(config.environment));
  plan.credentials = config.credentials;
  plan.stdin_fd = config.stdin_fd;
  plan.stdout_fd = config.stdout_fd;
  plan.stderr_fd = config.stderr_fd;
  plan.is_terminal = config.is_terminal;
  put_into_group(plan, config.group);
  return plan;
}

Result<os::Child> start_container(const ContainerConfig& config, const Sandbox& sandbox,
                                  Layering layering) {
  for (const char* directory : {"/root", "/upper", "/work", "/memory"})
    TRY(os::make_directories(config.work_dir + directory));
  return os::spawn(container_plan(config, sandbox, layering));
}

Result<os::Child> start_in_container(const ProcessConfig& config, const os::Child& container) {
  os::SpawnPlan plan;
  plan.steps.push_back(
      join(container.pidfd(), CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS));
  plan.steps.push_back(path_step(Step::Kind::kChangeDirectory, config.working_directory.empty()
                                                                   ? "/"
                                                                   : config.working_directory));
  plan.arguments = config.arguments;
  plan.environment = config.environment;
  plan.programs =
      os::program_candidates(config.arguments.front(), path_variable(config.environment));
  plan.credentials = config.credentials;
  plan.stdin_fd = config.stdin_fd;
  plan.stdout_fd = config.stdout_fd;
  plan.stderr_fd = config.stderr_fd;
  plan.is_terminal = config.is_terminal;
  put_into_group(plan, config.group);
  // Joining a PID namespace counts for children only, and for the joining thread: one is made for
  // it.
  std::optional<Result<os::Child>> child;
  std::thread starter([&] {
    auto joined = os::join_namespace(container.pidfd(), CLONE_NEWPID);
    if (!joined.ok()) {
      child = std::move(joined).error();
    } else {
      child = os::spawn(plan);
    }
  });
  starter.join();
  return std::move(*child);
}

Layering find_layering(const std::string& scratch_dir) {
  const auto works = [&](Layering layering) {
    const std::string at = scratch_dir + "/layering";
    bool is_good = os::remove_tree(at).ok();
    for (const char* directory : {"/root", "/upper", "/work", "/memory", "/lower"})
      is_good = is_good && os::make_directories(at + directory).ok();
    if (!is_good) return false;
    ContainerConfig config;
    config.work_dir = at;
    config.root.lower = at + "/lower";
    os::SpawnPlan plan;
    plan.namespaces = CLONE_NEWNS;
    add_root(plan.steps, config, layering);
    // The pivoted root is empty but for the old one: what runs comes from there.
    plan.steps.push_back(path_step(Step::Kind::kMakeDirectory, "/made", 0755));
    plan.steps.push_back(path_step(Step::Kind::kDetach, "/no/such/mount"));
    // It never gets as far as a program: failing in that last step means that all before it worked.
    auto child = os::spawn(plan);
    (void)os::remove_tree(at);
    return !child.ok() && child.error().message().find("/no/such/mount") != std::string::npos;
  };
  if (works(Layering::kOverlay)) return Layering::kOverlay;
  if (works(Layering::kOverlayOnTmpfs)) return Layering::kOverlayOnTmpfs;
  return Layering::kNone;
}

}  // namespace lateen::cluster::node
