// Reads and writes of the metadata, owners and conditions that all kinds share.
#include "kube/object.h"

namespace lateen::kube {

std::string Resource::path(std::string_view ns, std::string_view name,
                           std::string_view subresource) const {
  std::string out = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (is_namespaced && !ns.empty()) out.append("/namespaces/").append(ns);
  out.append("/").append(plural);
  if (!name.empty()) out.append("/").append(name);
  if (!subresource.empty()) out.append("/").append(subresource);
  return out;
}

std::string_view api_version_of(const Json& object) {
  return data::get_string(object, {"apiVersion"});
}
std::string_view kind_of(const Json& object) { return data::get_string(object, {"kind"}); }
std::string_view name_of(const Json& object) {
  return data::get_string(object, {"metadata", "name"});
}
std::string_view namespace_of(const Json& object) {
  return data::get_string(object, {"metadata", "namespace"});
}
std::string_view uid_of(const Json& object) {
  return data::get_string(object, {"metadata", "uid"});
}
std::string_view resource_version_of(const Json& object) {
  return data::get_string(object, {"metadata", "resourceVersion"});
}

Key key_of(const Json& object) {
  return {std::string(namespace_of(object)), std::string(name_of(object))};
}

bool is_deleting(const Json& object) {
  return !data::get_string(object, {"metadata", "deletionTimestamp"}).empty();
}

std::string_view label(const Json& object, std::string_view name) {
  return data::get_string(object, {"metadata", "labels", name});
}
std::string_view annotation(const Json& object, std::string_view name) {
  return data::get_string(object, {"metadata", "annotations", name});
}
const data::JsonObject& labels_of(const Json& object) {
  return data::get_object(object, {"metadata", "labels"});
}
const data::JsonObject& annotations_of(const Json& object) {
  return data::get_object(object, {"metadata", "annotations"});
}
void set_label(Json& object, std::string_view name, std::string_view value) {
  data::set(object, {"metadata", "labels", name}, Json(value));
}
void set_annotation(Json& object, std::string_view name, std::string_view value) {
  data::set(object, {"metadata", "annotations", name}, Json(value));
}

const Json* controller_of(const Json& object) {
  for (const Json& owner : data::get_array(object, {"metadata", "ownerReferences"})) {
    if (data::get_bool(owner, {"controller"})) return &owner;
  }
  return nullptr;
}

Json owner_reference(const Json& owner) {
  return {{"apiVersion", api_version_of(owner)},
          {"kind", kind_of(owner)},
          {"name", name_of(owner)},
          {"uid", uid_of(owner)},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

const Json* condition(const Json& object, std::string_view type) {
  for (const Json& entry : data::get_array(object, {"status", "conditions"})) {
    if (data::get_string(entry, {"type"}) == type) return &entry;
  }
  return nullptr;
}

bool set_condition(Json& object, std::string_view type, std::string_view status,
                   std::string_view reason, std::string_view message,
                   std::string_view now_rfc3339) {
  data::JsonObject& parent = data::ensure_object(object, {"status"});
  Json& list = parent["conditions"];
  if (!list.is_array()) list.emplace_array();
  data::JsonArray& entries = *list.if_array();

  for (Json& entry : entries) {
    if (data::get_string(entry, {"type"}) != type) continue;
    const bool is_flipped = data::get_string(entry, {"status"}) != status;
    if (!is_flipped && data::get_string(entry, {"reason"}) == reason &&
        data::get_string(entry, {"message"}) == message) {
      return false;
    }
    data::set(entry, {"status"}, Json(status));
    data::set(entry, {"reason"}, Json(reason));
    data::set(entry, {"message"}, Json(message));
    if (is_flipped || data::find(entry, {"lastTransitionTime"}) == nullptr) {
      data::set(entry, {"lastTransitionTime"}, Json(now_rfc3339));
    }
    return true;
  }
  entries.push_back(Json{{"type", type},
                         {"status", status},
                         {"reason", reason},
                         {"message", message},
                         {"lastTransitionTime", now_rfc3339}});
  return true;
}

}  // namespace lateen::kube
