// Between versions of the same resource. Most versions differ by name only; the few that differ in
// shape are here: HorizontalPodAutoscaler v1 and v2beta1, CustomResourceDefinition v1beta1,
// events.k8s.io.
#include <utility>

#include "cluster/apiserver/encode.h"

namespace lateen::cluster::apiserver {
namespace {

void rename(JsonObject& object, std::string_view from, std::string_view to) {
  auto* found = object.if_contains(from);
  if (found == nullptr) return;
  Json value = std::move(*found);
  object.erase(from);
  object[to] = std::move(value);
}

// events.k8s.io/v1 calls the same facts by other names.
constexpr std::pair<std::string_view, std::string_view> kEventNames[] = {
    {"message", "note"},
    {"involvedObject", "regarding"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
    {"reportingComponent", "reportingController"},
};

void rename_event(Json& event, bool is_to_core) {
  auto* object = event.if_object();
  if (object == nullptr) return;
  for (const auto& [core, other] : kEventNames) {
    rename(*object, is_to_core ? other : core, is_to_core ? core : other);
  }
}

// v2beta1 metrics: {"type":"Resource","resource":{"name":"cpu","targetAverageUtilization":80}}
Json metric_from_v2beta1(const Json& metric) {
  Json made = metric;
  auto* resource = data::find(made, {"resource"});
  auto* object = resource == nullptr ? nullptr : resource->if_object();
  if (object == nullptr || object->contains("target")) return made;
  JsonObject target;
  if (auto* utilization = object->if_contains("targetAverageUtilization")) {
    target = {{"type", "Utilization"}, {"averageUtilization", *utilization}};
  } else if (auto* value = object->if_contains("targetAverageValue")) {
    target = {{"type", "AverageValue"}, {"averageValue", *value}};
  }
  object->erase("targetAverageUtilization");
  object->erase("targetAverageValue");
  (*object)["target"] = std::move(target);
  return made;
}

Json metric_to_v2beta1(const Json& metric) {
  Json made = metric;
  auto* resource = data::find(made, {"resource"});
  auto* object = resource == nullptr ? nullptr : resource->if_object();
  if (object == nullptr) return made;
  for (const auto& [of_target, name] : {std::pair<std::string_view, std::string_view>{
                                            "averageUtilization", "targetAverageUtilization"},
                                        {"averageValue", "targetAverageValue"}}) {
    if (const Json* value = data::find(std::as_const(made), {"resource", "target", of_target})) {
      Json copy = *value;
      (*object)[name] = std::move(copy);
    }
  }
  object->erase("target");
  return made;
}

void map_metrics(Json& hpa, Json (*change)(const Json&)) {
  Json* metrics = data::find(hpa, {"spec", "metrics"});
  auto* list = metrics == nullptr ? nullptr : metrics->if_array();
  if (list == nullptr) return;
  for (auto& metric : *list) metric = change(metric);
}

void hpa_to_storage(std::string_view version, Json& hpa) {
  if (version == "v2beta1") return map_metrics(hpa, metric_from_v2beta1);
  if (version != "v1") return;
  const Json* target = data::find(std::as_const(hpa), {"spec", "targetCPUUtilizationPercentage"});
  if (target == nullptr) return;
  JsonObject metric{
      {"type", "Resource"},
      {"resource", JsonObject{{"name", "cpu"},
                              {"target", JsonObject{{"type", "Utilization"},
                                                    {"averageUtilization", *target}}}}}};
  data::erase(hpa, {"spec", "targetCPUUtilizationPercentage"});
  data::set(hpa, {"spec", "metrics"}, JsonArray{std::move(metric)});
}

void hpa_to_served(std::string_view version, Json& hpa) {
  if (version == "v2beta1") return map_metrics(hpa, metric_to_v2beta1);
  if (version != "v1") return;
  for (const auto& metric : JsonArray(data::get_array(hpa, {"spec", "metrics"}))) {
    if (data::get_string(metric, {"resource", "name"}) != "cpu") continue;
    if (const Json* value = data::find(metric, {"resource", "target", "averageUtilization"})) {
      data::set(hpa, {"spec", "targetCPUUtilizationPercentage"}, *value);
    }
  }
  data::erase(hpa, {"spec", "metrics"});
  for (const auto& metric : JsonArray(data::get_array(hpa, {"status", "currentMetrics"}))) {
    if (const Json* value = data::find(metric, {"resource", "current", "averageUtilization"})) {
      data::set(hpa, {"status", "currentCPUUtilizationPercentage"}, *value);
    }
  }
  data::erase(hpa, {"status", "currentMetrics"});
  data::erase(hpa, {"status", "conditions"});
}

// v1beta1 has one schema, subresources and columns for all versions, at the top of spec.
void crd_v1beta1_to_v1(Json& crd) {
  auto* spec_value = data::find(crd, {"spec"});
  auto* spec = spec_value == nullptr ? nullptr : spec_value->if_object();
  if (spec == nullptr) return;
  JsonArray versions = data::get_array(crd, {"spec", "versions"});
  if (versions.empty()) {
    versions.push_back(JsonObject{{"name", data::get_string(crd, {"spec", "version"}, "v1")},
                                  {"served", true},
                                  {"storage", true}});
  }
  JsonArray columns = data::get_array(crd, {"spec", "additionalPrinterColumns"});
  for (auto& column : columns) {
    if (auto* object = column.if_object()) rename(*object, "JSONPath", "jsonPath");
  }
  for (auto& version : versions) {
    auto* object = version.if_object();
    if (object == nullptr) continue;
    if (const Json* schema = spec->if_contains("validation");
        schema != nullptr && !object->contains("schema")) {
      (*object)["schema"] = *schema;
    }
    if (!object->contains("schema")) {
      (*object)["schema"] = JsonObject{
          {"openAPIV3Schema",
           JsonObject{{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}}}};
    }
    if (const Json* sub = spec->if_contains("subresources");
        sub != nullptr && !object->contains("subresources")) {
      (*object)["subresources"] = *sub;
    }
    if (!columns.empty() && !object->contains("additionalPrinterColumns")) {
      (*object)["additionalPrinterColumns"] = columns;
    }
  }
  // preserveUnknownFields defaults to true in v1beta1: nothing is pruned.
  if (data::get_bool(crd, {"spec", "preserveUnknownFields"}, true))
    (*spec)["preserveUnknownFields"] = true;
  for (std::string_view gone :
       {"validation", "subresources", "additionalPrinterColumns", "version"}) {
    spec->erase(gone);
  }
  (*spec)["versions"] = std::move(versions);
}

void crd_v1_to_v1beta1(Json& crd) {
  auto* spec_value = data::find(crd, {"spec"});
  auto* spec = spec_value == nullptr ? nullptr : spec_value->if_object();
  if (spec == nullptr) return;
  const auto& versions = data::get_array(crd, {"spec", "versions"});
  if (!versions.empty()) {
    const std::string name(data::get_string(versions.front(), {"name"}));
    (*spec)["version"] = name;
  }
}

bool is_crd(const ResourceType& type) {
  return type.bucket == "apiextensions.k8s.io/customresourcedefinitions";
}

}  // namespace

bool needs_conversion(const ResourceType& type, std::string_view version) {
  return version != type.storage_version || type.group == "events.k8s.io";
}

void to_served(const ResourceType& type, std::string_view version, Json& object) {
  data::set(object, {"apiVersion"}, Json(type.api_version(version)));
  if (type.plural == "horizontalpodautoscalers") hpa_to_served(version, object);
  if (type.group == "events.k8s.io") rename_event(object, false);
  if (is_crd(type) && version == "v1beta1") crd_v1_to_v1beta1(object);
}

void to_storage(const ResourceType& type, std::string_view version, Json& object) {
  if (type.group == "events.k8s.io") {
    rename_event(object, true);
    data::set(object, {"apiVersion"}, Json("v1"));
    return;
  }
  if (type.plural == "horizontalpodautoscalers") hpa_to_storage(version, object);
  if (is_crd(type) && version == "v1beta1") crd_v1beta1_to_v1(object);
  data::set(object, {"apiVersion"}, Json(type.api_version(type.storage_version)));
}

}  // namespace lateen::cluster::apiserver
