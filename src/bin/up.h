// What the files of `lateen up`, `down`, `status` and `reset` share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "linux/fd.h"
#include "linux/pid_file.h"

namespace lateen::bin {

// Descriptors of the `lateen cluster` process.
inline constexpr int kControlFd = 3;
inline constexpr int kApiFd = 4;
// The format of the data directory; a higher one in it is from a newer program.
inline constexpr int kDataFormat = 1;

struct UpOptions {
  std::string data_dir;
  std::string kubeconfig;  // empty: $KUBECONFIG, then ~/.kube/config
  int api_port = 6443;
  int http_port = 80;
  int https_port = 443;
  bool is_http_port_given = false;
  bool is_https_port_given = false;
  bool has_mesh = true;
  bool is_json = false;    // status -o json
  bool is_forced = false;  // reset --yes
};
// Prints help and exits when asked for it.
Result<UpOptions> parse_up_options(const std::string& command, int argc, char** argv);
std::string default_data_dir();

// Paths in the data directory.
std::string pid_path(const std::string& data_dir);
std::string log_path(const std::string& data_dir);
std::string cluster_kubeconfig_path(const std::string& data_dir);
std::string state_path(const std::string& data_dir);

// LoadBalancer ports: where a port of the cluster is on the machine.
struct PortMapping {
  int port;
  int host_port;
};

// What the supervisor holds on the machine's side before it makes namespaces.
struct HostSockets {
  Fd api;
  std::vector<std::pair<PortMapping, Fd>> reserved;  // 80 and 443, bound but not listening
};
// Becomes the guard of a supervisor and runs until told to end; `progress` gets a line "ready" or
// "error TEXT". Returns the exit status.
int supervise(const UpOptions& options, os::PidFile pid_file, HostSockets sockets, Fd progress);

// What can be checked before anything is started; each error is one sentence for the user.
// check_format refuses what a newer program wrote; nothing is touched.
Result<> check_format(const std::string& data_dir);
Result<> prepare_data_dir(const std::string& data_dir);
Result<> check_kubeconfig(const std::string& path);
Result<HostSockets> bind_host_sockets(const UpOptions& options);
Error cannot_write(const std::string& data_dir, const Error& why);
// Also files of users that only exist in the cluster's user namespace.
Result<> remove_data(const std::string& path);

// Puts cluster, user and context `lateen` into a kubeconfig and makes it current; all else stays.
Result<> merge_kubeconfig(const std::string& path, const std::string& ours);
Result<> remove_from_kubeconfig(const std::string& path);
std::string chosen_kubeconfig(const UpOptions& options);

}  // namespace lateen::bin
