// The typed walks behind server-side apply: what an object sets, how two differ, merging and
// pruning. Private to kube/.
#pragma once

#include "kube/apply.h"

namespace lateen::kube {

// The fields an applied object sets. Fails on items without keys and on duplicates.
Result<FieldSet> fields_of(const Json& object, const FieldTypes& types);

struct Difference {
  FieldSet changed;  // added or modified
  FieldSet removed;
};
Difference compare(const Json& before, const Json& after, const FieldTypes& types);

Json typed_merge(const Json& live, const Json& applied, const FieldTypes& types);
// Removes from `object` what `last` has and `kept` does not own at or below it.
void prune(Json& object, const FieldSet& last, const FieldSet& kept, const FieldTypes& types);

}  // namespace lateen::kube
