// The Kubernetes settings of a component (components.X.k8s) and its overlays, laid over rendered
// objects.
#pragma once

#include "install/manifest.h"

namespace lateen::install {

// The error names the setting. Settings for objects that the chart did not make (an HPA that is
// switched off) are left out; an overlay for one is an error.
Result<> apply_kubernetes_settings(ComponentManifest& manifest, const PlannedComponent& component,
                                   const Plan& plan);

// Sets (or with null removes) the value at an overlay's path:
// "spec.template.spec.containers.[name:x].args.[0]".
Result<> patch_path(Json& object, std::string_view path, const Json* value);

}  // namespace lateen::install
