// Which pods stand behind a Service: Endpoints and EndpointSlices as pure functions of Service and
// pods.
#pragma once

#include <vector>

#include "data/json.h"
#include "kube/informer.h"

namespace lateen::cluster::controllers {

using data::Json;
using kube::ObjectPtr;

inline constexpr std::size_t kMaxSliceEndpoints = 100;

// Pods of the Service's namespace that its selector picks and that have an address and have not
// finished.
std::vector<ObjectPtr> backends_of(const Json& service, const std::vector<ObjectPtr>& pods);

// "subsets" of the v1 Endpoints object. `pods` come from backends_of().
data::JsonArray subsets_for(const Json& service, const std::vector<ObjectPtr>& pods);

// Slices without metadata.name: addressType, ports, endpoints; sorted, at most kMaxSliceEndpoints
// each.
std::vector<Json> slices_for(const Json& service, const std::vector<ObjectPtr>& pods);
// The same from a hand-written Endpoints object (for Services without a selector).
std::vector<Json> mirrored_slices(const Json& endpoints);

// What of a pod matters here: equal texts mean no Service can see the difference.
std::string backend_view(const Json& pod);

}  // namespace lateen::cluster::controllers
