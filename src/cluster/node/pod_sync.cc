// Starting: sandbox, volumes, init containers in order, sidecars, containers; exits and back-off.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "cluster/node/pod_worker.h"
#include "linux/files.h"

namespace lateen::cluster::node {

namespace {
constexpr seconds kFirstBackOff{10};
constexpr seconds kMostBackOff{300};
constexpr minutes kBackOffForgotten{10};
constexpr seconds kSetupRetry{1};
constexpr seconds kConfigRetry{2};
constexpr std::size_t kMostMessageBytes = 4096;
constexpr std::size_t kMostLogMessageBytes = 2048;
constexpr int kMostLogMessageLines = 80;
}  // namespace

bool PodWorker::ensure_sandbox() {
  if (sandbox_ != nullptr) return true;
  if (now() < sandbox_retry_) {
    wake_at(sandbox_retry_);
    return false;
  }
  const bool is_on_node = data::get_bool(*pod_, {"spec", "hostNetwork"});
  const auto made = [&]() -> Result<> {
    TRY(os::make_directories(pod_dir_));
    auto sandbox = is_on_node ? Sandbox::make_on_node()
                              : Sandbox::make(node_.ips, Launcher::hostname_of(*pod_));
    if (!sandbox.ok()) return std::move(sandbox).error();
    pod_ip_ = sandbox.value()->ip().to_string();
    facts_.pod_ip = pod_ip_;
    TRY(launcher_.write_pod_files(*pod_, facts_));
    const std::lock_guard lock(shared_mutex_);
    sandbox_ = std::move(sandbox).value();
    return {};
  }();
  if (made.ok()) return true;
  pod_ip_.clear();
  event(Events::Type::kWarning, "FailedCreatePodSandBox",
        "Failed to create pod sandbox: " + made.error().message());
  sandbox_retry_ = now() + kSetupRetry;
  wake_at(sandbox_retry_);
  return false;
}

bool PodWorker::ensure_volumes() {
  const auto renewal = volumes_.next_renewal();
  if (are_volumes_ready_ && renewal.has_value()) {
    if (now() >= *renewal) are_volumes_ready_ = false;
    else wake_at(*renewal);
  }
  if (are_volumes_ready_) return true;
  const bool has_any_run =
      std::any_of(containers_.begin(), containers_.end(),
                  [](const Container& container) { return container.attempts > 0; });
  if (now() < volumes_retry_) {
    wake_at(volumes_retry_);
    return has_any_run;
  }
  auto prepared = volumes_.prepare(*pod_, facts_);
  if (prepared.ok()) {
    are_volumes_ready_ = true;
    if (const auto next = volumes_.next_renewal()) wake_at(*next);
    return true;
  }
  event(Events::Type::kWarning, "FailedMount", prepared.error().message());
  volumes_retry_ = now() + kConfigRetry;
  wake_at(volumes_retry_);
  // A running pod keeps running on what it has.
  return has_any_run;
}

void PodWorker::sync_containers() {
  for (Container& container : containers_) {
    if (container.role == Role::kMain) continue;
    if (!sync_init(container)) return;
  }
  for (Container& container : containers_) {
    if (container.role != Role::kMain) continue;
    if (!container.running) start_when_allowed(container);
    // The next one starts when this one's postStart hook is through, as the kubelet's loop does.
    if (container.is_hook_pending) return;
  }
}

// True when what comes after it may run.
bool PodWorker::sync_init(Container& container) {
  const bool has_mains_run = std::any_of(
      containers_.begin(), containers_.end(),
      [](const Container& other) { return other.role == Role::kMain && other.running; });
  if (container.role == Role::kSidecar) {
    if (!container.running) start_when_allowed(container);
    return (container.is_started && !container.is_hook_pending) || has_mains_run;
  }
  if (is_terminated(container.state) && exit_code_of(container.state) == 0) return true;
  if (container.running) return false;
  if (is_terminated(container.state) && !may_restart(container)) {
    is_failed_ = true;
    next_wake_ = now();
    return false;
  }
  start_when_allowed(container);
  return false;
}

bool PodWorker::may_restart(const Container& container) const {
  if (container.role == Role::kSidecar) return true;
  const auto policy = data::get_string(*pod_, {"spec", "restartPolicy"}, "Always");
  if (policy == "Never") return false;
  if (container.role == Role::kInit || policy == "OnFailure")
    return exit_code_of(container.state) != 0;
  return true;
}

bool PodWorker::are_mains_done() const {
  bool has_main = false;
  for (const Container& container : containers_) {
    if (container.role != Role::kMain) continue;
    has_main = true;
    if (container.running || !is_terminated(container.state) || may_restart(container))
      return false;
  }
  return has_main;
}

void PodWorker::start_when_allowed(Container& container) {
  if (is_terminated(container.state) && !may_restart(container)) return;
  if (now() >= container.start_allowed_at) return launch(container);
  wake_at(container.start_allowed_at);
  if (!is_terminated(container.state)) return;
  container.last_state = container.state;
  const auto seconds_left =
      std::chrono::duration_cast<seconds>(
          std::min(nanoseconds(kMostBackOff),
                   nanoseconds(kFirstBackOff) * (1 << std::min(container.crashes - 2, 5))))
          .count();
  const std::string text =
      fmt::format("back-off {} restarting failed container={} pod={}_{}({})",
                  format_duration(seconds(seconds_left)), container.name, key_.name, key_.ns, uid_);
  container.state = waiting_state("CrashLoopBackOff", text);
  event(Events::Type::kWarning, "BackOff",
        fmt::format("Back-off restarting failed container {} in pod {}_{}({})", container.name,
                    key_.name, key_.ns, uid_),
        &container);
}

void PodWorker::launch(Container& container) {
  const std::string image(data::get_string(container.spec, {"image"}));
  LaunchError error;
  auto running = launcher_.launch(*pod_, container.spec, container.attempts, facts_, *sandbox_,
                                  volumes_, error);
  if (running == nullptr) return launch_failed(container, error);
  event(Events::Type::kNormal, "Pulled",
        fmt::format("Container image \"{}\" already present on machine", image), &container);
  event(Events::Type::kNormal, "Created", "Created container: " + container.name, &container);
  event(Events::Type::kNormal, "Started", "Started container " + container.name, &container);
  {
    const std::lock_guard lock(shared_mutex_);
    container.running = std::move(running);
    if (container.attempts > 0) ++container.restart_count;
    ++container.attempts;
  }
  if (is_terminated(container.state)) container.last_state = container.state;
  container.image_id = launcher_.image_id(image);
  container.started_at = now();
  container.started_stamp = stamp();
  container.state = running_state(container.started_stamp);
  container.pull_failures = 0;
  container.is_stopping = container.is_term_sent = container.is_kill_sent = false;
  begin_probes(container);
  const Json* hook = data::find(container.spec, {"lifecycle", "postStart"});
  container.is_hook_pending = hook != nullptr;
  if (hook != nullptr) run_hook(container, *hook, true);
  update_readiness(container);
}

void PodWorker::launch_failed(Container& container, const LaunchError& error) {
  const std::string image(data::get_string(container.spec, {"image"}));
  if (error.reason == "ErrImagePull" || error.reason == "InvalidImageName") {
    const bool is_first = container.pull_failures++ == 0;
    if (error.reason == "InvalidImageName") {
      event(Events::Type::kWarning, "InspectFailed",
            fmt::format("Failed to apply default image tag \"{}\": {}", image, error.message),
            &container);
      container.state = waiting_state(error.reason, error.message);
    } else if (is_first) {
      event(Events::Type::kWarning, "Failed",
            fmt::format("Failed to pull image \"{}\": {}", image, error.message), &container);
      event(Events::Type::kWarning, "Failed", "Error: ErrImagePull", &container);
      container.state = waiting_state("ErrImagePull", error.message);
    } else {
      event(Events::Type::kNormal, "BackOff", fmt::format("Back-off pulling image \"{}\"", image),
            &container);
      event(Events::Type::kWarning, "Failed", "Error: ImagePullBackOff", &container);
      container.state =
          waiting_state("ImagePullBackOff",
                        fmt::format("Back-off pulling image \"{}\": {}", image, error.message));
    }
    // The catalog is a local file: looking again is cheap, and a mapping just added should count
    // soon.
    container.start_allowed_at =
        now() + std::min(seconds(2 * container.pull_failures), seconds(15));
    return wake_at(container.start_allowed_at);
  }
  event(Events::Type::kWarning, "Failed", "Error: " + error.message, &container);
  if (error.reason == "CreateContainerConfigError") {
    container.state = waiting_state(error.reason, error.message);
    container.start_allowed_at = now() + kConfigRetry;
    return wake_at(container.start_allowed_at);
  }
  if (is_terminated(container.state)) container.last_state = container.state;
  const bool is_missing = error.message.find("not found") != std::string::npos ||
                          error.message.find("No such file") != std::string::npos;
  container.state = terminated_state({.exit_code = is_missing ? 127 : 126,
                                      .reason = error.reason,
                                      .message = error.message,
                                      .started_at = stamp(),
                                      .finished_at = stamp()});
  {
    const std::lock_guard lock(shared_mutex_);
    if (container.attempts > 0) ++container.restart_count;
    ++container.attempts;
  }
  container.started_at = now();
  set_back_off(container);
  next_wake_ = now();
}

void PodWorker::reap() {
  for (Container& container : containers_) {
    if (!container.running || !container.running->child.wait_ended(0)) continue;
    auto status = container.running->child.wait();
    ended(container, status.ok() ? *status : os::ExitStatus{137, 9});
  }
}

void PodWorker::ended(Container& container, os::ExitStatus status) {
  Termination termination{.exit_code = status.code,
                          .signal = status.signal,
                          .reason = status.code == 0 ? "Completed" : "Error",
                          .message = termination_message(container, status.code),
                          .started_at = container.started_stamp,
                          .finished_at = stamp(),
                          .container_id = fmt::format("lateen://{}-{}-{}", uid_, container.name,
                                                      container.attempts - 1)};
  const auto& group = container.running->group;
  if (status.signal == SIGKILL && group != nullptr && group->was_out_of_memory())
    termination.reason = "OOMKilled";
  container.state = terminated_state(termination);
  container.is_started = container.is_ready = container.is_hook_pending = false;
  container.probes.clear();
  LOG(kInfo, "node", "container {} of pod {} ended with {}", container.name, key_.to_string(),
      status.code);
  container.running->ending->set(status.code);
  {
    const std::lock_guard lock(shared_mutex_);
    container.previous = std::move(container.running);
    container.running = nullptr;
  }
  set_back_off(container);
}

void PodWorker::set_back_off(Container& container) {
  if (now() - container.started_at >= kBackOffForgotten) container.crashes = 0;
  ++container.crashes;
  // The first restart comes at once, the second after 10 s, then doubling to 5 minutes.
  container.start_allowed_at =
      container.crashes <= 1 ? now()
                             : now() + std::min(nanoseconds(kMostBackOff),
                                                nanoseconds(kFirstBackOff) *
                                                    (1 << std::min(container.crashes - 2, 5)));
}

std::string PodWorker::termination_message(const Container& container, int exit_code) const {
  auto text = os::read_file(container.running->termination_log, 1u << 20);
  std::string message = text.ok() ? std::move(text).value() : std::string();
  if (message.size() > kMostMessageBytes) message.resize(kMostMessageBytes);
  const bool is_log_wanted =
      data::get_string(container.spec, {"terminationMessagePolicy"}) == "FallbackToLogsOnError";
  if (message.empty() && is_log_wanted && exit_code != 0)
    message = log_tail(container.running->log_path, kMostLogMessageBytes, kMostLogMessageLines);
  return message;
}

}  // namespace lateen::cluster::node
