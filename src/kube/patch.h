// The four ways to patch an object. Pure functions on values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::kube {

using data::Json;

// RFC 6902. The error names the operation's index.
Result<Json> json_patch(const Json& target, const Json& operations);
// RFC 7386.
Json merge_patch(Json target, const Json& patch);
// RFC 7386 patch that turns `from` into `to`.
Json make_merge_patch(const Json& from, const Json& to);
// Kubernetes' strategic merge: lists with a merge key (containers by name, ports by containerPort,
// …) merge by it; $patch: delete|replace|merge, $deleteFromPrimitiveList, $setElementOrder,
// $retainKeys. `kind` picks the table of merge keys.
Result<Json> strategic_merge(const Json& target, const Json& patch, std::string_view kind);

// How lists merge, by field path ("spec.template.spec.containers"): the key fields of an
// associative list; empty for a set of scalars; nullopt: atomic. One table serves strategic merge,
// server-side apply and injection.
struct ListKind {
  enum class Type : unsigned char { kAtomic, kSet, kMap } type = Type::kAtomic;
  std::vector<std::string> keys;
};

// Of built-in kinds. `path` is dotted, without indices and keys:
// "spec.template.spec.containers.ports".
ListKind strategic_list(std::string_view kind, std::string_view path);  // patchMergeKey
ListKind apply_list(std::string_view kind, std::string_view path);      // x-kubernetes-list-type
// Objects that server-side apply owns as a whole (x-kubernetes-map-type: atomic).
bool is_atomic_object(std::string_view kind, std::string_view path);

}  // namespace lateen::kube
