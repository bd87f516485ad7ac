// Probes on their schedule, and hooks. Tries run on the task pool and come back as messages.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "cluster/node/exec.h"
#include "cluster/node/pod_worker.h"

namespace lateen::cluster::node {

namespace {

constexpr milliseconds kLeastEarlyStep{20};
constexpr milliseconds kMostEarlyStep{500};
constexpr hours kLongestHook{24};

seconds period_of(const Json& probe) {
  return seconds(std::max<std::int64_t>(data::get_int(probe, {"periodSeconds"}, 10), 1));
}

std::string_view name_of_probe(int kind) {
  return kind == 0 ? "Startup" : kind == 1 ? "Liveness" : "Readiness";
}

}  // namespace

void PodWorker::begin_probes(Container& container) {
  container.probes.clear();
  const std::pair<ProbeKind, const char*> kinds[] = {{ProbeKind::kStartup, "startupProbe"},
                                                     {ProbeKind::kLiveness, "livenessProbe"},
                                                     {ProbeKind::kReadiness, "readinessProbe"}};
  for (const auto& [kind, field] : kinds) {
    const Json* spec = data::find(container.spec, {field});
    if (spec == nullptr) continue;
    Probe probe;
    probe.kind = kind;
    probe.spec = *spec;
    probe.due = probe.next_try = now() + seconds(data::get_int(*spec, {"initialDelaySeconds"}));
    // Until the first success, tries come early and often, so that a start is seen at once;
    // failures of early tries do not count. Liveness has nothing to gain from that.
    probe.is_eager = kind != ProbeKind::kLiveness;
    // Not ready it is anyway: that is worth a warning only after a period.
    if (kind == ProbeKind::kReadiness) probe.due += period_of(*spec);
    container.probes.push_back(std::move(probe));
  }
}

void PodWorker::drive_probes() {
  for (Container& container : containers_) {
    if (!container.running) continue;
    for (Probe& probe : container.probes) {
      if (probe.is_in_flight) continue;
      // Nothing but the startup probe runs until that has succeeded; then it is over.
      if ((probe.kind == ProbeKind::kStartup) == container.is_started) continue;
      if (probe.kind == ProbeKind::kLiveness && container.is_stopping) continue;
      if (now() < probe.next_try) {
        wake_at(probe.next_try);
        continue;
      }
      probe.is_in_flight = true;
      const bool is_early = now() < probe.due;
      const auto limit =
          seconds(std::max<std::int64_t>(data::get_int(probe.spec, {"timeoutSeconds"}, 1), 1));
      if (!is_early) probe.due = now() + period_of(probe.spec);
      auto target = std::make_shared<ProbeTarget>(target_for(container));
      node_.tasks.run([this, mailbox = mailbox_, target, spec = probe.spec, limit,
                       name = container.name, attempt = container.attempts, kind = probe.kind,
                       is_early] {
        Outcome outcome = try_handler(spec, *target, limit);
        mailbox->post(
            [this, name, attempt, kind, is_early, outcome = std::move(outcome)]() mutable {
              probe_done(name, attempt, kind, is_early, std::move(outcome));
            });
      });
    }
  }
}

void PodWorker::probe_done(const std::string& name, int attempt, ProbeKind kind, bool is_early,
                           Outcome outcome) {
  Container* container = find(name);
  if (container == nullptr || !container->running || container->attempts != attempt) return;
  const auto found = std::find_if(container->probes.begin(), container->probes.end(),
                                  [&](const Probe& probe) { return probe.kind == kind; });
  if (found == container->probes.end()) return;
  Probe& probe = *found;
  probe.is_in_flight = false;
  probe.next_try = probe.due;
  if (outcome.is_success) {
    probe.is_eager = false;
    probe.failures = 0;
    ++probe.successes;
    if (kind == ProbeKind::kStartup) {
      container->is_started = true;
      // What waited for the start is looked at now.
      for (Probe& other : container->probes)
        other.next_try = std::min(other.next_try, std::max(other.due, now()));
    }
    return update_readiness(*container);
  }
  if (probe.is_eager) {
    // A start is seen late by at most an eighth of what it took.
    const auto step = std::clamp((now() - container->started_at) / 8, nanoseconds(kLeastEarlyStep),
                                 nanoseconds(kMostEarlyStep));
    probe.next_try = std::min(probe.due, now() + step);
  }
  if (is_early) return;
  probe.successes = 0;
  ++probe.failures;
  event(Events::Type::kWarning, "Unhealthy",
        fmt::format("{} probe failed: {}", name_of_probe(static_cast<int>(kind)), outcome.message),
        container);
  const auto threshold =
      std::max<std::int64_t>(data::get_int(probe.spec, {"failureThreshold"}, 3), 1);
  if (probe.failures < threshold) return;
  if (kind == ProbeKind::kReadiness) return update_readiness(*container);
  const auto grace =
      data::get_int(probe.spec, {"terminationGracePeriodSeconds"},
                    data::get_int(*pod_, {"spec", "terminationGracePeriodSeconds"}, 30));
  begin_stop(*container, seconds(grace),
             fmt::format("Container {} failed {} probe, will be restarted", name,
                         kind == ProbeKind::kStartup ? "startup" : "liveness"));
}

void PodWorker::update_readiness(Container& container) {
  const auto probe_of = [&](ProbeKind kind) -> const Probe* {
    for (const Probe& probe : container.probes)
      if (probe.kind == kind) return &probe;
    return nullptr;
  };
  if (container.is_hook_pending) {
    container.is_ready = false;
    return;
  }
  if (probe_of(ProbeKind::kStartup) == nullptr) container.is_started = container.running != nullptr;
  const Probe* readiness = probe_of(ProbeKind::kReadiness);
  if (!container.is_started) {
    container.is_ready = false;
  } else if (readiness == nullptr) {
    container.is_ready = true;
  } else {
    const auto needed =
        std::max<std::int64_t>(data::get_int(readiness->spec, {"successThreshold"}, 1), 1);
    const auto allowed =
        std::max<std::int64_t>(data::get_int(readiness->spec, {"failureThreshold"}, 3), 1);
    if (readiness->successes >= needed) container.is_ready = true;
    if (readiness->failures >= allowed) container.is_ready = false;
  }
}

ProbeTarget PodWorker::target_for(const Container& container) const {
  ProbeTarget target;
  target.pod_ip = pod_ip_;
  target.container = container.spec;
  target.exec = [running = container.running](const std::vector<std::string>& command,
                                              milliseconds limit) {
    return run_in_container(*running, command, limit);
  };
  return target;
}

void PodWorker::run_hook(Container& container, const Json& handler, bool is_post_start) {
  auto target = std::make_shared<ProbeTarget>(target_for(container));
  const auto sleep = seconds(data::get_int(handler, {"sleep", "seconds"}));
  // A hook before the end has the grace period; one after the start has as long as it takes.
  const milliseconds limit = is_post_start
                                 ? milliseconds(kLongestHook)
                                 : std::chrono::ceil<milliseconds>(container.kill_at - now());
  const auto running = container.running;
  node_.tasks.run([this, mailbox = mailbox_, target, handler, limit, sleep, running,
                   name = container.name, attempt = container.attempts, is_post_start] {
    // Sleeping ends with the container.
    if (sleep.count() > 0)
      running->child.wait_ended(static_cast<int>(std::min(milliseconds(sleep), limit).count()));
    Outcome outcome = try_handler(handler, *target, limit);
    mailbox->post([this, name, attempt, is_post_start, outcome = std::move(outcome)]() mutable {
      hook_done(name, attempt, is_post_start, std::move(outcome));
    });
  });
}

void PodWorker::hook_done(const std::string& name, int attempt, bool is_post_start,
                          Outcome outcome) {
  Container* container = find(name);
  if (container == nullptr || !container->running || container->attempts != attempt) return;
  if (is_post_start) {
    container->is_hook_pending = false;
    if (!outcome.is_success) {
      event(Events::Type::kWarning, "FailedPostStartHook",
            "PostStartHook failed: " + outcome.message, container);
      begin_stop(*container, grace_period(), "FailedPostStartHook");
    }
    return update_readiness(*container);
  }
  if (!outcome.is_success)
    event(Events::Type::kWarning, "FailedPreStopHook", "PreStopHook failed: " + outcome.message,
          container);
  if (container->is_term_sent) return;
  container->is_term_sent = true;
  container->kill_at = std::max(container->kill_at, now() + seconds(2));
  container->running->child.signal(SIGTERM);
}

}  // namespace lateen::cluster::node
