// From a pod's spec to a running container: image, command, environment, mounts, credentials,
// output, start.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cluster/node/node_context.h"
#include "cluster/node/volumes.h"

namespace lateen::cluster::node {

// The end of a container, for those who wait for it besides the pod's worker.
class Ending {
 public:
  void set(int exit_code) {
    {
      const std::lock_guard lock(mutex_);
      exit_code_ = exit_code;
    }
    changed_.notify_all();
  }
  bool has_come() const {
    const std::lock_guard lock(mutex_);
    return exit_code_.has_value();
  }
  int wait() const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return exit_code_.has_value(); });
    return *exit_code_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<int> exit_code_;
};

// A started container instance. Shared with exec sessions, probes and attached clients; immutable
// but for stdin.
struct RunningContainer {
  os::Child child;
  std::string id;  // unique per instance
  std::string log_path;
  std::vector<std::string> environment;
  std::string working_directory;
  os::Credentials credentials;
  // Writing end; closed when the container has no stdin. With stdinOnce the first client takes it
  // and its end is the container's.
  mutable std::mutex stdin_mutex;
  mutable Fd stdin_fd;
  bool is_stdin_once = false;
  Fd terminal_fd;                       // a terminal's master, for resizing; closed without one
  std::string termination_log;          // file on the node
  std::shared_ptr<const Cgroup> group;  // null: no limits
  std::shared_ptr<Ending> ending = std::make_shared<Ending>();
};

// Why a container did not start: the reason of its waiting or terminated state.
struct LaunchError {
  std::string reason;  // ErrImagePull, InvalidImageName, CreateContainerConfigError,
                       // CreateContainerError, ContainerCannotRun
  std::string message;
};

class Launcher {
 public:
  Launcher(NodeContext& node, std::string pod_dir) : node_(node), pod_dir_(std::move(pod_dir)) {}

  // Writes the pod's /etc/hosts, /etc/resolv.conf and /etc/hostname.
  Result<> write_pod_files(const Json& pod, const PodFacts& facts);
  // Starts instance number `attempt` of `container`. `error` is set when it did not start.
  std::shared_ptr<const RunningContainer> launch(const Json& pod, const Json& container,
                                                 int attempt, const PodFacts& facts,
                                                 const Sandbox& sandbox, const Volumes& volumes,
                                                 LaunchError& error);
  std::string log_path(std::string_view container, int attempt) const;
  std::string image_id(std::string_view reference);
  // The hostname of a pod: spec.hostname or its name, at most 63 characters.
  static std::string hostname_of(const Json& pod);

 private:
  struct Prepared;
  Result<> prepare(Prepared& prepared, const Json& pod, const Json& container, int attempt,
                   const PodFacts& facts, const Volumes& volumes);
  Result<os::Credentials> credentials_of(const Json& pod, const Json& container,
                                         const images::Image& image);
  void add_pod_mounts(Prepared& prepared, const Json& container);
  NodeContext& node_;
  std::string pod_dir_;
};

}  // namespace lateen::cluster::node
