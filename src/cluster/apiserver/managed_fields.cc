// See managed_fields.h. Ownership itself is kube/apply.h's; here is who the writer is.
#include "cluster/apiserver/managed_fields.h"

#include "base/strings.h"

namespace lateen::cluster::apiserver {

std::string manager_of(const Call& call) {
  if (!call.field_manager.empty()) return call.field_manager;
  const auto agent = call.request.header("user-agent");
  const auto first = agent.substr(0, agent.find('/'));
  return first.empty() ? "unknown" : std::string(first.substr(0, 128));
}

kube::Writer writer_of(const Call& call, WallTime now) {
  kube::Writer writer;
  writer.manager = manager_of(call);
  writer.api_version = call.type->api_version(call.info.version);
  writer.subresource = call.info.subresource;
  writer.now = format_rfc3339(now);
  const ServedVersion* served = call.type->version(call.info.version);
  writer.has_status = served != nullptr && served->has_status;
  return writer;
}

std::unique_ptr<const kube::FieldTypes> field_types_of(const Call& call) {
  if (!call.type->is_custom) return kube::builtin_types(call.type->kind);
  const ServedVersion* served = call.type->version(call.info.version);
  return kube::schema_types(served != nullptr && served->schema != nullptr ? *served->schema
                                                                           : Json());
}

void track_create(const Call& call, Json& object, WallTime now) {
  kube::track_update(nullptr, object, *field_types_of(call), writer_of(call, now));
}

void track_update(const Call& call, const Json& existing, Json& next, WallTime now) {
  kube::track_update(&existing, next, *field_types_of(call), writer_of(call, now));
}

bool is_same_but_managed(const Json& existing, const Json& next) {
  if (existing.if_object() == nullptr || next.if_object() == nullptr) return false;
  const auto& a = *existing.if_object();
  const auto& b = *next.if_object();
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a) {
    const auto* other = b.if_contains(key);
    if (other == nullptr) return false;
    if (key != "metadata") {
      if (!data::equal(value, *other)) return false;
      continue;
    }
    Json left = value;
    Json right = *other;
    data::erase(left, {"managedFields"});
    data::erase(right, {"managedFields"});
    if (!data::equal(left, right)) return false;
  }
  return true;
}

}  // namespace lateen::cluster::apiserver
