#include "discovery/inject/webhook.h"

#include "base/log.h"
#include "base/strings.h"
#include "mesh/kinds.h"

namespace lateen::discovery {
namespace {

using data::get_string;
using data::Json;
using data::JsonArray;
using data::JsonObject;

Result<Json> parse_review(std::string_view body) {
  Json review = TRY(data::parse_json(body).at("admission review"));
  if (get_string(review, {"kind"}) != "AdmissionReview" ||
      data::find(review, {"request"}) == nullptr) {
    return invalid("the body is no AdmissionReview with a request", Blame::kDownstream);
  }
  return review;
}

std::string respond(const Json& review, JsonObject response) {
  response["uid"] = get_string(review, {"request", "uid"});
  return data::dump_json(
      JsonObject{{"apiVersion", get_string(review, {"apiVersion"}, "admission.k8s.io/v1")},
                 {"kind", "AdmissionReview"},
                 {"response", std::move(response)}});
}

JsonObject denied(std::string message, int code = 400) {
  return {{"allowed", false},
          {"status", JsonObject{{"status", "Failure"},
                                {"message", std::move(message)},
                                {"reason", "Invalid"},
                                {"code", code}}}};
}

// "/inject/cluster/c1/net/n1": pairs of a word and its value.
std::map<std::string, std::string> env_of_path(std::string_view path) {
  std::map<std::string, std::string> out;
  const auto parts = split(path, '/');
  for (std::size_t i = 2; i + 1 < parts.size(); i += 2) {
    auto value = percent_decode(replace_all(parts[i + 1], "--slash--", "/"));
    if (!value.ok()) continue;
    if (parts[i] == "cluster") out["ISTIO_META_CLUSTER_ID"] = *value;
    if (parts[i] == "net") out["ISTIO_META_NETWORK"] = *value;
    if (parts[i] != "cluster" && parts[i] != "net") out[std::string(parts[i])] = *value;
  }
  return out;
}

// Whole parts are put in place: the pod is the same size either way, and no list index can go
// wrong.
JsonArray patch_between(const Json& before, const Json& after) {
  JsonArray patch;
  const auto add = [&](std::initializer_list<std::string_view> path, const char* pointer) {
    const Json* from = data::find(before, path);
    const Json* to = data::find(after, path);
    if (to == nullptr || (from != nullptr && data::equal(*from, *to))) return;
    patch.push_back(
        JsonObject{{"op", from == nullptr ? "add" : "replace"}, {"path", pointer}, {"value", *to}});
  };
  add({"metadata", "annotations"}, "/metadata/annotations");
  add({"metadata", "labels"}, "/metadata/labels");
  const Json* spec = data::find(after, {"spec"});
  if (spec == nullptr || !spec->is_object()) return patch;
  for (const auto& entry : *spec->if_object()) {
    const std::string key(entry.key());
    const Json* from = data::find(before, {"spec", key});
    if (from != nullptr && data::equal(*from, entry.value())) continue;
    patch.push_back(JsonObject{{"op", from == nullptr ? "add" : "replace"},
                               {"path", "/spec/" + key},
                               {"value", entry.value()}});
  }
  return patch;
}

}  // namespace

Result<std::string> review_injection(const WebhookState& state, std::string_view path,
                                     std::string_view body, Metrics& metrics) {
  metrics.count("sidecar_injection_requests_total");
  const Json review = TRY(parse_review(body));
  const Json* pod = data::find(review, {"request", "object"});
  if (pod == nullptr || !pod->is_object()) return respond(review, denied("the request has no pod"));
  if (state.injection == nullptr) {
    metrics.count("sidecar_injection_failure_total");
    return respond(review,
                   denied("the injection template (ConfigMap istio-sidecar-injector) is not "
                          "there or not valid; istiod's log says why",
                          500));
  }
  const std::string ns(
      get_string(review, {"request", "namespace"}, get_string(*pod, {"metadata", "namespace"})));
  const InjectionRequest request{*pod,
                                 ns,
                                 *state.injection,
                                 *state.mesh,
                                 state.revision,
                                 state.proxy_configs,
                                 env_of_path(path)};
  std::string name(get_string(*pod, {"metadata", "name"}));
  if (name.empty()) name = get_string(*pod, {"metadata", "generateName"});
  const std::string reason = why_not_injected(request);
  if (!reason.empty()) {
    metrics.count("sidecar_injection_skip_total");
    LOG(kInfo, "injector", "{}/{} is not injected: {}", ns, name, reason);
    return respond(review, {{"allowed", true}});
  }
  auto injected = inject(request);
  if (!injected.ok()) {
    metrics.count("sidecar_injection_failure_total");
    LOG(kError, "injector", "{}/{}: {}", ns, name, injected.error().message());
    return respond(review,
                   denied("failed to inject the sidecar: " + injected.error().message(), 500));
  }
  metrics.count("sidecar_injection_success_total");
  LOG(kInfo, "injector", "{}/{} injected", ns, name);
  const std::string patch = data::dump_json(patch_between(*pod, *injected));
  return respond(review,
                 {{"allowed", true}, {"patchType", "JSONPatch"}, {"patch", base64_encode(patch)}});
}

Result<std::string> review_config(std::string_view body, Metrics& metrics) {
  const Json review = TRY(parse_review(body));
  const std::string_view operation = get_string(review, {"request", "operation"});
  const Json* object = data::find(review, {"request", "object"});
  if ((operation != "CREATE" && operation != "UPDATE") || object == nullptr ||
      !object->is_object()) {
    return respond(review, {{"allowed", true}});
  }
  const mesh::Issues issues = mesh::validate(*object);
  const std::string kind(get_string(*object, {"kind"}));
  const std::string labels = "resource=\"" + kind + "\"";
  if (!issues.ok()) {
    metrics.count("galley_validation_failed", labels);
    std::string message = "configuration is invalid: ";
    message += issues.errors.size() == 1
                   ? issues.errors.front()
                   : std::to_string(issues.errors.size()) + " errors: " + issues.to_string();
    return respond(review, denied(std::move(message)));
  }
  metrics.count("galley_validation_passed", labels);
  JsonObject response{{"allowed", true}};
  if (!issues.warnings.empty()) {
    JsonArray warnings;
    for (const std::string& warning : issues.warnings) warnings.push_back(Json(warning));
    response["warnings"] = std::move(warnings);
  }
  return respond(review, std::move(response));
}

}  // namespace lateen::discovery
