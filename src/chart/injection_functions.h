// The functions that Istio adds to sprig's for injection templates (pkg/kube/inject/template.go).
#pragma once

#include "chart/template.h"

namespace lateen::chart {

// annotation, valueOrDefault, excludeInboundPort, includeInboundPorts, applicationPorts, toJSON,
// fromJSON, structToJSON, protoToJSON, toJsonMap, mergeMaps, omitNil, strdict, directory, env,
// appendMultusNetwork, otelResourceAttributes. `set` should be made with is_struct_like.
void add_injection_functions(TemplateSet& set);

}  // namespace lateen::chart
