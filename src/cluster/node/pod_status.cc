// Pod status.
#include "cluster/node/pod_status.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace lateen::cluster::node {
namespace {

using data::JsonArray;
using data::JsonObject;

bool is_init_done(const ContainerReport& container) {
  if (container.role == Role::kSidecar) return container.is_started;
  return is_terminated(container.state) && exit_code_of(container.state) == 0;
}

std::string phase_of(const Json& pod, const PodReport& report) {
  if (report.is_failed) return "Failed";
  const std::string_view policy = data::get_string(pod, {"spec", "restartPolicy"}, "Always");
  int waiting = 0, running = 0, stopped = 0, succeeded = 0;
  bool is_init_pending = false;
  for (const ContainerReport& container : report.containers) {
    if (container.role != Role::kMain) {
      const bool has_failed = container.role == Role::kInit && is_terminated(container.state) &&
                              exit_code_of(container.state) != 0;
      if (has_failed && policy == "Never") return "Failed";
      // Once the containers ran, a restarting sidecar does not make the pod pending again.
      if (!is_init_done(container) && container.role == Role::kInit) is_init_pending = true;
      continue;
    }
    if (is_running(container.state)) {
      ++running;
    } else if (is_terminated(container.state)) {
      ++stopped;
      if (exit_code_of(container.state) == 0) ++succeeded;
    } else if (is_terminated(container.last_state)) {
      ++stopped;
    } else {
      ++waiting;
    }
  }
  if (is_init_pending || waiting > 0) return "Pending";
  if (running > 0) return "Running";
  if (stopped == 0) return "Pending";
  if (policy == "Always") return "Running";
  // It is over once its sidecars have ended, too.
  const bool has_sidecar_running = std::any_of(
      report.containers.begin(), report.containers.end(), [](const ContainerReport& container) {
        return container.role == Role::kSidecar && is_running(container.state);
      });
  if (has_sidecar_running && policy == "Never") return "Running";
  if (stopped == succeeded) return has_sidecar_running ? "Running" : "Succeeded";
  return policy == "Never" ? "Failed" : "Running";
}

Json container_status(const ContainerReport& container) {
  JsonObject status{{"name", container.name},
                    {"state", container.state},
                    {"lastState", container.last_state},
                    {"ready", container.is_ready},
                    {"restartCount", container.restart_count},
                    {"image", container.image},
                    {"imageID", container.image_id}};
  if (!container.container_id.empty()) status["containerID"] = container.container_id;
  status["started"] = container.is_started;
  return status;
}

class Conditions {
 public:
  Conditions(const Json& pod, std::string now) : pod_(pod), now_(std::move(now)) {
    // What others set (readiness gates) stays.
    for (const Json& condition : data::get_array(pod, {"status", "conditions"})) {
      const auto type = data::get_string(condition, {"type"});
      if (type != "PodReadyToStartContainers" && type != "Initialized" && type != "Ready" &&
          type != "ContainersReady" && type != "PodScheduled")
        others_.push_back(condition);
    }
  }

  void add(std::string_view type, bool is_true, std::string_view reason = {},
           std::string_view message = {}) {
    const std::string_view status = is_true ? "True" : "False";
    const Json* before = kube::condition(pod_, type);
    const bool is_same = before != nullptr && data::get_string(*before, {"status"}) == status;
    JsonObject condition{
        {"type", type},
        {"status", status},
        {"lastProbeTime", nullptr},
        {"lastTransitionTime",
         is_same ? std::string(data::get_string(*before, {"lastTransitionTime"}, now_)) : now_}};
    if (!reason.empty()) condition["reason"] = reason;
    if (!message.empty()) condition["message"] = message;
    list_.push_back(std::move(condition));
  }

  std::optional<std::string> failed_gate() const {
    for (const Json& gate : data::get_array(pod_, {"spec", "readinessGates"})) {
      const auto type = data::get_string(gate, {"conditionType"});
      const Json* condition = kube::condition(pod_, type);
      if (condition == nullptr || data::get_string(*condition, {"status"}) != "True")
        return std::string(type);
    }
    return std::nullopt;
  }

  JsonArray take() {
    list_.insert(list_.end(), others_.begin(), others_.end());
    return std::move(list_);
  }

 private:
  const Json& pod_;
  std::string now_;
  JsonArray list_;
  JsonArray others_;
};

void add_conditions(Conditions& conditions, const PodReport& report, std::string_view phase) {
  std::vector<std::string> uninitialized, unready;
  for (const ContainerReport& container : report.containers) {
    if (container.role != Role::kMain && !is_init_done(container))
      uninitialized.push_back(container.name);
    if (container.role != Role::kInit && !container.is_ready) unready.push_back(container.name);
  }
  const bool is_over = phase == "Succeeded" || phase == "Failed";
  const std::string_view over_reason = phase == "Succeeded" ? "PodCompleted" : "PodFailed";
  conditions.add("PodReadyToStartContainers", !report.pod_ip.empty() && !is_over);
  if (phase == "Succeeded") {
    conditions.add("Initialized", true, "PodCompleted");
  } else if (uninitialized.empty()) {
    conditions.add("Initialized", true);
  } else {
    conditions.add(
        "Initialized", false, "ContainersNotInitialized",
        fmt::format("containers with incomplete status: [{}]", join(uninitialized, " ")));
  }
  const std::string message =
      fmt::format("containers with unready status: [{}]", join(unready, " "));
  if (is_over) {
    conditions.add("Ready", false, over_reason);
    conditions.add("ContainersReady", false, over_reason);
  } else if (!unready.empty()) {
    conditions.add("Ready", false, "ContainersNotReady", message);
    conditions.add("ContainersReady", false, "ContainersNotReady", message);
  } else {
    const auto gate = conditions.failed_gate();
    if (gate.has_value())
      conditions.add("Ready", false, "ReadinessGatesNotReady",
                     fmt::format("the status of pod readiness gate \"{}\" is not \"True\"", *gate));
    else conditions.add("Ready", true);
    conditions.add("ContainersReady", true);
  }
  conditions.add("PodScheduled", true);
}

std::string_view qos_class(const Json& pod) {
  bool has_any = false;
  bool is_guaranteed = true;
  for (const char* list : {"initContainers", "containers"})
    for (const Json& container : data::get_array(pod, {"spec", list}))
      for (const char* resource : {"cpu", "memory"}) {
        const auto limit = data::get_string(container, {"resources", "limits", resource});
        const auto request =
            data::get_string(container, {"resources", "requests", resource}, limit);
        has_any = has_any || !limit.empty() || !request.empty();
        is_guaranteed = is_guaranteed && !limit.empty() && limit == request;
      }
  return !has_any ? "BestEffort" : is_guaranteed ? "Guaranteed" : "Burstable";
}

}  // namespace

Json pod_status(const Json& pod, const PodReport& report) {
  const std::string phase = phase_of(pod, report);
  Conditions conditions(pod, report.now);
  add_conditions(conditions, report, phase);
  JsonArray init, main;
  for (const ContainerReport& container : report.containers)
    (container.role == Role::kMain ? main : init).push_back(container_status(container));
  JsonObject status{{"phase", phase},
                    {"conditions", conditions.take()},
                    {"hostIP", report.host_ip},
                    {"hostIPs", JsonArray{JsonObject{{"ip", report.host_ip}}}},
                    {"startTime", report.start_time},
                    {"containerStatuses", main},
                    {"qosClass", data::get_string(pod, {"status", "qosClass"}, qos_class(pod))}};
  if (!init.empty()) status["initContainerStatuses"] = init;
  if (!report.pod_ip.empty()) {
    status["podIP"] = report.pod_ip;
    status["podIPs"] = JsonArray{JsonObject{{"ip", report.pod_ip}}};
  }
  if (!report.reason.empty()) status["reason"] = report.reason;
  if (!report.message.empty()) status["message"] = report.message;
  return status;
}

Json waiting_state(std::string_view reason, std::string_view message) {
  JsonObject waiting{{"reason", reason}};
  if (!message.empty()) waiting["message"] = message;
  return JsonObject{{"waiting", waiting}};
}

Json running_state(std::string_view started_at) {
  return JsonObject{{"running", JsonObject{{"startedAt", started_at}}}};
}

Json terminated_state(const Termination& termination) {
  JsonObject state{{"exitCode", termination.exit_code},
                   {"reason", termination.reason},
                   {"startedAt", termination.started_at},
                   {"finishedAt", termination.finished_at}};
  if (termination.signal != 0) state["signal"] = termination.signal;
  if (!termination.message.empty()) state["message"] = termination.message;
  if (!termination.container_id.empty()) state["containerID"] = termination.container_id;
  return JsonObject{{"terminated", state}};
}

bool is_running(const Json& state) { return data::find(state, {"running"}) != nullptr; }
bool is_terminated(const Json& state) { return data::find(state, {"terminated"}) != nullptr; }
int exit_code_of(const Json& state) {
  return static_cast<int>(data::get_int(state, {"terminated", "exitCode"}));
}

}  // namespace lateen::cluster::node
