// metadata.managedFields: who owns which field, kept up on every write (server-side apply reads
// it).
#pragma once

#include "cluster/apiserver/call.h"
#include "kube/apply.h"

namespace lateen::cluster::apiserver {

kube::Writer writer_of(const Call& call, WallTime now);
std::unique_ptr<const kube::FieldTypes> field_types_of(const Call& call);
void track_create(const Call& call, Json& object, WallTime now);
void track_update(const Call& call, const Json& existing, Json& next, WallTime now);
// Equal apart from managedFields: such an update is not written.
bool is_same_but_managed(const Json& existing, const Json& next);

}  // namespace lateen::cluster::apiserver
