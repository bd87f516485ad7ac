// Deletes: preconditions, grace periods of pods, finalizers, propagation policies, collections.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cluster/apiserver/resources.h"
#include "cluster/apiserver/service_addresses.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::string_view kOrphanFinalizer = "orphan";
constexpr std::string_view kForegroundFinalizer = "foregroundDeletion";

bool has_finalizer(const JsonArray& finalizers, std::string_view name) {
  return std::any_of(finalizers.begin(), finalizers.end(),
                     [&](const Json& one) { return data::as_string(one) == name; });
}

// Finalizers as the propagation policy wants them.
JsonArray finalizers_for(const Json& object, std::string_view propagation) {
  JsonArray wanted;
  for (const auto& one : data::get_array(object, {"metadata", "finalizers"})) {
    const auto name = data::as_string(one);
    if (name == kOrphanFinalizer && (propagation == "Background" || propagation == "Foreground"))
      continue;
    if (name == kForegroundFinalizer && (propagation == "Background" || propagation == "Orphan"))
      continue;
    wanted.push_back(one);
  }
  if (propagation == "Orphan" && !has_finalizer(wanted, kOrphanFinalizer)) {
    wanted.emplace_back(kOrphanFinalizer);
  }
  if (propagation == "Foreground" && !has_finalizer(wanted, kForegroundFinalizer)) {
    wanted.emplace_back(kForegroundFinalizer);
  }
  return wanted;
}

// Seconds a pod gets to stop; 0 for everything else and for pods that run nowhere.
std::int64_t grace_of(const ResourceType& type, const Json& object, const DeleteSpec& spec) {
  if (type.bucket != "/pods") return 0;
  const auto phase = data::get_string(object, {"status", "phase"});
  if (data::get_string(object, {"spec", "nodeName"}).empty() || phase == "Succeeded" ||
      phase == "Failed")
    return 0;
  if (spec.grace_seconds) return std::max<std::int64_t>(0, *spec.grace_seconds);
  return data::get_int(object, {"spec", "terminationGracePeriodSeconds"}, 30);
}

}  // namespace

Outcome<DeleteSpec> DeleteSpec::parse(const ApiRequest& request) {
  DeleteSpec spec;
  if (const auto seconds = parse_int(request.param("gracePeriodSeconds")))
    spec.grace_seconds = *seconds;
  spec.propagation = request.param("propagationPolicy");
  if (request.is_param_true("orphanDependents")) spec.propagation = "Orphan";
  if (!request.body.empty()) {
    auto body = parse_any_body(request.header("content-type"), request.body);
    if (!body.ok()) {
      return Status::bad_request(
          fmt::format("couldn't decode DeleteOptions: {}", body.error().message()));
    }
    if (const Json* grace = data::find(*body, {"gracePeriodSeconds"});
        grace != nullptr && !grace->is_null()) {
      spec.grace_seconds = data::as_int(*grace);
    }
    if (const auto text = data::get_string(*body, {"propagationPolicy"}); !text.empty())
      spec.propagation = text;
    if (data::get_bool(*body, {"orphanDependents"})) spec.propagation = "Orphan";
    spec.uid = data::get_string(*body, {"preconditions", "uid"});
    spec.resource_version = data::get_string(*body, {"preconditions", "resourceVersion"});
    for (const auto& one : data::get_array(*body, {"dryRun"}))
      spec.is_dry_run = spec.is_dry_run || data::as_string(one) == "All";
  }
  constexpr std::string_view known[] = {"", "Orphan", "Foreground", "Background"};
  if (std::find(std::begin(known), std::end(known), spec.propagation) == std::end(known)) {
    FieldErrors errors;
    errors.unsupported("propagationPolicy", Json(spec.propagation),
                       {"Background", "Foreground", "Orphan"});
    return Status::invalid("meta.k8s.io", "DeleteOptions", "", errors);
  }
  return spec;
}

Outcome<Resources::Removed> Resources::remove(Call& call, const kube::Key& key,
                                              const DeleteSpec& spec) {
  const auto& type = *call.type;
  constexpr int kMostAttempts = 8;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    StoredPtr existing = parts_.store.get(type.bucket, key);
    if (existing == nullptr) return call.not_found(key.name);
    const Json& object = existing->value;
    if (!spec.uid.empty() && spec.uid != kube::uid_of(object)) {
      return Status::conflict(
          type.group, type.plural, key.name,
          fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}",
                      spec.uid, kube::uid_of(object)));
    }
    if (!spec.resource_version.empty() &&
        spec.resource_version != kube::resource_version_of(object)) {
      return Status::conflict(
          type.group, type.plural, key.name,
          fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion "
                      "in object meta: {}",
                      spec.resource_version, kube::resource_version_of(object)));
    }
    if (attempt == 0) {
      AdmissionAttributes attributes{call, Operation::kDelete, key.ns, key.name, &object, {}};
      Json none;
      TRY(parts_.admission.mutate(attributes, none));
      TRY(parts_.admission.validate(attributes, none));
    }
    const std::int64_t grace = grace_of(type, object, spec);
    const JsonArray finalizers = finalizers_for(object, spec.propagation);
    const bool is_namespace_full =
        type.bucket == "/namespaces" && !data::get_array(object, {"spec", "finalizers"}).empty();
    const bool was_deleting = kube::is_deleting(object);

    if (finalizers.empty() && grace == 0 && !is_namespace_full) {
      if (call.is_dry_run) return Removed{existing, true};
      auto removed = parts_.store.remove(type.bucket, key, existing->revision);
      if (removed.ok()) {
        if (type.bucket == "/services") parts_.services.release(object);
        return Removed{*removed, true};
      }
      if (removed.error().code() == Code::kAborted) continue;
      if (removed.error().code() == Code::kNotFound) return call.not_found(key.name);
      return removed.error();
    }

    Json next = object;
    auto& metadata = data::ensure_object(next, {"metadata"});
    if (finalizers.empty()) metadata.erase("finalizers");
    else metadata["finalizers"] = finalizers;
    const bool shortens =
        was_deleting && grace < data::get_int(object, {"metadata", "deletionGracePeriodSeconds"});
    if (!was_deleting || shortens) {
      metadata["deletionTimestamp"] = format_rfc3339(parts_.clock.wall() + seconds(grace));
      metadata["deletionGracePeriodSeconds"] = grace;
      if (type.has_generation && !was_deleting) {
        data::set(next, {"metadata", "generation"},
                  Json(data::get_int(object, {"metadata", "generation"}) + 1));
      }
    }
    if (type.bucket == "/namespaces") data::set(next, {"status", "phase"}, Json("Terminating"));
    if (data::equal(next, object)) return Removed{existing, false};
    if (call.is_dry_run) return Removed{unstored(key, existing->revision, std::move(next)), false};
    auto updated = parts_.store.update(type.bucket, key, std::move(next), existing->revision);
    if (updated.ok()) return Removed{*updated, false};
    if (updated.error().code() != Code::kAborted) return updated.error();
  }
  return Status::conflict(type.group, type.plural, key.name, "it keeps changing; try again");
}

Outcome<ApiResponse> Resources::remove_one(Call& call) {
  const DeleteSpec spec = TRY(DeleteSpec::parse(call.request));
  call.is_dry_run = call.is_dry_run || spec.is_dry_run;
  const Encoder encoder = TRY(encoder_of(call));
  const Removed removed = TRY(remove(call, call.key(), spec));
  // Pods and namespaces answer with the object, as upstream; most others with a Status once they
  // are gone.
  const bool answers_object = !removed.is_gone || call.type->bucket == "/pods" ||
                              call.type->bucket == "/services" ||
                              call.type->bucket == "/serviceaccounts";
  if (answers_object) return respond(call, encoder, 200, *removed.object);
  JsonObject details{{"name", call.info.name}};
  if (!call.type->group.empty()) details["group"] = call.type->group;
  details["kind"] = call.type->plural;
  details["uid"] = kube::uid_of(removed.object->value);
  return ApiResponse::json(200, JsonObject{{"kind", "Status"},
                                           {"apiVersion", "v1"},
                                           {"metadata", JsonObject{}},
                                           {"status", "Success"},
                                           {"details", std::move(details)}});
}

Outcome<ApiResponse> Resources::remove_collection(Call& call) {
  const DeleteSpec spec = TRY(DeleteSpec::parse(call.request));
  call.is_dry_run = call.is_dry_run || spec.is_dry_run;
  const Encoder encoder = TRY(encoder_of(call));
  const Filter filter = TRY(filter_of(call));
  auto listing = parts_.store.list(call.type->bucket, filter.ns);
  std::vector<StoredPtr> removed;
  for (const auto& item : listing.items) {
    if (!filter.matches(*item)) continue;
    auto one = remove(call, item->key, spec);
    if (!one.ok() && one.error().code == 404) continue;  // Somebody else was faster.
    removed.push_back(TRY(std::move(one)).object);
  }
  ApiResponse response;
  response.content_type = encoder.content_type();
  response.body = encoder.list(removed, {parts_.store.revision(), {}, 0});
  return response;
}

}  // namespace lateen::cluster::apiserver
