// istioctl proxy-status (ps): which proxy is in sync with which istiod.
#pragma once

#include "cli/context.h"

namespace CLI {
class App;
}

namespace lateen::cli {

void add_proxy_status(CLI::App& root, Context& context);

// One line of the table, from an entry of /debug/syncz. Pure.
struct ProxySync {
  std::string proxy, cluster, cds, lds, eds, rds, ecds, istiod, version;
};
ProxySync read_sync(const data::Json& entry, const std::string& istiod);

}  // namespace lateen::cli
