// Creates and updates: decode, default, admit, validate, store.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cluster/apiserver/custom.h"
#include "cluster/apiserver/managed_fields.h"
#include "cluster/apiserver/protobuf.h"
#include "cluster/apiserver/resources.h"
#include "cluster/apiserver/service_addresses.h"
#include "cluster/apiserver/strategy.h"
#include "data/yaml.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr int kMostAttempts = 6;
constexpr std::string_view kModified =
    "the object has been modified; please apply your changes to the latest version and try again";

std::string stamp_of(const Clock& clock) { return format_rfc3339(clock.wall()); }

bool is_empty_metadata(const Json& object, std::string_view field) {
  return data::get_array(object, {"metadata", field}).empty();
}

// metadata and status never count for metadata.generation.
bool is_spec_changed(const Json& before, const Json& after) {
  const auto* a = before.if_object();
  const auto* b = after.if_object();
  if (a == nullptr || b == nullptr) return true;
  const auto counts = [](std::string_view key) {
    return key != "metadata" && key != "status" && key != "apiVersion" && key != "kind";
  };
  std::size_t count_a = 0;
  std::size_t count_b = 0;
  for (const auto& [key, value] : *a) {
    if (!counts(key)) continue;
    ++count_a;
    const auto* other = b->if_contains(key);
    if (other == nullptr || !data::equal(value, *other)) return true;
  }
  for (const auto& [key, value] : *b) count_b += counts(key) ? 1 : 0;
  return count_a != count_b;
}

// A deleting object with nothing left to wait for.
bool is_ready_to_go(const ResourceType& type, const Json& object) {
  if (!kube::is_deleting(object) || !is_empty_metadata(object, "finalizers")) return false;
  if (type.bucket == "/namespaces" && !data::get_array(object, {"spec", "finalizers"}).empty())
    return false;
  return data::get_int(object, {"metadata", "deletionGracePeriodSeconds"}) == 0;
}

void keep_metadata(const Json& existing, Json& wanted) {
  auto& metadata = data::ensure_object(wanted, {"metadata"});
  const auto& before = data::get_object(existing, {"metadata"});
  for (std::string_view field :
       {"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp",
        "deletionGracePeriodSeconds", "generation", "resourceVersion"}) {
    if (const Json* value = before.if_contains(field)) {
      metadata[field] = *value;
    } else {
      metadata.erase(field);
    }
  }
  for (std::string_view gone : {"selfLink", "generateName"}) {
    if (const Json* value = before.if_contains(gone)) metadata[gone] = *value;
    else metadata.erase(gone);
  }
}

// Null and empty maps and lists in metadata are as good as absent.
void drop_null_metadata(Json& object) {
  auto& metadata = data::ensure_object(object, {"metadata"});
  std::vector<std::string> gone;
  for (const auto& [key, value] : metadata) {
    const bool is_empty_map = (key == "labels" || key == "annotations") &&
                              value.if_object() != nullptr && value.if_object()->empty();
    const bool is_empty_list = (key == "ownerReferences" || key == "finalizers") &&
                               value.if_array() != nullptr && value.if_array()->empty();
    if (value.is_null() || is_empty_map || is_empty_list) gone.emplace_back(key);
  }
  for (const auto& key : gone) metadata.erase(key);
}

// An object on its way out takes no further finalizers.
void check_finalizers(const Json& existing, const Json& wanted, FieldErrors& errors) {
  if (!kube::is_deleting(existing)) return;
  const auto& before = data::get_array(existing, {"metadata", "finalizers"});
  std::string added;
  for (const auto& one : data::get_array(wanted, {"metadata", "finalizers"})) {
    const bool is_known = std::any_of(before.begin(), before.end(), [&](const Json& other) {
      return data::as_string(other) == data::as_string(one);
    });
    if (!is_known)
      added += fmt::format("{}\"{}\"", added.empty() ? "" : ", ", data::as_string(one));
  }
  if (added.empty()) return;
  errors.forbidden("metadata.finalizers",
                   fmt::format("no new finalizers can be added if the object is being deleted, "
                               "found new finalizers []string{{{}}}",
                               added));
}

void replace_part(Json& object, std::string_view part, const Json& from) {
  auto* target = object.if_object();
  if (target == nullptr) return;
  if (const Json* value = data::find(from, {part})) {
    (*target)[part] = *value;
  } else {
    target->erase(part);
  }
}

}  // namespace

Outcome<Json> Resources::decode(Call& call, std::string_view body) {
  const auto content_type = call.request.header("content-type");
  if (content_type.find("cbor") != std::string_view::npos) {
    return Status::unsupported_media_type(content_type, {"application/json", "application/yaml"});
  }
  auto parsed = parse_any_body(content_type, body);
  if (!parsed.ok()) {
    return Status::bad_request(
        fmt::format("the object provided is unrecognized (must be of type {}): "
                    "couldn't get version/kind; json parse error: {}",
                    call.type->kind, parsed.error().message()));
  }
  Json object = std::move(*parsed);
  if (!object.is_object()) {
    return Status::bad_request(
        "the object provided is unrecognized: couldn't get version/kind; json parse "
        "error: it is not an object");
  }
  const auto kind = data::get_string(object, {"kind"});
  const auto api_version = data::get_string(object, {"apiVersion"});
  const std::string expected = call.type->api_version(call.info.version);
  if (!kind.empty() && kind != call.type->kind) {
    return Status::bad_request(
        fmt::format("{} in version \"{}\" cannot be handled as a {}: no kind match", kind,
                    api_version, call.type->kind));
  }
  if (!api_version.empty() && api_version != expected) {
    return Status::bad_request(
        fmt::format("the API version in the data ({}) does not match the expected API version ({})",
                    api_version, expected));
  }
  data::set(object, {"kind"}, Json(call.type->kind));
  data::set(object, {"apiVersion"}, Json(expected));
  TRY(check_fields(call, object));
  drop_null_metadata(object);
  if (needs_conversion(*call.type, call.info.version))
    to_storage(*call.type, call.info.version, object);
  return object;
}

Outcome<ApiResponse> Resources::post(Call& call) {
  const Encoder encoder = TRY(encoder_of(call));
  if (!call.info.name.empty()) return Status::method_not_allowed();
  Json object = TRY(decode(call, call.request.body));
  StoredPtr stored = TRY(create(call, std::move(object)));
  return respond(call, encoder, 201, *stored);
}

Outcome<> Resources::check_names(Call& call, Json& object) const {
  auto& metadata = data::ensure_object(object, {"metadata"});
  if (call.type->is_namespaced) {
    const auto ns = kube::namespace_of(object);
    if (call.info.ns.empty())
      return Status::bad_request("an empty namespace may not be set during creation");
    if (!ns.empty() && ns != call.info.ns) {
      return Status::bad_request(
          "the namespace of the provided object does not match the namespace sent on the request");
    }
    metadata["namespace"] = call.info.ns;
  } else {
    metadata.erase("namespace");
  }
  return {};
}

void Resources::fill_system_fields(const Call& call, Json& object) const {
  auto& metadata = data::ensure_object(object, {"metadata"});
  const auto generate = data::get_string(object, {"metadata", "generateName"});
  if (kube::name_of(object).empty() && !generate.empty()) {
    metadata["name"] = fmt::format("{}{}", generate.substr(0, 58), parts_.random.suffix());
  }
  metadata["uid"] = parts_.random.uuid();
  metadata["creationTimestamp"] = stamp_of(parts_.clock);
  for (std::string_view gone : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
                                "resourceVersion", "generation"}) {
    metadata.erase(gone);
  }
  if (call.type->has_generation) metadata["generation"] = 1;
}

Outcome<StoredPtr> Resources::create(Call& call, Json object) {
  if (!kube::resource_version_of(object).empty()) {
    return Status::bad_request("resourceVersion should not be set on objects to be created");
  }
  TRY(check_names(call, object));
  fill_system_fields(call, object);
  const Strategy& strategy = strategy_for(*call.type);
  if (strategy.set_defaults != nullptr) strategy.set_defaults(object);
  default_custom(call, object);

  AdmissionAttributes attributes{
      call, Operation::kCreate, call.info.ns, std::string(kube::name_of(object)), nullptr, {}};
  TRY(parts_.admission.mutate(attributes, object));
  if (strategy.set_defaults != nullptr) strategy.set_defaults(object);
  const ServedVersion* served = call.type->version(call.info.version);
  const bool drops_status =
      served != nullptr && served->has_status && !strategy.keeps_status_on_create;
  if (drops_status) data::erase(object, {"status"});
  if (strategy.prepare_create != nullptr) strategy.prepare_create(object);
  default_custom(call, object);

  FieldErrors errors;
  validate_metadata(*call.type, object, errors);
  validate_custom(call, object, nullptr, errors);
  if (strategy.validate != nullptr) strategy.validate(object, nullptr, errors);
  const std::string name(kube::name_of(object));
  if (!errors.empty()) return Status::invalid(call.type->group, call.type->kind, name, errors);
  TRY(parts_.admission.validate(attributes, object));
  if (!call.is_apply) track_create(call, object, parts_.clock.wall());

  const kube::Key key{call.type->is_namespaced ? call.info.ns : std::string(), name};
  if (parts_.store.get(call.type->bucket, key) != nullptr) {
    return Status::already_exists(call.type->group, call.type->plural, name);
  }
  ServiceAddresses::Claim claim;
  if (call.type->bucket == "/services") claim = TRY(parts_.services.claim_for_create(object));
  if (call.is_dry_run) return unstored(key, 0, std::move(object));
  auto created = parts_.store.create(call.type->bucket, key, std::move(object));
  if (created.ok()) {
    claim.keep();
    return *created;
  }
  if (created.error().code() == Code::kAlreadyExists) {
    return Status::already_exists(call.type->group, call.type->plural, name);
  }
  return created.error();
}

StoredPtr Resources::unstored(const kube::Key& key, std::int64_t revision, Json value) const {
  auto object = std::make_shared<StoredObject>();
  object->key = key;
  object->revision = revision;
  object->text = data::dump_json(value);
  object->value = std::move(value);
  return object;
}

Outcome<ApiResponse> Resources::put(Call& call) {
  const Encoder encoder = TRY(encoder_of(call));
  const Json object = TRY(decode(call, call.request.body));
  const auto name = kube::name_of(object);
  if (name != call.info.name) {
    return Status::bad_request(
        fmt::format("the name of the object ({}) does not match the name on the URL ({})", name,
                    call.info.name));
  }
  const auto ns = kube::namespace_of(object);
  if (call.type->is_namespaced && !ns.empty() && ns != call.info.ns) {
    return Status::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request");
  }
  const auto target =
      call.info.subresource == "status" ? UpdateTarget::kStatus : UpdateTarget::kMain;
  if (call.type->is_custom && kube::resource_version_of(object).empty()) {
    FieldErrors errors;
    errors.invalid("metadata.resourceVersion", Json(0), "must be specified for an update");
    return Status::invalid(call.type->group, call.type->plural, call.info.name, errors);
  }
  StoredPtr stored = TRY(update(
      call, call.key(), [&](const Json&) -> Outcome<Json> { return object; }, target));
  return respond(call, encoder, 200, *stored);
}

Outcome<StoredPtr> Resources::update(Call& call, const kube::Key& key, const Transform& transform,
                                     UpdateTarget target) {
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    StoredPtr existing = parts_.store.get(call.type->bucket, key);
    if (existing == nullptr) return call.not_found(key.name);
    Json wanted = TRY(transform(existing->value));
    const auto expected = kube::resource_version_of(wanted);
    if (!expected.empty() && expected != kube::resource_version_of(existing->value)) {
      return Status::conflict(call.type->group, call.type->plural, key.name, kModified);
    }
    const bool is_conditional = !expected.empty() && call.request.method == "PUT";
    Json next = TRY(next_state(call, existing->value, std::move(wanted), target));
    auto stored = store_update(call, key, *existing, std::move(next));
    if (stored.ok() || stored.error().reason != "Conflict" || is_conditional) return stored;
  }
  return Status::conflict(call.type->group, call.type->plural, key.name, kModified);
}

Outcome<Json> Resources::next_state(Call& call, const Json& existing, Json wanted,
                                    UpdateTarget target) {
  const auto uid = kube::uid_of(wanted);
  if (!uid.empty() && uid != kube::uid_of(existing)) {
    return Status::conflict(
        call.type->group, call.type->plural, kube::name_of(existing),
        fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid,
                    kube::uid_of(existing)));
  }
  drop_null_metadata(wanted);
  keep_metadata(existing, wanted);
  const ServedVersion* served = call.type->version(call.info.version);
  const bool has_status = served != nullptr && served->has_status;
  if (target == UpdateTarget::kStatus) {
    Json only_status = existing;
    replace_part(only_status, "status", wanted);
    if (const Json* fields = data::find(wanted, {"metadata", "managedFields"})) {
      data::set(only_status, {"metadata", "managedFields"}, *fields);
    }
    wanted = std::move(only_status);
  } else if (has_status && target == UpdateTarget::kMain) {
    replace_part(wanted, "status", existing);
  }
  const Strategy& strategy = strategy_for(*call.type);
  if (strategy.set_defaults != nullptr) strategy.set_defaults(wanted);
  default_custom(call, wanted);

  AdmissionAttributes attributes{
      call, Operation::kUpdate, call.info.ns, std::string(kube::name_of(existing)), &existing, {}};
  TRY(parts_.admission.mutate(attributes, wanted));
  keep_metadata(existing, wanted);
  if (strategy.set_defaults != nullptr) strategy.set_defaults(wanted);
  if (strategy.prepare_update != nullptr && target == UpdateTarget::kMain) {
    strategy.prepare_update(wanted, existing);
  }
  default_custom(call, wanted);

  FieldErrors errors;
  validate_metadata(*call.type, wanted, errors);
  check_finalizers(existing, wanted, errors);
  validate_custom(call, wanted, &existing, errors);
  if (strategy.validate != nullptr && target == UpdateTarget::kMain)
    strategy.validate(wanted, &existing, errors);
  if (!errors.empty()) {
    return Status::invalid(call.type->group, call.type->kind, kube::name_of(existing), errors);
  }
  TRY(parts_.admission.validate(attributes, wanted));
  if (call.type->has_generation && target == UpdateTarget::kMain &&
      is_spec_changed(existing, wanted)) {
    data::set(wanted, {"metadata", "generation"},
              Json(data::get_int(existing, {"metadata", "generation"}) + 1));
  }
  return wanted;
}

Outcome<StoredPtr> Resources::store_update(Call& call, const kube::Key& key,
                                           const StoredObject& existing, Json next) {
  const bool is_going = is_ready_to_go(*call.type, next);
  // Clients that take fields over from another manager change nothing but this.
  const Json* sent = data::find(std::as_const(next), {"metadata", "managedFields"});
  const Json* known = data::find(existing.value, {"metadata", "managedFields"});
  const bool takes_over =
      !call.is_apply && sent != nullptr && (known == nullptr || !data::equal(*sent, *known));
  if (!is_going && !takes_over && is_same_but_managed(existing.value, next)) {
    return unstored(key, existing.revision, existing.value);
  }
  // An apply has done its own bookkeeping.
  if (!call.is_apply) track_update(call, existing.value, next, parts_.clock.wall());
  ServiceAddresses::Claim claim;
  if (call.type->bucket == "/services") {
    claim = TRY(parts_.services.claim_for_update(existing.value, next));
  }
  if (call.is_dry_run) return unstored(key, existing.revision, std::move(next));
  auto stored =
      is_going ? parts_.store.remove(call.type->bucket, key, existing.revision, &next)
               : parts_.store.update(call.type->bucket, key, std::move(next), existing.revision);
  if (stored.ok()) {
    claim.keep();
    if (is_going && call.type->bucket == "/services") parts_.services.release(existing.value);
    return *stored;
  }
  if (stored.error().code() == Code::kAborted) {
    return Status::conflict(call.type->group, call.type->plural, key.name, kModified);
  }
  if (stored.error().code() == Code::kNotFound) return call.not_found(key.name);
  return stored.error();
}

}  // namespace lateen::cluster::apiserver
