// The mesh of the first day, as `lateen up` brings it up: operator, demo profile, addons, Bookinfo
// behind the gateway.
#pragma once

#include <string>

#include "base/result.h"

namespace lateen::bin {

// Types what a person would: istioctl operator init, an IstioOperator, the addons, the label,
// Bookinfo, its gateway; each skipped when it is there already. Prints one line a step and, at the
// end, where to look. Blocks until every deployment is available and /productpage answers 200 at
// `http_port` on loopback. The error says which step failed and how to look.
Result<> bring_up_mesh(const std::string& kubeconfig, int http_port);

}  // namespace lateen::bin
