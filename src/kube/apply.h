// Server-side apply and field ownership (KEP-555): who set which field, in metadata.managedFields.
// Pure functions, used by the API server on every write.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kube/field_set.h"
#include "kube/patch.h"

namespace lateen::kube {

// What a kind's schema says about merging. Paths are dotted, without indices. Immutable,
// thread-safe.
class FieldTypes {
 public:
  virtual ~FieldTypes() = default;
  virtual ListKind list(std::string_view path) const = 0;
  virtual bool is_atomic(std::string_view path) const = 0;  // of an object
  // The value of an absent key of an associative list's item ("protocol" is TCP); null when it has
  // none.
  virtual Json key_default(std::string_view path, std::string_view key) const = 0;
};
std::unique_ptr<const FieldTypes> builtin_types(std::string_view kind);
// From a CRD version's openAPIV3Schema (x-kubernetes-list-type, -list-map-keys, -map-type).
// `schema` is copied. Null or missing: maps by key, lists atomic.
std::unique_ptr<const FieldTypes> schema_types(const Json& schema);

// Who writes, and through which door.
struct Writer {
  std::string manager;      // fieldManager, or the user agent's first word
  std::string api_version;  // of the request
  std::string subresource;  // "status", "scale"; empty for the object itself
  std::string now;          // RFC 3339
  // The kind has a status subresource: writes through the main door do not own status.
  bool has_status = true;
};

struct FieldConflict {
  std::string manager;  // "\"kubectl\" using apps/v1", as the message prints it
  std::string field;    // ".spec.replicas"
};

struct Applied {
  Json object;                           // with its managedFields
  std::vector<FieldConflict> conflicts;  // not empty: nothing may be written (answer 409)
};

// Merges `applied` into `live` (null: the object does not exist yet). Fields that the manager
// applied before and no longer names are removed unless someone else owns them. Fails on malformed
// associative lists or when `applied` brings managedFields.
Result<Applied> server_side_apply(const Json* live, const Json& applied, const FieldTypes& types,
                                  const Writer& writer, bool is_forced);
// "Apply failed with 1 conflict: conflict with …: .spec.x" — and the causes of the Status.
std::string conflict_message(const std::vector<FieldConflict>& conflicts);
Json conflict_causes(const std::vector<FieldConflict>& conflicts);

// After create, update or a patch other than apply: records in `object` that `writer` owns what it
// changed compared to `live` (null: created). managedFields sent by the client replace the stored
// ones; an empty list
// ([{}] or []) resets them.
void track_update(const Json* live, Json& object, const FieldTypes& types, const Writer& writer);

}  // namespace lateen::kube
