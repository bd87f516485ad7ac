// CustomResourceDefinitions themselves: defaults, validation, and the status that says a definition
// is served.
#include <fmt/format.h>

#include <set>

#include "base/strings.h"
#include "cluster/apiserver/defaults.h"
#include "cluster/cel/rules.h"
#include "kube/names.h"
#include "kube/object.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::string_view kCleanup = "customresourcecleanup.apiextensions.k8s.io";

void default_names(Json& names) {
  const std::string kind(data::get_string(names, {"kind"}));
  if (kind.empty()) return;
  fill(names, {"singular"}, Json(to_lower(kind)));
  fill(names, {"listKind"}, Json(kind + "List"));
}

void default_crd(Json& crd) {
  if (Json* names = data::find(crd, {"spec", "names"})) default_names(*names);
  fill(crd, {"spec", "conversion", "strategy"}, "None");
}

Json condition_true(std::string_view type, std::string_view reason, std::string_view message,
                    const Json& when) {
  return JsonObject{{"type", type},
                    {"status", "True"},
                    {"lastTransitionTime", when},
                    {"reason", reason},
                    {"message", message}};
}

std::string storage_version(const Json& crd) {
  for (const auto& version : data::get_array(crd, {"spec", "versions"})) {
    if (data::get_bool(version, {"storage"}))
      return std::string(data::get_string(version, {"name"}));
  }
  return {};
}

// Names are ours to accept and the type is served with the very write, so both conditions hold from
// the start.
void create_crd(Json& crd) {
  const Json* names = data::find(crd, {"spec", "names"});
  const Json* made = data::find(crd, {"metadata", "creationTimestamp"});
  const Json when = made != nullptr ? *made : Json();
  data::set(
      crd, {"status"},
      JsonObject{
          {"conditions",
           JsonArray{condition_true("NamesAccepted", "NoConflicts", "no conflicts found", when),
                     condition_true("Established", "InitialNamesAccepted",
                                    "the initial names have been accepted", when)}},
          {"acceptedNames", names != nullptr ? *names : Json(JsonObject{})},
          {"storedVersions", JsonArray{Json(storage_version(crd))}}});
  JsonArray finalizers = data::get_array(crd, {"metadata", "finalizers"});
  finalizers.emplace_back(kCleanup);
  data::set(crd, {"metadata", "finalizers"}, std::move(finalizers));
}

void update_crd(Json& crd, const Json&) {
  if (const Json* names = data::find(std::as_const(crd), {"spec", "names"})) {
    const Json copy = *names;
    data::set(crd, {"status", "acceptedNames"}, copy);
  }
  const std::string stored = storage_version(crd);
  JsonArray versions = data::get_array(crd, {"status", "storedVersions"});
  for (const auto& one : versions) {
    if (data::as_string(one) == stored) return;
  }
  versions.emplace_back(stored);
  data::set(crd, {"status", "storedVersions"}, std::move(versions));
}

// Structural: a type at every node that is not int-or-string or preserving
// (apiextensions/pkg/apiserver/schema).
void validate_structural(const Json& schema, const std::string& path, int depth,
                         FieldErrors& errors) {
  constexpr int kMostDepth = 60;
  if (depth > kMostDepth || !schema.is_object()) return;
  const bool is_free = data::get_bool(schema, {"x-kubernetes-int-or-string"}) ||
                       data::get_bool(schema, {"x-kubernetes-preserve-unknown-fields"});
  const auto type = data::get_string(schema, {"type"});
  if (type.empty() && !is_free) {
    errors.required(path + ".type", "must not be empty for specified object fields");
  }
  if (depth == 0 && !type.empty() && type != "object") {
    errors.invalid(path + ".type", Json(type), "must be object at the root");
  }
  for (const auto& [name, child] : data::get_object(schema, {"properties"})) {
    if (depth == 0 && name == "metadata") continue;
    validate_structural(child, fmt::format("{}.properties[{}]", path, std::string_view(name)),
                        depth + 1, errors);
  }
  if (const Json* items = data::find(schema, {"items"})) {
    validate_structural(*items, path + ".items", depth + 1, errors);
  } else if (type == "array") {
    errors.required(path + ".items", "must be specified");
  }
  if (const Json* more = data::find(schema, {"additionalProperties"});
      more != nullptr && more->is_object()) {
    validate_structural(*more, path + ".additionalProperties", depth + 1, errors);
  }
}

// Rules that an update leaves alone are not looked at again.
void validate_rules(const Json& crd, const Json* old, FieldErrors& errors) {
  const auto former = [&](std::string_view name) -> const Json* {
    if (old == nullptr) return nullptr;
    for (const auto& version : data::get_array(*old, {"spec", "versions"})) {
      if (data::get_string(version, {"name"}) == name)
        return data::find(version, {"schema", "openAPIV3Schema"});
    }
    return nullptr;
  };
  int index = -1;
  for (const auto& version : data::get_array(crd, {"spec", "versions"})) {
    ++index;
    const Json* schema = data::find(version, {"schema", "openAPIV3Schema"});
    if (schema == nullptr) continue;
    const Json* before = former(data::get_string(version, {"name"}));
    if (before != nullptr && data::equal(*before, *schema)) continue;
    std::vector<kube::FieldProblem> faults;
    (void)cel::ValidationRules::compile(*schema, faults);
    for (const auto& fault : faults) {
      errors.add({fault.reason,
                  fmt::format("spec.versions[{}].schema.openAPIV3Schema{}", index, fault.field),
                  fault.detail});
    }
  }
}

void validate_versions(const Json& crd, FieldErrors& errors) {
  const auto& versions = data::get_array(crd, {"spec", "versions"});
  if (versions.empty()) errors.required("spec.versions", "must have at least one version");
  std::set<std::string> names;
  int storage_count = 0;
  int index = 0;
  for (const auto& version : versions) {
    const std::string path = fmt::format("spec.versions[{}]", index++);
    const std::string name(data::get_string(version, {"name"}));
    if (auto wrong = kube::check_dns1035_label(name); !wrong.empty())
      errors.invalid(path + ".name", Json(name), wrong);
    if (!names.insert(name).second) errors.duplicate(path + ".name", Json(name));
    if (data::get_bool(version, {"storage"})) ++storage_count;
    const Json* schema = data::find(version, {"schema", "openAPIV3Schema"});
    if (schema == nullptr) {
      errors.required(path + ".schema.openAPIV3Schema", "schemas are required");
    } else if (!data::get_bool(crd, {"spec", "preserveUnknownFields"})) {
      validate_structural(*schema, path + ".schema.openAPIV3Schema", 0, errors);
    }
  }
  if (!versions.empty() && storage_count != 1) {
    errors.invalid("spec.versions", Json(static_cast<std::int64_t>(storage_count)),
                   "must have exactly one version marked as storage version");
  }
}

void validate_crd(const Json& crd, const Json* old, FieldErrors& errors) {
  const std::string group(data::get_string(crd, {"spec", "group"}));
  const std::string plural(data::get_string(crd, {"spec", "names", "plural"}));
  const std::string wanted = plural + "." + group;
  if (kube::name_of(crd) != wanted) {
    errors.invalid("metadata.name", Json(kube::name_of(crd)),
                   fmt::format("must be spec.names.plural+\".\"+spec.group"));
  }
  if (group.empty()) errors.required("spec.group");
  else if (group.find('.') == std::string::npos) {
    errors.invalid("spec.group", Json(group), "should be a domain with at least one dot");
  }
  if (plural.empty()) errors.required("spec.names.plural");
  if (data::get_string(crd, {"spec", "names", "kind"}).empty()) errors.required("spec.names.kind");
  const auto scope = data::get_string(crd, {"spec", "scope"});
  if (scope.empty()) errors.required("spec.scope");
  else if (scope != "Cluster" && scope != "Namespaced") {
    errors.unsupported("spec.scope", Json(scope), {"Cluster", "Namespaced"});
  }
  validate_versions(crd, errors);
  validate_rules(crd, old, errors);
  const auto strategy = data::get_string(crd, {"spec", "conversion", "strategy"});
  if (strategy != "None" && strategy != "Webhook") {
    errors.unsupported("spec.conversion.strategy", Json(strategy), {"None", "Webhook"});
  }
  if (old == nullptr) return;
  if (data::get_string(*old, {"spec", "scope"}) != scope) {
    errors.invalid("spec.scope", Json(scope), "field is immutable");
  }
  if (data::get_string(*old, {"spec", "group"}) != group) {
    errors.invalid("spec.group", Json(group), "field is immutable");
  }
}

}  // namespace

const Strategy kCrdStrategy{default_crd, create_crd, update_crd, validate_crd};

}  // namespace lateen::cluster::apiserver
