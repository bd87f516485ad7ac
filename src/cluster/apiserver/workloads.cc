// Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs: defaults and validation
// (pkg/apis/apps, batch).
#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/apiserver/defaults.h"
#include "kube/object.h"
#include "kube/selector.h"

namespace lateen::cluster::apiserver {
namespace {

void default_template(Json& object) {
  if (Json* spec = data::find(object, {"spec", "template", "spec"})) default_pod_spec(*spec);
  if (data::find(object, {"spec", "template"}) != nullptr) {
    fill(object, {"spec", "template", "metadata"}, JsonObject{});
    fill(object, {"spec", "template", "metadata", "creationTimestamp"}, nullptr);
  }
}

void default_deployment(Json& object) {
  fill(object, {"spec", "replicas"}, 1);
  fill(object, {"spec", "strategy", "type"}, "RollingUpdate");
  if (data::get_string(object, {"spec", "strategy", "type"}) == "RollingUpdate") {
    fill(object, {"spec", "strategy", "rollingUpdate", "maxUnavailable"}, "25%");
    fill(object, {"spec", "strategy", "rollingUpdate", "maxSurge"}, "25%");
  }
  fill(object, {"spec", "revisionHistoryLimit"}, 10);
  fill(object, {"spec", "progressDeadlineSeconds"}, 600);
  default_template(object);
}

void default_replica_set(Json& object) {
  fill(object, {"spec", "replicas"}, 1);
  if (data::find(std::as_const(object), {"metadata", "labels"}) == nullptr) {
    const JsonObject labels = data::get_object(object, {"spec", "template", "metadata", "labels"});
    if (!labels.empty()) data::set(object, {"metadata", "labels"}, labels);
  }
  default_template(object);
}

void default_stateful_set(Json& object) {
  fill(object, {"spec", "replicas"}, 1);
  fill(object, {"spec", "podManagementPolicy"}, "OrderedReady");
  fill(object, {"spec", "updateStrategy", "type"}, "RollingUpdate");
  if (data::get_string(object, {"spec", "updateStrategy", "type"}) == "RollingUpdate") {
    fill(object, {"spec", "updateStrategy", "rollingUpdate", "partition"}, 0);
  }
  fill(object, {"spec", "revisionHistoryLimit"}, 10);
  fill(object, {"spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"}, "Retain");
  fill(object, {"spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"}, "Retain");
  default_template(object);
}

void default_daemon_set(Json& object) {
  fill(object, {"spec", "updateStrategy", "type"}, "RollingUpdate");
  if (data::get_string(object, {"spec", "updateStrategy", "type"}) == "RollingUpdate") {
    fill(object, {"spec", "updateStrategy", "rollingUpdate", "maxUnavailable"}, 1);
    fill(object, {"spec", "updateStrategy", "rollingUpdate", "maxSurge"}, 0);
  }
  fill(object, {"spec", "revisionHistoryLimit"}, 10);
  default_template(object);
}

void default_job(Json& object) {
  const bool has_completions =
      data::find(std::as_const(object), {"spec", "completions"}) != nullptr;
  const bool has_parallelism =
      data::find(std::as_const(object), {"spec", "parallelism"}) != nullptr;
  if (!has_completions && !has_parallelism) data::set(object, {"spec", "completions"}, 1);
  fill(object, {"spec", "parallelism"}, 1);
  fill(object, {"spec", "backoffLimit"}, 6);
  fill(object, {"spec", "completionMode"}, "NonIndexed");
  fill(object, {"spec", "suspend"}, false);
  fill(object, {"spec", "podReplacementPolicy"}, "TerminatingOrFailed");
  default_template(object);
}

// The selector of a job is its own uid, unless a person took that on with manualSelector.
void create_job(Json& object) {
  if (data::get_bool(object, {"spec", "manualSelector"})) return;
  const Json uid(kube::uid_of(object));
  const Json name(kube::name_of(object));
  auto& labels = data::ensure_object(object, {"spec", "template", "metadata", "labels"});
  for (std::string_view key : {"controller-uid", "batch.kubernetes.io/controller-uid"})
    labels[key] = uid;
  for (std::string_view key : {"job-name", "batch.kubernetes.io/job-name"}) labels[key] = name;
  data::set(object, {"spec", "selector", "matchLabels"},
            JsonObject{{"batch.kubernetes.io/controller-uid", uid}});
}

void default_cron_job(Json& object) {
  fill(object, {"spec", "concurrencyPolicy"}, "Allow");
  fill(object, {"spec", "suspend"}, false);
  fill(object, {"spec", "successfulJobsHistoryLimit"}, 3);
  fill(object, {"spec", "failedJobsHistoryLimit"}, 1);
  if (Json* spec = data::find(object, {"spec", "jobTemplate", "spec", "template", "spec"}))
    default_pod_spec(*spec);
}

// ---- validation ----

void validate_replicas(const Json& object, FieldErrors& errors) {
  const auto replicas = data::get_int(object, {"spec", "replicas"}, 1);
  if (replicas < 0)
    errors.invalid("spec.replicas", Json(replicas), "must be greater than or equal to 0");
}

void validate_template(const Json& object, FieldErrors& errors) {
  const Json* spec = data::find(object, {"spec", "template", "spec"});
  validate_labels(data::find(object, {"spec", "template", "metadata", "labels"}),
                  "spec.template.labels", errors);
  if (spec == nullptr) {
    errors.required("spec.template.spec.containers");
    return;
  }
  validate_pod_spec(*spec, "spec.template.spec", errors);
}

void validate_selector(const Json& object, const Json* old, FieldErrors& errors) {
  const Json* selector = data::find(object, {"spec", "selector"});
  const auto& labels = data::get_object(object, {"spec", "template", "metadata", "labels"});
  if (selector == nullptr) {
    errors.required("spec.selector");
    errors.invalid_shown("spec.template.metadata.labels", go_map(labels),
                         "`selector` does not match template `labels`");
  } else {
    auto parsed = kube::LabelSelector::from_object(*selector);
    if (!parsed.ok()) {
      errors.invalid("spec.selector", *selector, parsed.error().message());
    } else if (parsed->is_everything()) {
      errors.invalid("spec.selector", *selector, "empty selector is invalid for deployment");
    } else if (!parsed->matches(labels)) {
      errors.invalid_shown("spec.template.metadata.labels", go_map(labels),
                           "`selector` does not match template `labels`");
    }
  }
  if (old == nullptr) return;
  const Json* before = data::find(*old, {"spec", "selector"});
  if (before != nullptr && selector != nullptr && !data::equal(*before, *selector)) {
    errors.invalid_shown("spec.selector",
                         fmt::format("v1.LabelSelector{{MatchLabels:{}, "
                                     "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}}",
                                     go_map(data::get_object(*selector, {"matchLabels"}))),
                         "field is immutable");
  }
}

void validate_always(const Json& object, FieldErrors& errors) {
  const auto policy =
      data::get_string(object, {"spec", "template", "spec", "restartPolicy"}, "Always");
  if (policy != "Always") {
    errors.unsupported("spec.template.spec.restartPolicy", Json(policy), {"Always"});
  }
}

void validate_set(const Json& object, const Json* old, FieldErrors& errors) {
  validate_replicas(object, errors);
  validate_selector(object, old, errors);
  validate_template(object, errors);
  validate_always(object, errors);
}

void validate_deployment(const Json& object, const Json* old, FieldErrors& errors) {
  validate_set(object, old, errors);
  const auto type = data::get_string(object, {"spec", "strategy", "type"});
  if (type != "RollingUpdate" && type != "Recreate") {
    errors.unsupported("spec.strategy.type", Json(type), {"Recreate", "RollingUpdate"});
  }
  if (type == "Recreate" && data::find(object, {"spec", "strategy", "rollingUpdate"}) != nullptr) {
    errors.forbidden("spec.strategy.rollingUpdate",
                     "may not be specified when strategy `type` is 'Recreate'");
  }
}

Json stateful_frozen(const Json& object) {
  const Json* found = data::find(object, {"spec"});
  Json spec = found != nullptr ? *found : Json(JsonObject{});
  for (std::string_view field :
       {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy", "minReadySeconds", "selector"}) {
    data::erase(spec, {field});
  }
  return spec;
}

// With a volume for each claim the set makes: its pods have them.
Json with_claimed_volumes(const Json& object) {
  Json made = object;
  data::JsonArray volumes = data::get_array(object, {"spec", "template", "spec", "volumes"});
  for (const auto& claim : data::get_array(object, {"spec", "volumeClaimTemplates"})) {
    const auto name = data::get_string(claim, {"metadata", "name"});
    volumes.push_back(
        JsonObject{{"name", name}, {"persistentVolumeClaim", JsonObject{{"claimName", name}}}});
  }
  data::set(made, {"spec", "template", "spec", "volumes"}, std::move(volumes));
  return made;
}

void validate_stateful_set(const Json& object, const Json* old, FieldErrors& errors) {
  validate_set(with_claimed_volumes(object), old, errors);
  if (old != nullptr && !data::equal(stateful_frozen(object), stateful_frozen(*old))) {
    errors.forbidden(
        "spec",
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
        "'minReadySeconds' are forbidden");
  }
}

void validate_job(const Json& object, const Json* old, FieldErrors& errors) {
  validate_template(object, errors);
  const auto policy = data::get_string(object, {"spec", "template", "spec", "restartPolicy"});
  if (policy == "Always") {
    errors.required("spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\"");
  }
  if (old == nullptr) return;
  const Json* before = data::find(*old, {"spec", "selector"});
  const Json* after = data::find(object, {"spec", "selector"});
  if (before != nullptr && (after == nullptr || !data::equal(*before, *after))) {
    errors.invalid("spec.selector", after != nullptr ? *after : Json(), "field is immutable");
  }
}

void validate_cron_job(const Json& object, const Json*, FieldErrors& errors) {
  if (data::get_string(object, {"spec", "schedule"}).empty()) errors.required("spec.schedule");
  const Json* spec = data::find(object, {"spec", "jobTemplate", "spec", "template", "spec"});
  if (spec == nullptr) errors.required("spec.jobTemplate.spec.template.spec.containers");
  else validate_pod_spec(*spec, "spec.jobTemplate.spec.template.spec", errors);
}

}  // namespace

const Strategy kDeploymentStrategy{default_deployment, nullptr, nullptr, validate_deployment};
const Strategy kReplicaSetStrategy{default_replica_set, nullptr, nullptr, validate_set};
const Strategy kStatefulSetStrategy{default_stateful_set, nullptr, nullptr, validate_stateful_set};
const Strategy kDaemonSetStrategy{default_daemon_set, nullptr, nullptr, validate_set};
const Strategy kJobStrategy{default_job, create_job, nullptr, validate_job};
const Strategy kCronJobStrategy{default_cron_job, nullptr, nullptr, validate_cron_job};

}  // namespace lateen::cluster::apiserver
