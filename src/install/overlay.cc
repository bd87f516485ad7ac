// Laying settings over objects: strategic merges for the known ones, paths for the free ones.
#include "install/overlay.h"

#include <algorithm>

#include "base/strings.h"
#include "kube/patch.h"

namespace lateen::install {
namespace {

Json* find_object(ComponentManifest& manifest, std::string_view kind, std::string_view name) {
  for (Json& each : manifest.objects) {
    if (data::get_string(each, {"kind"}) == kind &&
        data::get_string(each, {"metadata", "name"}) == name)
      return &each;
  }
  return nullptr;
}

Result<> merge_over(Json* object, const Json& patch) {
  if (object == nullptr) return {};
  *object = TRY(kube::strategic_merge(*object, patch, data::get_string(*object, {"kind"})));
  return {};
}

// autoscaling/v2beta1 metrics, which older files use, as autoscaling/v2's.
Json modern_hpa(Json spec) {
  Json* metrics = data::find(spec, {"metrics"});
  if (metrics == nullptr || !metrics->is_array()) return spec;
  for (Json& metric : *metrics->if_array()) {
    Json* resource = data::find(metric, {"resource"});
    if (resource == nullptr || !resource->is_object() ||
        data::find(*resource, {"target"}) != nullptr)
      continue;
    Json target = data::JsonObject();
    if (const Json* share = data::find(*resource, {"targetAverageUtilization"})) {
      data::set(target, {"type"}, "Utilization");
      data::set(target, {"averageUtilization"}, *share);
    } else if (const Json* amount = data::find(*resource, {"targetAverageValue"})) {
      data::set(target, {"type"}, "AverageValue");
      data::set(target, {"averageValue"}, *amount);
    } else {
      continue;
    }
    data::erase(*resource, {"targetAverageUtilization"});
    data::erase(*resource, {"targetAverageValue"});
    data::set(*resource, {"target"}, std::move(target));
  }
  return spec;
}

Json with_protocols(Json service) {
  Json* ports = data::find(service, {"ports"});
  if (ports == nullptr || !ports->is_array()) return service;
  for (Json& port : *ports->if_array()) {
    if (port.is_object() && data::find(port, {"protocol"}) == nullptr)
      data::set(port, {"protocol"}, "TCP");
  }
  return service;
}

Json text_values(const Json& map) {
  data::JsonObject out;
  if (const auto* object = map.if_object()) {
    for (const auto& member : *object) {
      out[member.key()] =
          member.value().is_string() ? member.value() : Json(data::dump_json(member.value()));
    }
  }
  return out;
}

// Merges what the settings say about the Deployment into one patch.
Json deployment_patch(const Json& k8s, std::string_view container_name) {
  Json patch = data::JsonObject();
  Json container = data::JsonObject();
  data::set(container, {"name"}, Json(container_name));
  bool has_container = false;
  for (const std::string_view key :
       {"env", "imagePullPolicy", "readinessProbe", "resources", "volumeMounts"}) {
    if (const Json* value = data::find(k8s, {key}); value != nullptr && !value->is_null()) {
      data::set(container, {key}, *value);
      has_container = true;
    }
  }
  if (has_container)
    data::set(patch, {"spec", "template", "spec", "containers"}, data::JsonArray{container});
  for (const std::string_view key : {"affinity", "nodeSelector", "priorityClassName", "tolerations",
                                     "securityContext", "volumes"}) {
    if (const Json* value = data::find(k8s, {key}); value != nullptr && !value->is_null()) {
      data::set(patch, {"spec", "template", "spec", key}, *value);
    }
  }
  if (const Json* value = data::find(k8s, {"podAnnotations"}))
    data::set(patch, {"spec", "template", "metadata", "annotations"}, text_values(*value));
  if (const Json* value = data::find(k8s, {"strategy"}))
    data::set(patch, {"spec", "strategy"}, *value);
  if (const auto replicas = data::get_int(k8s, {"replicaCount"}); replicas > 0)
    data::set(patch, {"spec", "replicas"}, replicas);
  return patch;
}

Result<> apply_overlays(ComponentManifest& manifest, const Json& k8s) {
  for (const Json& overlay : data::get_array(k8s, {"overlays"})) {
    const auto kind = data::get_string(overlay, {"kind"});
    const auto name = data::get_string(overlay, {"name"});
    Json* object = find_object(manifest, kind, name);
    if (object == nullptr) {
      return invalid("k8s.overlays: there is no " + std::string(kind) + " \"" + std::string(name) +
                         "\" among this component's objects",
                     Blame::kConfig);
    }
    for (const Json& patch : data::get_array(overlay, {"patches"})) {
      const std::string path(data::get_string(patch, {"path"}));
      TRY(patch_path(*object, path, data::find(patch, {"value"}))
              .at("k8s.overlays of " + std::string(kind) + " " + std::string(name)));
    }
  }
  return {};
}

struct Step {
  std::string key;
  enum class Kind : unsigned char { kKey, kIndex, kMatch } kind = Kind::kKey;
  std::size_t index = 0;
  std::string match;  // value that `key` must have
};

Result<std::vector<Step>> parse_steps(std::string_view path) {
  std::vector<std::string> words;
  std::string word;
  bool is_bracketed = false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) {
      word += path[++i];
      continue;
    }
    if (path[i] == '[' && !is_bracketed && !word.empty()) {
      words.push_back(std::exchange(word, ""));
    }
    if (path[i] == '[') is_bracketed = true;
    if (path[i] == ']') is_bracketed = false;
    if (path[i] == '.' && !is_bracketed) {
      if (!word.empty()) words.push_back(std::exchange(word, ""));
      continue;
    }
    word += path[i];
  }
  if (!word.empty()) words.push_back(word);
  std::vector<Step> steps;
  for (const std::string& each : words) {
    if (!each.starts_with('[')) {
      steps.push_back({each, Step::Kind::kKey, 0, ""});
      continue;
    }
    const std::string_view inner =
        std::string_view(each).substr(1, each.size() - (each.ends_with(']') ? 2 : 1));
    if (const auto index = parse_uint(inner)) steps.push_back({"", Step::Kind::kIndex, *index, ""});
    else if (inner.starts_with(':'))
      steps.push_back(
          {"", Step::Kind::kMatch, 0, std::string(inner.substr(1))});  // an item of text
    else if (const auto cut = split_once(inner, ":"))
      steps.push_back({std::string(cut->first), Step::Kind::kMatch, 0, std::string(cut->second)});
    else
      steps.push_back(
          {"", Step::Kind::kMatch, 0, std::string(inner)});  // "[value]" of a list of text
  }
  if (steps.empty()) return invalid("an overlay's path is empty", Blame::kConfig);
  return steps;
}

// The index that a step means in a list; the list's size when it names none yet.
std::size_t index_of(const data::JsonArray& list, const Step& step) {
  if (step.kind == Step::Kind::kIndex) return std::min(step.index, list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json* field = step.key.empty() ? &list[i] : data::find(list[i], {step.key});
    if (field == nullptr) continue;
    const std::string text =
        field->is_string() ? std::string(*field->if_string()) : data::dump_json(*field);
    if (text == step.match) return i;
  }
  return list.size();
}

}  // namespace

Result<> patch_path(Json& object, std::string_view path, const Json* value) {
  const auto steps = TRY(parse_steps(path));
  const bool is_removal = value == nullptr || value->is_null();
  Json* at = &object;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    const bool is_last = i + 1 == steps.size();
    if (step.kind == Step::Kind::kKey) {
      if (at->is_null() && !is_removal) at->emplace_object();
      auto* map = at->if_object();
      if (map == nullptr)
        return invalid("path " + std::string(path) + ": \"" + step.key +
                           "\" is sought in something that is no map",
                       Blame::kConfig);
      if (is_removal && (is_last || !map->contains(step.key))) {
        map->erase(step.key);
        return {};
      }
      at = &(*map)[step.key];
      continue;
    }
    if (at->is_null() && !is_removal) at->emplace_array();
    auto* list = at->if_array();
    if (list == nullptr)
      return invalid(
          "path " + std::string(path) + ": an item is sought in something that is no list",
          Blame::kConfig);
    const std::size_t index = index_of(*list, step);
    if (is_removal && (is_last || index == list->size())) {
      if (index < list->size()) list->erase(list->begin() + static_cast<std::ptrdiff_t>(index));
      return {};
    }
    if (index == list->size()) {
      list->emplace_back(nullptr);
      if (step.kind == Step::Kind::kMatch && !step.key.empty())
        data::set(list->back(), {step.key}, Json(step.match));
    }
    at = &(*list)[index];
  }
  // Maps merge into what is there, as upstream's overlays do.
  if (value->is_object() && at->is_object()) chart::merge_values(*at, *value);
  else *at = *value;
  return {};
}

Result<> apply_kubernetes_settings(ComponentManifest& manifest, const PlannedComponent& component,
                                   const Plan& plan) {
  const Json* k8s = data::find(component.settings, {"k8s"});
  if (k8s == nullptr || !k8s->is_object()) return {};
  const std::string name = is_gateway(component.part)
                               ? component.name
                               : "istiod" + (plan.revision.empty() ? "" : "-" + plan.revision);
  if (component.part != Part::kBase) {
    const std::string_view container = is_gateway(component.part) ? "istio-proxy" : "discovery";
    TRY(merge_over(find_object(manifest, "Deployment", name), deployment_patch(*k8s, container)));
    const auto lay = [&](std::string_view key, std::string_view kind,
                         std::initializer_list<std::string_view> path, auto convert) -> Result<> {
      const Json* value = data::find(*k8s, {key});
      if (value == nullptr || value->is_null()) return {};
      Json patch = data::JsonObject();
      data::set(patch, path, convert(*value));
      return merge_over(find_object(manifest, kind, name), patch).at("k8s." + std::string(key));
    };
    const auto same = [](const Json& value) { return value; };
    TRY(lay("hpaSpec", "HorizontalPodAutoscaler", {"spec"}, modern_hpa));
    TRY(lay("podDisruptionBudget", "PodDisruptionBudget", {"spec"}, same));
    TRY(lay("service", "Service", {"spec"}, with_protocols));
    TRY(lay("serviceAnnotations", "Service", {"metadata", "annotations"}, text_values));
  } else {
    for (const auto& member : *k8s->if_object()) {
      if (member.key() != "overlays")
        return invalid(
            "the base component takes only k8s.overlays, not k8s." + std::string(member.key()),
            Blame::kConfig);
    }
  }
  return apply_overlays(manifest, *k8s);
}

}  // namespace lateen::install
