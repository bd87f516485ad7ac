// A table of known fields by path. Values are only checked at their first level: charts own what is
// below.
#include "install/fields.h"

#include <algorithm>
#include <string>
#include <vector>

namespace lateen::install {

using data::Json;

namespace {

enum class Type : unsigned char { kAny, kText, kFlag, kInteger, kMap, kList };

struct Field {
  std::string_view name;
  Type type;
};
using Fields = std::vector<Field>;

const Fields kSpec = {{"profile", Type::kText},
                      {"installPackagePath", Type::kText},
                      {"hub", Type::kText},
                      {"tag", Type::kAny},
                      {"resourceSuffix", Type::kText},
                      {"namespace", Type::kText},
                      {"revision", Type::kText},
                      {"defaultRevision", Type::kFlag},
                      {"meshConfig", Type::kMap},
                      {"components", Type::kMap},
                      {"addonComponents", Type::kMap},
                      {"values", Type::kMap},
                      {"unvalidatedValues", Type::kMap},
                      {"compatibilityVersion", Type::kAny}};
const Fields kComponents = {
    {"base", Type::kMap},           {"pilot", Type::kMap},   {"cni", Type::kMap},
    {"istiodRemote", Type::kMap},   {"ztunnel", Type::kMap}, {"ingressGateways", Type::kList},
    {"egressGateways", Type::kList}};
const Fields kComponent = {{"enabled", Type::kFlag}, {"namespace", Type::kText},
                           {"hub", Type::kText},     {"tag", Type::kAny},
                           {"spec", Type::kMap},     {"k8s", Type::kMap}};
const Fields kGateway = {{"name", Type::kText},    {"label", Type::kMap},
                         {"enabled", Type::kFlag}, {"namespace", Type::kText},
                         {"hub", Type::kText},     {"tag", Type::kAny},
                         {"spec", Type::kMap},     {"k8s", Type::kMap}};
const Fields kKubernetes = {{"affinity", Type::kMap},
                            {"env", Type::kList},
                            {"hpaSpec", Type::kMap},
                            {"imagePullPolicy", Type::kText},
                            {"nodeSelector", Type::kMap},
                            {"podDisruptionBudget", Type::kMap},
                            {"podAnnotations", Type::kMap},
                            {"priorityClassName", Type::kText},
                            {"readinessProbe", Type::kMap},
                            {"replicaCount", Type::kInteger},
                            {"resources", Type::kMap},
                            {"service", Type::kMap},
                            {"strategy", Type::kMap},
                            {"tolerations", Type::kList},
                            {"serviceAnnotations", Type::kMap},
                            {"securityContext", Type::kMap},
                            {"overlays", Type::kList},
                            {"volumes", Type::kList},
                            {"volumeMounts", Type::kList}};
const Fields kValues = {{"global", Type::kMap},
                        {"pilot", Type::kMap},
                        {"gateways", Type::kMap},
                        {"sidecarInjectorWebhook", Type::kMap},
                        {"telemetry", Type::kMap},
                        {"base", Type::kMap},
                        {"istiodRemote", Type::kMap},
                        {"istio_cni", Type::kMap},
                        {"cni", Type::kMap},
                        {"meshConfig", Type::kMap},
                        {"revision", Type::kText},
                        {"ownerName", Type::kText},
                        {"revisionTags", Type::kList},
                        {"ztunnel", Type::kMap},
                        {"experimental", Type::kMap},
                        {"defaultRevision", Type::kText},
                        {"istiocoredns", Type::kMap},
                        {"prometheus", Type::kMap},
                        {"kiali", Type::kMap},
                        {"grafana", Type::kMap},
                        {"tracing", Type::kMap},
                        {"mixer", Type::kMap},
                        {"compatibilityVersion", Type::kAny},
                        {"pilotCertProvider", Type::kText}};

bool fits(Type type, const Json& value) {
  if (value.is_null()) return true;
  switch (type) {
    case Type::kAny: return true;
    case Type::kText: return value.is_string();
    case Type::kFlag: return value.is_bool();
    case Type::kInteger: return data::as_int(value).has_value();
    case Type::kMap: return value.is_object();
    case Type::kList: return value.is_array();
  }
  return false;
}

std::string_view describe(Type type) {
  switch (type) {
    case Type::kText: return "text";
    case Type::kFlag: return "true or false";
    case Type::kInteger: return "a whole number";
    case Type::kMap: return "a map";
    case Type::kList: return "a list";
    default: return "a value";
  }
}

Result<> check(const Json& value, const Fields& known, const std::string& path) {
  const auto* object = value.if_object();
  if (object == nullptr) {
    if (value.is_null()) return {};
    return invalid(path + ": expected a map, got " + data::dump_json(value).substr(0, 60),
                   Blame::kConfig);
  }
  for (const auto& member : *object) {
    const std::string_view key = member.key();
    const auto found =
        std::find_if(known.begin(), known.end(), [&](const Field& f) { return f.name == key; });
    const std::string at = path + "." + std::string(key);
    if (found == known.end()) {
      std::vector<std::string_view> names;
      for (const Field& each : known) names.push_back(each.name);
      const std::string guess = nearest(key, names);
      return invalid(
          at + ": unknown field" + (guess.empty() ? "" : ", did you mean \"" + guess + "\"?"),
          Blame::kConfig);
    }
    if (!fits(found->type, member.value())) {
      return invalid(at + ": expected " + std::string(describe(found->type)) + ", got " +
                         data::dump_json(member.value()).substr(0, 60),
                     Blame::kConfig);
    }
  }
  return {};
}

Result<> check_component(const Json& component, const Fields& known, const std::string& path) {
  TRY(check(component, known, path));
  const Json* k8s = data::find(component, {"k8s"});
  if (k8s != nullptr) TRY(check(*k8s, kKubernetes, path + ".k8s"));
  return {};
}

Result<> check_gateways(const Json& list, const std::string& path) {
  const auto& items = *list.if_array();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string at = path + "[" + std::to_string(i) + "]";
    TRY(check_component(items[i], kGateway, at));
    if (data::get_string(items[i], {"name"}).empty()) {
      return invalid(at + ".name: required, it names the gateway's Deployment and Service",
                     Blame::kConfig);
    }
  }
  return {};
}

bool is_revision(std::string_view text) {
  return text.size() <= 63 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
             std::string_view::npos &&
         !text.starts_with('-') && !text.ends_with('-');
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto candidate : candidates) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i);
      for (std::size_t j = 1; j < row.size(); ++j) {
        const std::size_t changed = diagonal + (word[i - 1] != candidate[j - 1]);
        diagonal = row[j];
        row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

Result<> check_fields(const Json& spec) {
  TRY(check(spec, kSpec, "spec"));
  const auto revision = data::get_string(spec, {"revision"});
  if (!is_revision(revision)) {
    return invalid("spec.revision: \"" + std::string(revision) +
                       "\" must be lower case letters, digits and '-', as it becomes part of names",
                   Blame::kConfig);
  }
  if (const Json* values = data::find(spec, {"values"}))
    TRY(check(*values, kValues, "spec.values"));
  const Json* components = data::find(spec, {"components"});
  if (components == nullptr || components->is_null()) return {};
  TRY(check(*components, kComponents, "spec.components"));
  for (const auto& member : *components->if_object()) {
    const std::string path = "spec.components." + std::string(member.key());
    if (member.value().is_null()) continue;
    if (member.value().is_array()) TRY(check_gateways(member.value(), path));
    else TRY(check_component(member.value(), kComponent, path));
    const std::string_view key = member.key();
    const bool is_missing = key == "cni" || key == "istiodRemote" || key == "ztunnel";
    if (is_missing && data::get_bool(member.value(), {"enabled"})) {
      return invalid(
          path + ".enabled: this component is not part of this distribution; set it to false",
          Blame::kConfig);
    }
  }
  return {};
}

}  // namespace lateen::install
