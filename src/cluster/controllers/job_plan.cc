// Counting, limits and back-off of Jobs.
#include "cluster/controllers/job_plan.h"

#include <algorithm>

#include "base/strings.h"
#include "cluster/controllers/pods.h"

namespace lateen::cluster::controllers {
namespace {

constexpr seconds kFirstBackOff{10};
constexpr seconds kMaxBackOff{600};

bool is_indexed(const Json& job) {
  return data::get_string(job, {"spec", "completionMode"}) == "Indexed";
}

std::optional<std::int64_t> index_of(const Json& pod) {
  return parse_int(kube::annotation(pod, "batch.kubernetes.io/job-completion-index"));
}

// Containers restarted in place count as failures when the pod restarts them itself.
std::int64_t restarts(const std::vector<ObjectPtr>& pods) {
  std::int64_t out = 0;
  for (const auto& pod : pods) {
    if (data::get_string(*pod, {"spec", "restartPolicy"}) != "OnFailure") continue;
    for (const std::string_view list : {"containerStatuses", "initContainerStatuses"}) {
      for (const Json& status : data::get_array(*pod, {"status", list})) {
        out += data::get_int(status, {"restartCount"});
      }
    }
  }
  return out;
}

}  // namespace

JobCounts count_pods(const Json& job, const std::vector<ObjectPtr>& pods) {
  JobCounts out;
  for (const auto& pod : pods) {
    const auto phase = phase_of(*pod);
    const auto index = is_indexed(job) ? index_of(*pod) : std::nullopt;
    if (phase == "Succeeded") {
      if (index) out.done_indexes.insert(*index);
      ++out.succeeded;
    } else if (phase == "Failed" || kube::is_deleting(*pod)) {
      out.failed += phase == "Failed" ? 1 : 0;
      out.terminating += phase == "Failed" ? 0 : 1;
    } else {
      ++out.active;
      out.ready += is_ready(*pod) ? 1 : 0;
      if (index) out.active_indexes.insert(*index);
    }
  }
  if (is_indexed(job)) out.succeeded = static_cast<std::int64_t>(out.done_indexes.size());
  out.failed += restarts(pods);
  return out;
}

JobPlan plan_job(const Json& job, const JobCounts& counts, std::optional<WallTime> last_failure,
                 WallTime now) {
  JobPlan plan;
  const std::int64_t parallelism = data::get_int(job, {"spec", "parallelism"}, 1);
  // Without completions any success is enough, and running pods may finish.
  const std::int64_t completions = data::get_int(job, {"spec", "completions"}, -1);
  const bool is_counted = completions >= 0;
  const std::int64_t limit = data::get_int(job, {"spec", "backoffLimit"}, 6);
  const bool is_suspended = data::get_bool(job, {"spec", "suspend"});

  const bool is_done =
      is_counted ? counts.succeeded >= completions : counts.succeeded > 0 && counts.active == 0;
  if (is_done) {
    plan.end = JobPlan::End::kComplete;
    return plan;
  }
  if (counts.failed > limit) {
    plan.end = JobPlan::End::kBackoffLimit;
    return plan;
  }
  const auto started = parse_rfc3339(data::get_string(job, {"status", "startTime"}));
  if (const Json* deadline = data::find(job, {"spec", "activeDeadlineSeconds"});
      deadline != nullptr && started) {
    const WallTime due = *started + seconds(data::as_int(*deadline).value_or(0));
    if (due <= now && !is_suspended) {
      plan.end = JobPlan::End::kDeadline;
      return plan;
    }
    plan.look_again = due - now;
  }

  std::int64_t target = parallelism;
  if (is_counted) target = std::min(parallelism, completions - counts.succeeded);
  else if (counts.succeeded > 0) target = counts.active;
  if (is_suspended) target = 0;
  if (counts.active > target) plan.remove = counts.active - target;
  if (counts.active >= target) return plan;

  if (counts.failed > 0 && last_failure) {
    const auto doublings = std::min<std::int64_t>(counts.failed - 1, 6);
    const nanoseconds pause = std::min<nanoseconds>(kFirstBackOff * (1 << doublings), kMaxBackOff);
    if (*last_failure + pause > now) {
      const nanoseconds left = *last_failure + pause - now;
      plan.look_again = plan.look_again ? std::min(*plan.look_again, left) : left;
      return plan;
    }
  }
  plan.create = target - counts.active;
  if (is_indexed(job) && is_counted) {
    for (std::int64_t i = 0;
         i < completions && static_cast<std::int64_t>(plan.create_indexes.size()) < plan.create;
         ++i) {
      if (!counts.done_indexes.contains(i) && !counts.active_indexes.contains(i))
        plan.create_indexes.push_back(i);
    }
    plan.create = static_cast<std::int64_t>(plan.create_indexes.size());
  }
  return plan;
}

std::string format_indexes(const std::set<std::int64_t>& indexes) {
  std::vector<std::string> parts;
  for (auto it = indexes.begin(); it != indexes.end();) {
    const auto first = *it;
    auto last = first;
    for (++it; it != indexes.end() && *it == last + 1; ++it) last = *it;
    const std::string separator = last == first + 1 ? "," : "-";
    parts.push_back(first == last ? std::to_string(first)
                                  : std::to_string(first) + separator + std::to_string(last));
  }
  return join(parts, ",");
}

}  // namespace lateen::cluster::controllers
