// Applying several objects at once, in the order that lets them refer to each other: namespaces and
// CRDs first.
#pragma once

#include <string>
#include <vector>

#include "kube/client.h"

namespace lateen::kube {

// Sorts by what others depend on (Namespace, CustomResourceDefinition, ServiceAccount, RBAC,
// ConfigMap, Secret, Service, …, workloads, the rest), keeping the order within a kind. Pure.
void sort_for_apply(std::vector<Json>& objects);

// Server-side applies all of them with force. Objects without a namespace get `ns` when their kind
// is namespaced. A kind that is not served yet (its CRD was just applied) is tried again for up to
// 10 s. `tell` gets one line an object: "deployment.apps/x serverside-applied". Stops at the first
// error, which names the object. Blocks.
Result<> apply_all(Client& client, std::vector<Json> objects, std::string_view ns,
                   std::string_view field_manager, const Function<void(const std::string&)>& tell);

}  // namespace lateen::kube
