// From a plan to Kubernetes objects: charts rendered with the values that the spec means, then the
// spec's Kubernetes settings and overlays laid over them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "install/spec.h"

namespace lateen::install {

// The objects of one enabled component, in install order.
struct ComponentManifest {
  Part part;
  std::string name;  // of a gateway; empty otherwise
  std::vector<Json> objects;
};

// The error names the component and what in the spec or chart is wrong.
Result<std::vector<ComponentManifest>> render(Charts& charts, const Plan& plan);
// The chart's values for one component: what `manifest generate` feeds it.
Json values_for(const Plan& plan, const PlannedComponent& component);

// Ownership labels: by them the operator finds what it manages, and istioctl what to remove.
void stamp(Json& object, const Plan& plan, Part part);

inline constexpr std::string_view kOwnerLabel = "install.operator.istio.io/owning-resource";
inline constexpr std::string_view kOwnerNamespaceLabel =
    "install.operator.istio.io/owning-resource-namespace";
inline constexpr std::string_view kComponentLabel = "operator.istio.io/component";
inline constexpr std::string_view kManagedLabel = "operator.istio.io/managed";
inline constexpr std::string_view kVersionLabel = "operator.istio.io/version";
inline constexpr std::string_view kRevisionLabel = "istio.io/rev";

}  // namespace lateen::install
