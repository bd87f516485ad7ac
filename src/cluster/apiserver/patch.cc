// PATCH in its four forms. The patch is computed against the served version of the stored object,
// again on each retry.
#include "kube/patch.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/apiserver/custom.h"
#include "cluster/apiserver/managed_fields.h"
#include "cluster/apiserver/resources.h"
#include "data/yaml.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::string_view kJsonPatch = "application/json-patch+json";
constexpr std::string_view kMergePatch = "application/merge-patch+json";
constexpr std::string_view kStrategicPatch = "application/strategic-merge-patch+json";
constexpr std::string_view kApplyPatch = "application/apply-patch+yaml";

std::string media_type(const ApiRequest& request) {
  const auto header = request.header("content-type");
  return to_lower(trim(header.substr(0, header.find(';'))));
}

std::vector<std::string> accepted_types(bool is_custom) {
  std::vector<std::string> types{std::string(kJsonPatch), std::string(kMergePatch)};
  if (!is_custom) types.emplace_back(kStrategicPatch);
  types.emplace_back(kApplyPatch);
  return types;
}

Status apply_conflict(const std::vector<kube::FieldConflict>& conflicts) {
  Status status{409, "Conflict", kube::conflict_message(conflicts), Json()};
  status.details = JsonObject{{"causes", kube::conflict_causes(conflicts)}};
  return status;
}

// What kubectl sends in resourceVersion of an apply or patch is a precondition like any other.
Json served_form(const Call& call, const Json& stored) {
  Json object = stored;
  if (needs_conversion(*call.type, call.info.version))
    to_served(*call.type, call.info.version, object);
  return object;
}

}  // namespace

Outcome<Json> Resources::patched(Call& call, const Json& existing) {
  const std::string type = media_type(call.request);
  auto body = data::parse_json(call.request.body);
  if (!body.ok()) {
    return Status::bad_request(fmt::format("error decoding patch: {}", body.error().message()));
  }
  const Json served = served_form(call, existing);
  Json result;
  if (type == kJsonPatch) {
    auto made = kube::json_patch(served, *body);
    if (!made.ok()) {
      Status status{
          422, "Invalid",
          fmt::format("the server rejected our request due to an error in our request: {}",
                      made.error().message()),
          JsonObject{}};
      return status;
    }
    result = std::move(*made);
  } else if (type == kMergePatch) {
    if (!body->is_object())
      return Status::bad_request("error decoding patch: a merge patch is an object");
    result = kube::merge_patch(served, *body);
  } else if (type == kStrategicPatch && !call.type->is_custom) {
    auto made = kube::strategic_merge(served, *body, call.type->kind);
    if (!made.ok()) return Status::bad_request(made.error().message());
    result = std::move(*made);
  } else {
    return Status::unsupported_media_type(type, accepted_types(call.type->is_custom));
  }
  if (kube::name_of(result) != kube::name_of(existing)) {
    FieldErrors errors;
    const auto* name = data::find(result, {"metadata", "name"});
    errors.invalid("metadata.name", name != nullptr ? *name : Json(""), "field is immutable");
    return Status::invalid(call.type->group, call.type->kind, kube::name_of(existing), errors);
  }
  TRY(check_fields(call, result));
  if (needs_conversion(*call.type, call.info.version))
    to_storage(*call.type, call.info.version, result);
  return result;
}

Outcome<ApiResponse> Resources::patch(Call& call) {
  if (call.info.name.empty()) return Status::method_not_allowed();
  if (media_type(call.request) == kApplyPatch) return apply(call);
  const Encoder encoder = TRY(encoder_of(call));
  const auto target =
      call.info.subresource == "status" ? UpdateTarget::kStatus : UpdateTarget::kMain;
  StoredPtr stored = TRY(update(
      call, call.key(), [&](const Json& existing) { return patched(call, existing); }, target));
  return respond(call, encoder, 200, *stored);
}

Outcome<ApiResponse> Resources::apply(Call& call) {
  const Encoder encoder = TRY(encoder_of(call));
  if (!call.request.has_param("fieldManager")) {
    FieldErrors errors;
    errors.required("fieldManager", "is required for apply patch");
    return Status::invalid("meta.k8s.io", "PatchOptions", "", errors);
  }
  auto parsed = data::parse_yaml(call.request.body);
  if (!parsed.ok())
    return Status::bad_request(fmt::format("error decoding YAML: {}", parsed.error().message()));
  Json wanted = std::move(*parsed);
  if (data::get_string(wanted, {"kind"}).empty()) {
    return Status::bad_request("Object 'Kind' is missing in the applied configuration");
  }
  if (data::get_string(wanted, {"kind"}) != call.type->kind) {
    return Status::bad_request(fmt::format("{} cannot be applied as a {}",
                                           data::get_string(wanted, {"kind"}), call.type->kind));
  }
  data::set(wanted, {"metadata", "name"}, Json(call.info.name));
  if (call.type->is_namespaced) data::set(wanted, {"metadata", "namespace"}, Json(call.info.ns));
  TRY(check_fields(call, wanted));
  call.is_apply = true;
  const auto types = field_types_of(call);
  const kube::Writer writer = writer_of(call, parts_.clock.wall());
  const bool is_forced = call.request.is_param_true("force");

  const auto merge = [&](const Json* live) -> Outcome<Json> {
    auto applied = kube::server_side_apply(live, wanted, *types, writer, is_forced);
    if (!applied.ok()) return Status::bad_request(applied.error().message());
    if (!applied->conflicts.empty()) return apply_conflict(applied->conflicts);
    Json object = std::move(applied->object);
    if (needs_conversion(*call.type, call.info.version))
      to_storage(*call.type, call.info.version, object);
    return object;
  };
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (parts_.store.get(call.type->bucket, call.key()) == nullptr) {
      if (call.info.subresource == "status") return call.not_found(call.info.name);
      auto created = create(call, TRY(merge(nullptr)));
      if (!created.ok() && created.error().reason == "AlreadyExists")
        continue;  // Lost a race: merge with it.
      return respond(call, encoder, 201, *TRY(std::move(created)));
    }
    const auto target =
        call.info.subresource == "status" ? UpdateTarget::kStatus : UpdateTarget::kMain;
    auto stored = update(
        call, call.key(),
        [&](const Json& existing) -> Outcome<Json> {
          const Json live = served_form(call, existing);
          return merge(&live);
        },
        target);
    if (!stored.ok() && stored.error().code == 404) continue;
    return respond(call, encoder, 200, *TRY(std::move(stored)));
  }
  return Status::conflict(call.type->group, call.type->plural, call.info.name,
                          "it keeps changing; try again");
}

}  // namespace lateen::cluster::apiserver
