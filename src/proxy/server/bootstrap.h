// Reading the bootstrap: file and inline YAML merged, then Envoy's message.
#pragma once

#include <memory>
#include <string>

#include "data/json.h"
#include "proxy/server/options.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace lateen::proxy {

// JSON or YAML; the error tells file and place. --service-node and --service-cluster fill what the
// file leaves open.
Result<std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap>> load_bootstrap(
    const Options& options);

}  // namespace lateen::proxy
