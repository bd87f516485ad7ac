// istioctl dashboard (dash, d): forwards a local port to a web UI of the mesh and opens it.
#pragma once

#include "cli/context.h"

namespace CLI {
class App;
}

namespace lateen::cli {

void add_dashboard(CLI::App& root, Context& context);

}  // namespace lateen::cli
