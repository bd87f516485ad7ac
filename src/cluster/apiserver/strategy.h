// What is particular to one kind: defaults, what a create or update starts from, and its
// validation.
#pragma once

#include <string_view>

#include "cluster/apiserver/registry.h"
#include "cluster/apiserver/status.h"

namespace lateen::cluster::apiserver {

// Any member may be null. Objects are in the storage version.
struct Strategy {
  void (*set_defaults)(Json& object) = nullptr;
  void (*prepare_create)(Json& object) = nullptr;  // after status was dropped
  void (*prepare_update)(Json& object, const Json& old) = nullptr;
  void (*validate)(const Json& object, const Json* old,
                   FieldErrors& errors) = nullptr;  // old: updates only
  bool keeps_status_on_create = false;
};
const Strategy& strategy_for(const ResourceType& type);

// What all kinds share: names, labels, annotations, finalizers, owner references.
void validate_metadata(const ResourceType& type, const Json& object, FieldErrors& errors);
void validate_labels(const Json* labels, const std::string& path, FieldErrors& errors);

}  // namespace lateen::cluster::apiserver
