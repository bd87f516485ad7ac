// The STATUS of a pod as a person reads it (pkg/printers/internalversion/printers.go, printPod).
#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/apiserver/table_cells.h"

namespace lateen::cluster::apiserver {
namespace {

std::string exit_reason(const Json& terminated) {
  const auto reason = data::get_string(terminated, {"reason"});
  if (!reason.empty()) return std::string(reason);
  const auto signal = data::get_int(terminated, {"signal"});
  if (signal != 0) return fmt::format("Signal:{}", signal);
  return fmt::format("ExitCode:{}", data::get_int(terminated, {"exitCode"}));
}

struct Summary {
  std::string reason;
  int ready = 0;
  std::int64_t restarts = 0;
  std::optional<WallTime> last_restart;
  std::int64_t sidecar_restarts = 0;
  std::optional<WallTime> last_sidecar_restart;
};

void note_restart(const Json& status, std::optional<WallTime>& last) {
  auto time = parse_rfc3339(data::get_string(status, {"lastState", "terminated", "finishedAt"}));
  if (time.ok() && (!last || *last < *time)) last = *time;
}

bool is_sidecar(const Json& pod, std::string_view name) {
  for (const auto& container : data::get_array(pod, {"spec", "initContainers"})) {
    if (data::get_string(container, {"name"}) == name) {
      return data::get_string(container, {"restartPolicy"}) == "Always";
    }
  }
  return false;
}

bool has_condition(const Json& pod, std::string_view type) {
  const Json* found = kube::condition(pod, type);
  return found != nullptr && data::get_string(*found, {"status"}) == "True";
}

// True while the pod initialises: then the containers' own states say nothing yet.
bool summarise_init(const Json& pod, Summary& into) {
  const auto& statuses = data::get_array(pod, {"status", "initContainerStatuses"});
  const auto total = data::get_array(pod, {"spec", "initContainers"}).size();
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    const Json& status = statuses[i];
    const bool is_restartable = is_sidecar(pod, data::get_string(status, {"name"}));
    into.restarts += data::get_int(status, {"restartCount"});
    note_restart(status, into.last_restart);
    if (is_restartable) {
      into.sidecar_restarts += data::get_int(status, {"restartCount"});
      note_restart(status, into.last_sidecar_restart);
    }
    const Json* terminated = data::find(status, {"state", "terminated"});
    if (terminated != nullptr && data::get_int(*terminated, {"exitCode"}) == 0) continue;
    if (is_restartable && data::get_bool(status, {"started"})) {
      if (data::get_bool(status, {"ready"})) ++into.ready;
      continue;
    }
    const auto waiting = data::get_string(status, {"state", "waiting", "reason"});
    if (terminated != nullptr) into.reason = "Init:" + exit_reason(*terminated);
    else if (!waiting.empty() && waiting != "PodInitializing")
      into.reason = fmt::format("Init:{}", waiting);
    else into.reason = fmt::format("Init:{}/{}", i, total);
    return true;
  }
  return false;
}

void summarise_containers(const Json& pod, Summary& into) {
  into.restarts = into.sidecar_restarts;
  into.last_restart = into.last_sidecar_restart;
  bool has_running = false;
  const auto& statuses = data::get_array(pod, {"status", "containerStatuses"});
  for (std::size_t i = statuses.size(); i-- > 0;) {
    const Json& status = statuses[i];
    into.restarts += data::get_int(status, {"restartCount"});
    note_restart(status, into.last_restart);
    const auto waiting = data::get_string(status, {"state", "waiting", "reason"});
    const Json* terminated = data::find(status, {"state", "terminated"});
    if (!waiting.empty()) {
      into.reason = waiting;
    } else if (terminated != nullptr) {
      into.reason = exit_reason(*terminated);
    } else if (data::get_bool(status, {"ready"}) &&
               data::find(status, {"state", "running"}) != nullptr) {
      has_running = true;
      ++into.ready;
    }
  }
  if (into.reason == "Completed" && has_running) {
    into.reason = has_condition(pod, "Ready") ? "Running" : "NotReady";
  }
}

std::string readiness_gates(const Json& pod) {
  const auto& gates = data::get_array(pod, {"spec", "readinessGates"});
  if (gates.empty()) return "<none>";
  int met = 0;
  for (const auto& gate : gates)
    met += has_condition(pod, data::get_string(gate, {"conditionType"})) ? 1 : 0;
  return fmt::format("{}/{}", met, gates.size());
}

}  // namespace

JsonArray pod_cells(const Json& pod, WallTime now) {
  Summary summary;
  summary.reason = data::get_string(pod, {"status", "phase"});
  if (const auto reason = data::get_string(pod, {"status", "reason"}); !reason.empty())
    summary.reason = reason;
  const auto& gates = data::get_array(pod, {"spec", "schedulingGates"});
  if (!gates.empty()) summary.reason = "SchedulingGated";
  auto total = data::get_array(pod, {"spec", "containers"}).size();
  for (const auto& container : data::get_array(pod, {"spec", "initContainers"})) {
    if (data::get_string(container, {"restartPolicy"}) == "Always") ++total;
  }
  const bool is_initializing = summarise_init(pod, summary);
  if (!is_initializing || has_condition(pod, "Initialized")) summarise_containers(pod, summary);
  if (kube::is_deleting(pod)) {
    const auto phase = data::get_string(pod, {"status", "phase"});
    if (data::get_string(pod, {"status", "reason"}) == "NodeLost") summary.reason = "Unknown";
    else if (phase != "Succeeded" && phase != "Failed") summary.reason = "Terminating";
  }
  std::string restarts = fmt::format("{}", summary.restarts);
  if (summary.restarts != 0 && summary.last_restart) {
    restarts += fmt::format(" ({} ago)", human_duration(now - *summary.last_restart));
  }
  return {Json(kube::name_of(pod)),
          Json(fmt::format("{}/{}", summary.ready, total)),
          Json(summary.reason),
          Json(restarts),
          Json(age_of(pod, now)),
          Json(or_none(std::string(data::get_string(pod, {"status", "podIP"})))),
          Json(or_none(std::string(data::get_string(pod, {"spec", "nodeName"})))),
          Json(or_none(std::string(data::get_string(pod, {"status", "nominatedNodeName"})))),
          Json(readiness_gates(pod))};
}

}  // namespace lateen::cluster::apiserver
