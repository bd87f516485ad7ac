// Stopping: hooks, SIGTERM, SIGKILL at the end of the grace period; the end of a pod.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "cluster/node/pod_worker.h"

namespace lateen::cluster::node {

namespace {
constexpr seconds kLeastGraceAfterHook{2};
constexpr milliseconds kDeleteRetry{500};
}  // namespace

seconds PodWorker::grace_period() const {
  const auto of_pod = data::get_int(*pod_, {"spec", "terminationGracePeriodSeconds"}, 30);
  return seconds(std::max<std::int64_t>(
      data::get_int(*pod_, {"metadata", "deletionGracePeriodSeconds"}, of_pod), 0));
}

void PodWorker::begin_stop(Container& container, seconds grace, std::string_view why) {
  const SteadyTime kill_at = now() + grace;
  if (container.is_stopping) {
    // A later, shorter grace period counts.
    container.kill_at = std::min(container.kill_at, kill_at);
    return;
  }
  container.is_stopping = true;
  container.kill_at = kill_at;
  event(Events::Type::kNormal, "Killing", std::string(why), &container);
  const Json* hook = data::find(container.spec, {"lifecycle", "preStop"});
  if (hook != nullptr && grace.count() > 0) return run_hook(container, *hook, false);
  container.running->child.signal(SIGTERM);
  container.is_term_sent = true;
}

void PodWorker::enforce_stops() {
  for (Container& container : containers_) {
    if (!container.running || !container.is_stopping || container.is_kill_sent) continue;
    if (now() < container.kill_at) {
      wake_at(container.kill_at);
      continue;
    }
    container.running->child.signal(SIGKILL);
    container.is_kill_sent = true;
  }
}

bool PodWorker::stop_all(seconds grace, std::string_view why) {
  bool is_any_main = false;
  for (Container& container : containers_) {
    if (!container.running || container.role == Role::kSidecar) continue;
    is_any_main = true;
    begin_stop(container, grace, fmt::format(fmt::runtime(why), container.name));
  }
  // Sidecars serve to the end: they stop once everything else has, the last started first.
  if (!is_any_main) {
    for (auto container = containers_.rbegin(); container != containers_.rend(); ++container) {
      if (!container->running) continue;
      begin_stop(*container, std::max(grace, kLeastGraceAfterHook),
                 fmt::format(fmt::runtime(why), container->name));
      break;
    }
  }
  enforce_stops();
  return std::none_of(containers_.begin(), containers_.end(),
                      [](const Container& container) { return container.running != nullptr; });
}

void PodWorker::kill_all() {
  for (Container& container : containers_) {
    if (!container.running) continue;
    container.running->child.signal(SIGKILL);
    container.is_kill_sent = true;
  }
}

void PodWorker::terminate() {
  const SteadyTime by = now() + grace_period();
  terminate_by_ = std::min(terminate_by_, by);
  const auto left = std::max(std::chrono::ceil<seconds>(terminate_by_ - now()), seconds(0));
  if (!stop_all(left, "Stopping container {}")) {
    drive_probes();
    return;
  }
  {
    const std::lock_guard lock(shared_mutex_);
    sandbox_.reset();
  }
  publish();
  if (is_removed_) return;
  auto removed =
      node_.client.remove(kube::resources::pods(), key_, {.grace_seconds = 0, .uid = uid_});
  if (removed.ok() || removed.error().code() == Code::kNotFound ||
      removed.error().code() == Code::kAborted) {
    // Finalizers may hold the object: then its end is told by the watch.
    return;
  }
  LOG(kWarn, "node", "pod {} not removed, will try again: {}", key_.to_string(),
      removed.error().message());
  wake_at(now() + kDeleteRetry);
}

// All containers have done their work, or the pod failed as a whole.
void PodWorker::finish() {
  if (!stop_all(grace_period(), "Stopping container {}")) return;
  for (Container& container : containers_)
    if (is_failed_ && !is_terminated(container.state) && is_terminated(container.last_state))
      container.state = container.last_state;
  {
    const std::lock_guard lock(shared_mutex_);
    sandbox_.reset();
  }
  is_finished_ = true;
  publish_retry_ = {};
}

}  // namespace lateen::cluster::node
