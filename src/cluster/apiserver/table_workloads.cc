// Cells of pods' owners: deployments, sets, jobs, autoscalers, budgets.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cluster/apiserver/table_cells.h"
#include "kube/selector.h"

namespace lateen::cluster::apiserver {

std::string selector_text(const Json& object, std::initializer_list<std::string_view> path) {
  const Json* selector = data::find(object, path);
  if (selector == nullptr) return "<none>";
  auto parsed = kube::LabelSelector::from_object(*selector);
  return parsed.ok() ? or_none(parsed->to_string()) : "<none>";
}

namespace {

std::string container_fields(const Json& object, std::initializer_list<std::string_view> spec_path,
                             std::string_view field) {
  std::vector<std::string> parts;
  if (const Json* spec = data::find(object, spec_path)) {
    for (const auto& container : data::get_array(*spec, {"containers"})) {
      parts.emplace_back(data::get_string(container, {field}));
    }
  }
  return join(parts, ",");
}

std::int64_t status_int(const Json& object, std::string_view field) {
  return data::get_int(object, {"status", field});
}

void add_template(const Json& object, JsonArray& cells) {
  cells.emplace_back(container_names(object, {"spec", "template", "spec"}));
  cells.emplace_back(container_images(object, {"spec", "template", "spec"}));
}

JsonArray deployment_cells(const Json& object, WallTime now) {
  JsonArray cells{Json(kube::name_of(object)),
                  Json(fmt::format("{}/{}", status_int(object, "readyReplicas"),
                                   data::get_int(object, {"spec", "replicas"}))),
                  Json(status_int(object, "updatedReplicas")),
                  Json(status_int(object, "availableReplicas")), Json(age_of(object, now))};
  add_template(object, cells);
  cells.emplace_back(selector_text(object, {"spec", "selector"}));
  return cells;
}

JsonArray replica_set_cells(const Json& object, WallTime now) {
  JsonArray cells{Json(kube::name_of(object)), Json(data::get_int(object, {"spec", "replicas"})),
                  Json(status_int(object, "replicas")), Json(status_int(object, "readyReplicas")),
                  Json(age_of(object, now))};
  add_template(object, cells);
  const bool is_plain = kube::kind_of(object) == "ReplicationController";
  cells.emplace_back(is_plain ? label_text(data::get_object(object, {"spec", "selector"}))
                              : selector_text(object, {"spec", "selector"}));
  return cells;
}

JsonArray stateful_set_cells(const Json& object, WallTime now) {
  JsonArray cells{Json(kube::name_of(object)),
                  Json(fmt::format("{}/{}", status_int(object, "readyReplicas"),
                                   data::get_int(object, {"spec", "replicas"}))),
                  Json(age_of(object, now))};
  add_template(object, cells);
  return cells;
}

JsonArray daemon_set_cells(const Json& object, WallTime now) {
  JsonArray cells{
      Json(kube::name_of(object)),
      Json(status_int(object, "desiredNumberScheduled")),
      Json(status_int(object, "currentNumberScheduled")),
      Json(status_int(object, "numberReady")),
      Json(status_int(object, "updatedNumberScheduled")),
      Json(status_int(object, "numberAvailable")),
      Json(label_text(data::get_object(object, {"spec", "template", "spec", "nodeSelector"}))),
      Json(age_of(object, now))};
  add_template(object, cells);
  cells.emplace_back(selector_text(object, {"spec", "selector"}));
  return cells;
}

std::string job_status(const Json& job) {
  for (const auto& [type, text] :
       {std::pair<std::string_view, std::string_view>{"Complete", "Complete"},
        {"Failed", "Failed"}}) {
    const Json* found = kube::condition(job, type);
    if (found != nullptr && data::get_string(*found, {"status"}) == "True")
      return std::string(text);
  }
  if (kube::is_deleting(job)) return "Terminating";
  const Json* suspended = kube::condition(job, "Suspended");
  if (suspended != nullptr && data::get_string(*suspended, {"status"}) == "True")
    return "Suspended";
  return "Running";
}

JsonArray job_cells(const Json& job, WallTime now) {
  std::string completions;
  const auto succeeded = status_int(job, "succeeded");
  if (const Json* wanted = data::find(job, {"spec", "completions"});
      wanted != nullptr && !wanted->is_null()) {
    completions = fmt::format("{}/{}", succeeded, data::as_int(*wanted).value_or(0));
  } else {
    const auto parallelism = data::get_int(job, {"spec", "parallelism"}, 1);
    completions = parallelism > 1 ? fmt::format("{}/1 of {}", succeeded, parallelism)
                                  : fmt::format("{}/1", succeeded);
  }
  std::string duration;
  if (auto start = parse_rfc3339(data::get_string(job, {"status", "startTime"})); start.ok()) {
    auto end = parse_rfc3339(data::get_string(job, {"status", "completionTime"}));
    duration = human_duration((end.ok() ? *end : now) - *start);
  }
  JsonArray cells{Json(kube::name_of(job)), Json(job_status(job)), Json(completions),
                  Json(duration), Json(age_of(job, now))};
  add_template(job, cells);
  cells.emplace_back(selector_text(job, {"spec", "selector"}));
  return cells;
}

JsonArray cron_job_cells(const Json& job, WallTime now) {
  const auto last = data::get_string(job, {"status", "lastScheduleTime"});
  JsonArray cells{
      Json(kube::name_of(job)),
      Json(data::get_string(job, {"spec", "schedule"})),
      Json(or_none(std::string(data::get_string(job, {"spec", "timeZone"})))),
      Json(data::get_bool(job, {"spec", "suspend"}) ? "True" : "False"),
      Json(static_cast<std::int64_t>(data::get_array(job, {"status", "active"}).size())),
      Json(last.empty() ? "<none>" : age_of(job, {"status", "lastScheduleTime"}, now)),
      Json(age_of(job, now))};
  cells.emplace_back(container_names(job, {"spec", "jobTemplate", "spec", "template", "spec"}));
  cells.emplace_back(container_images(job, {"spec", "jobTemplate", "spec", "template", "spec"}));
  cells.emplace_back("<none>");
  return cells;
}

std::string one_metric(const Json& spec, const Json* current) {
  const auto type = data::get_string(spec, {"type"});
  const std::string_view holder = type == "Resource"            ? "resource"
                                  : type == "ContainerResource" ? "containerResource"
                                  : type == "Pods"              ? "pods"
                                  : type == "Object"            ? "object"
                                                                : "external";
  const auto now_value = [&](std::string_view field) -> std::string {
    const Json* found =
        current != nullptr ? data::find(*current, {holder, "current", field}) : nullptr;
    if (found == nullptr || found->is_null()) return "<unknown>";
    return found->is_string() ? std::string(data::as_string(*found)) : data::dump_json(*found);
  };
  std::string text;
  if (const Json* target = data::find(spec, {holder, "target", "averageUtilization"})) {
    const std::string value = now_value("averageUtilization");
    text = fmt::format("{}/{}%", value == "<unknown>" ? value : value + "%",
                       data::as_int(*target).value_or(0));
  } else if (const auto average = data::get_string(spec, {holder, "target", "averageValue"});
             !average.empty()) {
    text = fmt::format("{}/{}", now_value("averageValue"), average);
  } else {
    text = fmt::format("{}/{}", now_value("value"),
                       data::get_string(spec, {holder, "target", "value"}, "<auto>"));
  }
  if (type == "Resource")
    return fmt::format("{}: {}", data::get_string(spec, {holder, "name"}), text);
  return text;
}

JsonArray hpa_cells(const Json& hpa, WallTime now) {
  const auto& specs = data::get_array(hpa, {"spec", "metrics"});
  const auto& currents = data::get_array(hpa, {"status", "currentMetrics"});
  constexpr std::size_t kMostShown = 2;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < std::min(specs.size(), kMostShown); ++i) {
    texts.push_back(one_metric(specs[i], i < currents.size() ? &currents[i] : nullptr));
  }
  std::string targets = texts.empty() ? "<none>" : join(texts, ", ");
  if (specs.size() > kMostShown) targets += fmt::format(" + {} more...", specs.size() - kMostShown);
  return {Json(kube::name_of(hpa)),
          Json(fmt::format("{}/{}", data::get_string(hpa, {"spec", "scaleTargetRef", "kind"}),
                           data::get_string(hpa, {"spec", "scaleTargetRef", "name"}))),
          Json(targets),
          Json(fmt::format("{}", data::get_int(hpa, {"spec", "minReplicas"}, 1))),
          Json(data::get_int(hpa, {"spec", "maxReplicas"})),
          Json(status_int(hpa, "currentReplicas")),
          Json(age_of(hpa, now))};
}

JsonArray pdb_cells(const Json& pdb, WallTime now) {
  const auto shown = [&](std::string_view field) -> Json {
    const Json* found = data::find(pdb, {"spec", field});
    if (found == nullptr || found->is_null()) return "N/A";
    return found->is_string() ? *found : Json(data::dump_json(*found));
  };
  return {Json(kube::name_of(pdb)), shown("minAvailable"), shown("maxUnavailable"),
          Json(status_int(pdb, "disruptionsAllowed")), Json(age_of(pdb, now))};
}

JsonArray revision_cells(const Json& object, WallTime now) {
  const Json* owner = kube::controller_of(object);
  std::string controller = "<none>";
  if (owner != nullptr) {
    const auto api_version = data::get_string(*owner, {"apiVersion"});
    const auto slash = api_version.find('/');
    const auto group =
        slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
    controller =
        fmt::format("{}/{}", qualified(to_lower(data::get_string(*owner, {"kind"})), group),
                    data::get_string(*owner, {"name"}));
  }
  return {Json(kube::name_of(object)), Json(controller), Json(data::get_int(object, {"revision"})),
          Json(age_of(object, now))};
}

}  // namespace

std::string container_names(const Json& object, std::initializer_list<std::string_view> spec_path) {
  return container_fields(object, spec_path, "name");
}
std::string container_images(const Json& object,
                             std::initializer_list<std::string_view> spec_path) {
  return container_fields(object, spec_path, "image");
}

const TableKind* workload_table_kind(std::string_view bucket) {
  constexpr std::string_view kReplicas =
      "Name|#Desired|#Current|#Ready|Age|!Containers|!Images|!Selector";
  static constexpr auto kKinds = std::to_array<TableKind>({
      {"/pods", "Name|Ready|Status|Restarts|Age|!IP|!Node|!Nominated Node|!Readiness Gates",
       pod_cells},
      {"apps/deployments", "Name|Ready|#Up-to-date|#Available|Age|!Containers|!Images|!Selector",
       deployment_cells},
      {"apps/replicasets", kReplicas, replica_set_cells},
      {"/replicationcontrollers", kReplicas, replica_set_cells},
      {"apps/statefulsets", "Name|Ready|Age|!Containers|!Images", stateful_set_cells},
      {"apps/daemonsets",
       "Name|#Desired|#Current|#Ready|#Up-to-date|#Available|Node "
       "Selector|Age|!Containers|!Images|!Selector",
       daemon_set_cells},
      {"batch/jobs", "Name|Status|Completions|Duration|Age|!Containers|!Images|!Selector",
       job_cells},
      {"batch/cronjobs",
       "Name|Schedule|Timezone|Suspend|#Active|Last Schedule|Age|!Containers|!Images|!Selector",
       cron_job_cells},
      {"autoscaling/horizontalpodautoscalers",
       "Name|Reference|Targets|MinPods|#MaxPods|#Replicas|Age", hpa_cells},
      {"policy/poddisruptionbudgets", "Name|Min Available|Max Unavailable|#Allowed Disruptions|Age",
       pdb_cells},
      {"apps/controllerrevisions", "Name|Controller|#Revision|Age", revision_cells},
  });
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const TableKind& kind) { return kind.bucket == bucket; });
  return found == kKinds.end() ? nullptr : &*found;
}

const TableKind* table_kind(std::string_view bucket) {
  if (const TableKind* kind = workload_table_kind(bucket)) return kind;
  return core_table_kind(bucket);
}

}  // namespace lateen::cluster::apiserver
