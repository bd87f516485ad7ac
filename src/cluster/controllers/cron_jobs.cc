// CronJobs: a Job at each time of a schedule.
#include <algorithm>

#include "base/strings.h"
#include "cluster/controllers/cron.h"
#include "cluster/controllers/makers.h"

namespace lateen::cluster::controllers {
namespace {

constexpr int kMaxMissed = 100;
constexpr std::string_view kScheduledAt = "batch.kubernetes.io/cronjob-scheduled-timestamp";

bool has_condition(const Json& job, std::string_view type) {
  const Json* condition = kube::condition(job, type);
  return condition != nullptr && data::get_string(*condition, {"status"}) == "True";
}
bool is_finished_job(const Json& job) {
  return has_condition(job, "Complete") || has_condition(job, "Failed");
}

Json reference_to(const Json& job) {
  return {{"apiVersion", "batch/v1"},   {"kind", "Job"},
          {"name", kube::name_of(job)}, {"namespace", kube::namespace_of(job)},
          {"uid", kube::uid_of(job)},   {"resourceVersion", kube::resource_version_of(job)}};
}

class CronJobs final : public KeyedController {
 public:
  explicit CronJobs(World& world) : KeyedController(world, "cronjob-controller", 1) {
    follow(world.cron_jobs);
    follow_owned(world.jobs, "CronJob");
  }

 private:
  Result<Requeue> reconcile(const Key& key) override {
    const ObjectPtr cron = world_.cron_jobs.find(key);
    if (cron == nullptr || kube::is_deleting(*cron)) return Requeue::no();
    Json after = *cron;
    TRY(trim_history(*cron));
    note_finished(after);
    auto again = run_due(*cron, after);
    list_active(*cron, after);
    TRY(world_.update_status(world_.cron_jobs, *cron, after));
    return again;
  }

  // Starts the Job of the latest time that passed; tells when the next one comes.
  Result<Requeue> run_due(const Json& cron, Json& after) {
    const auto zone = data::get_string(cron, {"spec", "timeZone"}, "UTC");
    if (zone != "UTC" && zone != "Etc/UTC" && zone != "Etc/GMT") {
      warn(cron, "UnknownTimeZone",
           fmt::format("unknown time zone \"{}\"; only UTC is supported", zone));
      return Requeue::no();
    }
    auto schedule = CronSchedule::parse(data::get_string(cron, {"spec", "schedule"}));
    if (!schedule) {
      warn(cron, "UnparseableSchedule",
           fmt::format("unparseable schedule: {}", schedule.error().message()));
      return Requeue::no();
    }
    if (data::get_bool(cron, {"spec", "suspend"})) return Requeue::no();
    const WallTime now = world_.clock.wall();
    const auto due = latest_due(cron, *schedule, now);
    if (due) TRY(start_job(cron, after, *due, now));
    const auto next = schedule->next(now);
    if (!next) return Requeue::no();
    return Requeue::after(std::chrono::duration_cast<milliseconds>(*next - now) + milliseconds(5));
  }

  std::optional<WallTime> latest_due(const Json& cron, const CronSchedule& schedule, WallTime now) {
    auto since = parse_rfc3339(data::get_string(cron, {"status", "lastScheduleTime"}));
    if (!since) since = parse_rfc3339(data::get_string(cron, {"metadata", "creationTimestamp"}));
    WallTime from = since ? *since : now;
    const Json* deadline = data::find(cron, {"spec", "startingDeadlineSeconds"});
    if (deadline != nullptr) {
      if (const auto limit = data::as_int(*deadline)) from = std::max(from, now - seconds(*limit));
    }
    std::optional<WallTime> latest;
    int missed = 0;
    for (auto at = schedule.next(from); at && *at <= now; at = schedule.next(*at)) {
      latest = at;
      if (++missed <= kMaxMissed) continue;
      warn(cron, "TooManyMissedTimes",
           "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check "
           "clock skew");
      // A long sleep: go on from the last period only.
      from = now - hours(1);
      for (at = schedule.next(from); at && *at <= now; at = schedule.next(*at)) latest = at;
      break;
    }
    return latest;
  }

  Result<> start_job(const Json& cron, Json& after, WallTime due, WallTime now) {
    const auto policy = data::get_string(cron, {"spec", "concurrencyPolicy"}, "Allow");
    std::vector<ObjectPtr> running;
    for (const auto& job : world_.jobs.owned_by(kube::uid_of(cron))) {
      if (!is_finished_job(*job) && !kube::is_deleting(*job)) running.push_back(job);
    }
    if (policy == "Forbid" && !running.empty()) {
      note(cron, "JobAlreadyActive",
           "Not starting job because prior execution is running and concurrency policy is Forbid");
      return {};
    }
    if (policy == "Replace") {
      for (const auto& job : running) {
        TRY(world_.remove(world_.jobs, *job));
        note(cron, "SuccessfulDelete", fmt::format("Deleted job {}", kube::name_of(*job)));
      }
    }
    const auto minute = std::chrono::duration_cast<minutes>(due.time_since_epoch()).count();
    const Json* spec = data::find(cron, {"spec", "jobTemplate", "spec"});
    Json job = {{"apiVersion", "batch/v1"},
                {"kind", "Job"},
                {"metadata",
                 {{"name", fmt::format("{}-{}", kube::name_of(cron), minute)},
                  {"namespace", kube::namespace_of(cron)},
                  {"labels", data::get_object(cron, {"spec", "jobTemplate", "metadata", "labels"})},
                  {"annotations",
                   data::get_object(cron, {"spec", "jobTemplate", "metadata", "annotations"})},
                  {"ownerReferences", JsonArray{kube::owner_reference(cron)}}}},
                {"spec", spec != nullptr ? *spec : Json(boost::json::object_kind)}};
    kube::set_annotation(job, kScheduledAt, format_rfc3339(due));
    auto created = world_.create(world_.jobs, job);
    if (!created && created.error().code() != Code::kAlreadyExists) {
      warn(cron, "FailedCreate", fmt::format("Error creating job: {}", created.error().message()));
      return std::move(created).error();
    }
    if (created)
      note(cron, "SuccessfulCreate", fmt::format("Created job {}", kube::name_of(*created)));
    data::set(after, {"status", "lastScheduleTime"}, Json(format_rfc3339(std::min(due, now))));
    return {};
  }

  void note_finished(Json& cron) {
    for (const auto& job : world_.jobs.owned_by(kube::uid_of(cron))) {
      if (!has_condition(*job, "Complete")) continue;
      const auto ended = data::get_string(*job, {"status", "completionTime"});
      if (ended > data::get_string(cron, {"status", "lastSuccessfulTime"})) {
        data::set(cron, {"status", "lastSuccessfulTime"}, Json(ended));
      }
    }
  }

  void list_active(const Json& cron, Json& after) {
    JsonArray active;
    for (const auto& job : world_.jobs.owned_by(kube::uid_of(cron))) {
      if (is_finished_job(*job) || kube::is_deleting(*job)) continue;
      active.push_back(reference_to(*job));
    }
    if (active.empty()) data::erase(after, {"status", "active"});
    else data::set(after, {"status", "active"}, Json(std::move(active)));
    data::ensure_object(after, {"status"});
  }

  Result<> trim_history(const Json& cron) {
    for (const bool is_success : {true, false}) {
      std::vector<ObjectPtr> ended;
      for (const auto& job : world_.jobs.owned_by(kube::uid_of(cron))) {
        if (!kube::is_deleting(*job) && has_condition(*job, is_success ? "Complete" : "Failed"))
          ended.push_back(job);
      }
      std::sort(ended.begin(), ended.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
        return data::get_string(*a, {"metadata", "creationTimestamp"}) <
               data::get_string(*b, {"metadata", "creationTimestamp"});
      });
      const auto limit = is_success ? data::get_int(cron, {"spec", "successfulJobsHistoryLimit"}, 3)
                                    : data::get_int(cron, {"spec", "failedJobsHistoryLimit"}, 1);
      const auto excess = static_cast<std::int64_t>(ended.size()) - limit;
      for (std::int64_t i = 0; i < excess; ++i)
        TRY(world_.remove(world_.jobs, *ended[static_cast<std::size_t>(i)]));
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Controller> make_cron_jobs(World& world) {
  return std::make_unique<CronJobs>(world);
}

}  // namespace lateen::cluster::controllers
