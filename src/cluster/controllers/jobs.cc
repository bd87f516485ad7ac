// Jobs: pods that must succeed a number of times.
#include <algorithm>

#include "cluster/controllers/job_plan.h"
#include "cluster/controllers/makers.h"
#include "cluster/controllers/pods.h"

namespace lateen::cluster::controllers {
namespace {

bool has_ended(const Json& job) {
  for (const std::string_view type : {"Complete", "Failed"}) {
    const Json* condition = kube::condition(job, type);
    if (condition != nullptr && data::get_string(*condition, {"status"}) == "True") return true;
  }
  return false;
}

std::optional<WallTime> last_failure(const std::vector<ObjectPtr>& pods) {
  std::optional<WallTime> latest;
  for (const auto& pod : pods) {
    if (phase_of(*pod) != "Failed") continue;
    for (const Json& status : data::get_array(*pod, {"status", "containerStatuses"})) {
      auto at = parse_rfc3339(data::get_string(status, {"state", "terminated", "finishedAt"}));
      if (at && (!latest || *at > *latest)) latest = *at;
    }
    if (!latest) {
      if (auto made = parse_rfc3339(data::get_string(*pod, {"metadata", "creationTimestamp"})))
        latest = *made;
    }
  }
  return latest;
}

class Jobs final : public KeyedController {
 public:
  explicit Jobs(World& world) : KeyedController(world, "job-controller", 2) {
    follow(world.jobs);
    follow_owned(world.pods, "Job");
  }

 private:
  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr job = world_.jobs.find(key);
    if (job == nullptr || kube::is_deleting(*job)) return Requeue::no();
    if (has_ended(*job)) return expire(*job);

    const auto pods = world_.pods.owned_by(kube::uid_of(*job));
    Json after = *job;
    const bool is_suspended = data::get_bool(*job, {"spec", "suspend"});
    if (is_suspended) {
      data::erase(after, {"status", "startTime"});
    } else if (data::get_string(after, {"status", "startTime"}).empty()) {
      data::set(after, {"status", "startTime"}, Json(world_.now()));
    }
    mark_suspension(after, is_suspended);
    const JobCounts counts = count_pods(*job, pods);
    const JobPlan plan = plan_job(after, counts, last_failure(pods), world_.clock.wall());
    // The start is stored before any pod exists: deadlines count from it.
    if (plan.create > 0 && data::get_string(*job, {"status", "startTime"}).empty()) {
      TRY(world_.update_status(world_.jobs, *job, after));
    }
    const auto done = act(*job, plan, pods);
    finish(after, plan);
    const ObjectPtr current = world_.jobs.find(key);
    if (current == nullptr) return Requeue::no();
    fill_status(after, count_pods(*job, world_.pods.owned_by(kube::uid_of(*job))), plan);
    data::set(after, {"metadata", "resourceVersion"}, Json(kube::resource_version_of(*current)));
    TRY(world_.update_status(world_.jobs, *current, after));
    TRY(Result<>(done));
    if (!plan.look_again) return Requeue::no();
    return Requeue::after(std::chrono::duration_cast<milliseconds>(*plan.look_again) +
                          milliseconds(10));
  }

  Result<> act(const Json& job, const JobPlan& plan, const std::vector<ObjectPtr>& pods) {
    std::vector<ObjectPtr> active;
    for (const auto& pod : pods) {
      if (is_active(*pod)) active.push_back(pod);
    }
    const bool is_failed =
        plan.end == JobPlan::End::kBackoffLimit || plan.end == JobPlan::End::kDeadline;
    auto victims = by_deletion_order(active);
    if (!is_failed)
      victims.resize(std::min<std::size_t>(victims.size(), static_cast<std::size_t>(plan.remove)));
    for (const auto& pod : victims) {
      TRY(world_.remove(world_.pods, *pod));
      note(job, "SuccessfulDelete", fmt::format("Deleted pod: {}", kube::name_of(*pod)));
    }
    for (std::int64_t i = 0; i < plan.create; ++i) {
      std::optional<std::int64_t> index;
      if (!plan.create_indexes.empty()) index = plan.create_indexes[static_cast<std::size_t>(i)];
      auto created = world_.create(world_.pods, make_pod(job, index));
      if (!created) {
        warn(job, "FailedCreate", "Error creating: " + created.error().message());
        return std::move(created).error();
      }
      note(job, "SuccessfulCreate", fmt::format("Created pod: {}", kube::name_of(*created)));
    }
    return {};
  }

  static Json make_pod(const Json& job, std::optional<std::int64_t> index) {
    const Json* pod_template = data::find(job, {"spec", "template"});
    const std::string prefix = std::string(kube::name_of(job)) +
                               (index ? "-" + std::to_string(*index) + "-" : std::string("-"));
    Json pod = pod_from_template(pod_template != nullptr ? *pod_template : Json(), job, prefix);
    for (const std::string_view key : {"job-name", "batch.kubernetes.io/job-name"}) {
      kube::set_label(pod, key, kube::name_of(job));
    }
    for (const std::string_view key : {"controller-uid", "batch.kubernetes.io/controller-uid"}) {
      kube::set_label(pod, key, kube::uid_of(job));
    }
    if (!index) return pod;
    const std::string text = std::to_string(*index);
    kube::set_annotation(pod, "batch.kubernetes.io/job-completion-index", text);
    kube::set_label(pod, "batch.kubernetes.io/job-completion-index", text);
    data::set(pod, {"spec", "hostname"}, Json(std::string(kube::name_of(job)) + "-" + text));
    if (Json* containers = data::find(pod, {"spec", "containers"});
        containers != nullptr && containers->is_array()) {
      for (Json& container : *containers->if_array()) {
        Json& env = data::ensure_object(container, {})["env"];
        if (!env.is_array()) env.emplace_array();
        env.if_array()->push_back(Json{{"name", "JOB_COMPLETION_INDEX"}, {"value", text}});
      }
    }
    return pod;
  }

  void mark_suspension(Json& job, bool is_suspended) {
    const Json* condition = kube::condition(job, "Suspended");
    const bool was = condition != nullptr && data::get_string(*condition, {"status"}) == "True";
    if (is_suspended && !was) {
      kube::set_condition(job, "Suspended", "True", "JobSuspended", "Job suspended", world_.now());
      note(job, "Suspended", "Job suspended");
    } else if (!is_suspended && was) {
      kube::set_condition(job, "Suspended", "False", "JobResumed", "Job resumed", world_.now());
      note(job, "Resumed", "Job resumed");
    }
  }

  void finish(Json& job, const JobPlan& plan) {
    const std::string now = world_.now();
    switch (plan.end) {
      case JobPlan::End::kNone: return;
      case JobPlan::End::kComplete:
        kube::set_condition(job, "SuccessCriteriaMet", "True", "CompletionsReached",
                            "Reached expected number of succeeded pods", now);
        kube::set_condition(job, "Complete", "True", "CompletionsReached",
                            "Reached expected number of succeeded pods", now);
        data::set(job, {"status", "completionTime"}, Json(now));
        note(job, "Completed", "Job completed");
        return;
      case JobPlan::End::kBackoffLimit:
        return fail(job, "BackoffLimitExceeded", "Job has reached the specified backoff limit");
      case JobPlan::End::kDeadline:
        return fail(job, "DeadlineExceeded", "Job was active longer than specified deadline");
    }
  }

  void fail(Json& job, std::string_view reason, std::string_view message) {
    kube::set_condition(job, "FailureTarget", "True", reason, message, world_.now());
    kube::set_condition(job, "Failed", "True", reason, message, world_.now());
    warn(job, reason, message);
  }

  static void fill_status(Json& job, const JobCounts& counts, const JobPlan& plan) {
    const auto put = [&](std::string_view field, std::int64_t value) {
      if (value != 0) data::set(job, {"status", field}, value);
      else data::erase(job, {"status", field});
    };
    put("active", plan.end == JobPlan::End::kNone ? counts.active : 0);
    // Pods that were cleaned away still count.
    put("succeeded", std::max(counts.succeeded, data::get_int(job, {"status", "succeeded"})));
    put("failed", std::max(counts.failed, data::get_int(job, {"status", "failed"})));
    data::set(job, {"status", "ready"}, counts.ready);
    data::set(job, {"status", "terminating"}, counts.terminating);
    data::set(job, {"status", "uncountedTerminatedPods"}, Json(boost::json::object_kind));
    if (!counts.done_indexes.empty()) {
      data::set(job, {"status", "completedIndexes"}, Json(format_indexes(counts.done_indexes)));
    }
  }

  // spec.ttlSecondsAfterFinished.
  Result<Requeue> expire(const Json& job) {
    const Json* ttl = data::find(job, {"spec", "ttlSecondsAfterFinished"});
    const auto lifetime = ttl != nullptr ? data::as_int(*ttl) : std::nullopt;
    if (!lifetime) return Requeue::no();
    const Json* condition = kube::condition(job, "Complete");
    if (condition == nullptr) condition = kube::condition(job, "Failed");
    const auto ended = parse_rfc3339(data::get_string(*condition, {"lastTransitionTime"}));
    const auto left = (ended ? *ended : WallTime{}) + seconds(*lifetime) - world_.clock.wall();
    if (left > nanoseconds(0)) {
      return Requeue::after(std::chrono::duration_cast<milliseconds>(left) + milliseconds(10));
    }
    TRY(world_.remove(world_.jobs, job, {.propagation = kube::Propagation::kForeground}));
    return Requeue::no();
  }
};

}  // namespace

std::unique_ptr<Controller> make_jobs(World& world) { return std::make_unique<Jobs>(world); }

}  // namespace lateen::cluster::controllers
