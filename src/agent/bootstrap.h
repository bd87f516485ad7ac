// The proxy's bootstrap as istio-agent writes it: node, ADS and SDS over Unix sockets, the static
// listeners for metrics (15090) and readiness (15021). The same file starts lateen-proxy and a
// stock Envoy.
#pragma once

#include "agent/options.h"

namespace lateen::agent {

// Pure. `is_lateen`: our proxy is the one to start, told to the control plane by node metadata.
data::Json make_bootstrap(const Options& options, bool is_lateen);

}  // namespace lateen::agent
