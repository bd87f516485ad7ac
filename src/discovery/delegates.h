// Virtual services as generators want them: host names resolved, delegates merged into their roots.
#pragma once

#include <string_view>

#include "discovery/snapshot.h"

namespace lateen::discovery {

// In the order given. Delegates (without hosts) vanish; a root's delegating route becomes its
// child's routes, with both matches required; a missing child, or conflicting matches, drop that
// route.
Configs<mesh::VirtualService> resolve_virtual_services(const Configs<mesh::VirtualService>& all,
                                                       std::string_view domain);

}  // namespace lateen::discovery
