// The console's two errands around Prometheus; see lateen_console_prometheus.cc.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace lateen::bin {

// `arguments[0]` is "prometheus"; the others are Prometheus' own. Returns its exit status.
int run_prometheus(const std::vector<std::string>& arguments);
// --volume-dir=DIR… --webhook-url=URL…, or --watched-dir= and --reload-url= with --listen-address=.
Result<> run_configmap_reload(const std::vector<std::string>& arguments);

}  // namespace lateen::bin
