// Pod status as the kubelet computes it: phase, conditions, container statuses. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kube/object.h"

namespace lateen::cluster::node {

using data::Json;

enum class Role : unsigned char { kInit, kSidecar /* restartable init */, kMain };

struct ContainerReport {
  std::string name;
  std::string image;
  Role role = Role::kMain;
  Json state;       // {"waiting": …}, {"running": …} or {"terminated": …}
  Json last_state;  // {} or {"terminated": …}
  int restart_count = 0;
  bool is_ready = false;
  bool is_started = false;
  std::string image_id;
  std::string container_id;
};

struct PodReport {
  std::vector<ContainerReport> containers;  // in the order of the spec, init first
  std::string pod_ip;                       // empty: no sandbox yet
  std::string host_ip;
  std::string start_time;  // RFC 3339
  std::string now;
  bool is_failed = false;  // failed as a whole: reason and message say why
  std::string reason;
  std::string message;
};

// `pod` gives the spec and the conditions so far (transition times, readiness gates).
Json pod_status(const Json& pod, const PodReport& report);

Json waiting_state(std::string_view reason, std::string_view message = {});
Json running_state(std::string_view started_at);
struct Termination {
  int exit_code = 0;
  int signal = 0;
  std::string reason;
  std::string message;
  std::string started_at;
  std::string finished_at;
  std::string container_id = {};
};
Json terminated_state(const Termination& termination);

bool is_running(const Json& state);
bool is_terminated(const Json& state);
int exit_code_of(const Json& state);

}  // namespace lateen::cluster::node
