// Starting processes of a pod: a container over an image root with its volumes, and further
// processes in a running container (exec). Pure plan-making and a spawn; the lifecycle is in
// pod_worker.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cluster/images/root.h"
#include "cluster/node/cgroups.h"
#include "cluster/node/network.h"
#include "linux/process.h"

namespace lateen::cluster::node {

struct VolumeMount {
  std::string source;  // a directory or file of the node; empty: a fresh tmpfs
  std::string target;  // absolute, inside the container
  bool is_read_only = false;
  std::uint64_t tmpfs_bytes = 0;  // bound of a tmpfs; 0: half of the memory
};

struct ContainerConfig {
  images::Root root;
  std::string work_dir;  // ours alone: the writable layer and the mount point live here
  std::vector<VolumeMount> mounts;
  std::vector<std::string> arguments;    // never empty
  std::vector<std::string> environment;  // "NAME=value"
  std::string working_directory;         // empty: "/"
  os::Credentials credentials;
  bool is_root_read_only = false;
  bool is_privileged = false;
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  bool is_terminal = false;
  const Cgroup* group = nullptr;  // to start in
};

// How the writable layer of containers is made on this machine; found out once per start of the
// cluster.
enum class Layering : unsigned char {
  kOverlay,         // overlayfs in the work directory
  kOverlayOnTmpfs,  // the data directory's file system cannot carry overlays: layers are in memory
  kNone,  // no overlayfs in user namespaces: the root is read-only but for tmpfs on /tmp, /run,
          // /var
};
Layering find_layering(const std::string& scratch_dir);

os::SpawnPlan container_plan(const ContainerConfig& config, const Sandbox& sandbox,
                             Layering layering);
Result<os::Child> start_container(const ContainerConfig& config, const Sandbox& sandbox,
                                  Layering layering);

struct ProcessConfig {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string working_directory;
  os::Credentials credentials;
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  bool is_terminal = false;
  const Cgroup* group = nullptr;
};
// Starts another process in all namespaces of `container`.
Result<os::Child> start_in_container(const ProcessConfig& config, const os::Child& container);

}  // namespace lateen::cluster::node
